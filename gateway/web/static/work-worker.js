// The technician's pages without signal: the page and its parts are kept, and answer when the city does
// not within some seconds. What was done is kept by the page itself (work-store.js).
"use strict";
const CACHE = "work-1";
const PAGE = "/field/";
const PARTS = [
  "/static/style.css", "/static/parts.css", "/static/work.css", "/static/icon.svg", "/static/work.js",
  "/static/work-store.js", "/static/work-send.js", "/static/work-scan.js", "/static/work-detector.js",
  "/static/vendor/idb.js", "/static/vendor/qr-scanner.min.js", "/static/vendor/qr-scanner-worker.min.js",
];
const PATIENCE_MS = 4000; // one bar of signal is worse than none: show what is kept

const keep = async (path, answer) => (await caches.open(CACHE)).put(path, answer);
const keepAll = () => Promise.all([PAGE, ...PARTS].map(async (path) => {
  const answer = await fetch(path, { credentials: "same-origin", redirect: "error" });
  if (answer.ok) await keep(path, answer);
}).map((one) => one.catch(() => {})));

const answer = async (event, path) => {
  const kept = await (await caches.open(CACHE)).match(path);
  const asked = fetch(event.request).then((fresh) => {
    if (fresh.ok) event.waitUntil(keep(path, fresh.clone()).catch(() => {}));
    return fresh;
  });
  if (!kept) return asked;
  const late = new Promise((done) => setTimeout(() => done(kept), PATIENCE_MS));
  return Promise.race([asked.catch(() => kept), late]);
};

self.addEventListener("install", (event) => event.waitUntil(self.skipWaiting()));
self.addEventListener("activate", (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith("work-") && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
})()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  const page = event.request.mode === "navigate" && url.pathname === PAGE;
  if (page || PARTS.includes(url.pathname)) event.respondWith(answer(event, url.pathname));
});
self.addEventListener("message", (event) => {
  if (event.data === "keep") event.waitUntil(keepAll());
});
