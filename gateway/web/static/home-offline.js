// The service worker's part for a family's pages: the last page is kept, and shown when the city cannot
// be reached. The page says itself of when it is. Only a family's own pages and what they are made of.
"use strict";
const HOME_CACHE = "home-1";
const HOME_PAGES = ["/home", "/home/history"];
const HOME_PARTS = ["/static/style.css", "/static/parts.css", "/static/home.css", "/static/home.js", "/static/icon.svg"];

const homeKeep = async (key, answer) => {
  const cache = await caches.open(HOME_CACHE);
  const head = new Headers(answer.headers);
  head.set("X-Utaa-Kept", new Date().toISOString());
  await cache.put(key, new Response(await answer.blob(), { status: 200, headers: head }));
};

const homeKeepAll = () =>
  Promise.all([...HOME_PAGES, ...HOME_PARTS].map(async (path) => {
    const answer = await fetch(path, { credentials: "same-origin", redirect: "error" });
    if (answer.ok) await homeKeep(path, answer);
  })).catch(() => {});

const homeAnswer = async (event, path) => {
  try {
    const answer = await fetch(event.request);
    // led away to the door: this browser is not at home any more, so nothing of it stays here
    if (answer.type === "opaqueredirect" && HOME_PAGES.includes(path)) await caches.delete(HOME_CACHE);
    else if (answer.ok) event.waitUntil(homeKeep(path, answer.clone()).catch(() => {}));
    return answer;
  } catch (error) {
    const kept = await (await caches.open(HOME_CACHE)).match(path);
    if (kept) return kept;
    throw error;
  }
};

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  const page = event.request.mode === "navigate" && HOME_PAGES.includes(url.pathname);
  if (page || HOME_PARTS.includes(url.pathname)) event.respondWith(homeAnswer(event, url.pathname));
});

self.addEventListener("message", (event) => {
  if (event.data === "keep-home") event.waitUntil(homeKeepAll());
});
