// A family's pages while they are open: live, honest when cut off, readable offline, push messages.
// All of it works without this file too: forms post, and the page is loaded again by hand.
"use strict";
(() => {
  const CALM_MS = 1000; // at most one fetch in this time, however fast events come
  const STALE_MS = 30000; // fetch anyway after this, so that "minutes ago" stays true
  const CACHE = "home-1"; // the name in home-offline.js
  const stale = document.getElementById("stale");
  const now = document.getElementById("home-now");
  const live = document.getElementById("live");
  const worker = "serviceWorker" in navigator && window.isSecureContext;

  const say = (ok) => {
    if (stale) stale.hidden = ok;
    if (!live) return;
    live.textContent = ok ? live.dataset.live : live.dataset.lost;
    live.classList.toggle("live-lost", !ok);
  };

  const asOf = () => { // what the page showed last, at what time: the fragment says it itself
    const shown = now && now.querySelector(".asof");
    if (shown && stale) stale.textContent = shown.dataset.stale;
  };

  let busy = false;
  let due = false;
  const refresh = async () => {
    if (busy) { due = true; return; }
    busy = true;
    due = false;
    try {
      const answer = await fetch(now.dataset.fragment + location.search, { credentials: "same-origin" });
      if (answer.status === 401 || answer.redirected) { location.reload(); return; }
      if (!answer.ok || answer.headers.get("X-Utaa-Kept")) throw new Error(String(answer.status));
      const text = await answer.text();
      if (!now.contains(document.activeElement) || document.activeElement === document.body) now.innerHTML = text;
      else if (text.includes('data-state="danger"') !== !!now.querySelector('[data-state="danger"]')) now.innerHTML = text;
      asOf();
      say(true);
    } catch { say(false); }
    setTimeout(() => { busy = false; if (due) refresh(); }, CALM_MS);
  };

  if (now) {
    const stream = new EventSource(now.dataset.stream);
    stream.onopen = refresh; // after every break too: what was missed is fetched anew
    stream.onerror = () => say(false);
    stream.addEventListener("changed", refresh);
    stream.addEventListener("gap", refresh);
    setInterval(refresh, STALE_MS);
    addEventListener("online", refresh);
    addEventListener("offline", () => say(false));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  } else if (stale && !navigator.onLine) say(false);

  if (!worker) return;
  navigator.serviceWorker.register("/service-worker.js").then(async () => {
    await navigator.serviceWorker.ready;
    if (document.querySelector("[data-forget]")) { await caches.delete(CACHE); return; }
    // the very first visit was loaded before the worker was in charge: let it keep this page now
    if (location.pathname === "/home" && !(await caches.match("/home"))) {
      navigator.serviceWorker.controller?.postMessage("keep-home");
      const registration = await navigator.serviceWorker.ready;
      registration.active?.postMessage("keep-home");
    }
  }).catch(() => {});
  document.querySelectorAll("[data-forget-on-submit]").forEach((form) => form.addEventListener("submit", () => { caches.delete(CACHE); }));

  const push = document.getElementById("push");
  if (!push || !("PushManager" in window)) return;
  push.hidden = false;
  const form = document.getElementById("push-form");
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const shown = (on) => {
    document.getElementById("push-on").hidden = !on;
    if (form) {
      form.hidden = on;
      form.querySelector("button").setAttribute("aria-checked", String(on));
    }
  };
  navigator.serviceWorker.ready.then(async (ready) => shown(Boolean(await ready.pushManager.getSubscription())));
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const key = await (await fetch("/push-key")).text();
      const ready = await navigator.serviceWorker.ready;
      if ((await Notification.requestPermission()) !== "granted") throw new Error("denied");
      const subscription = await ready.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) });
      form.elements.address.value = JSON.stringify(subscription);
      form.submit();
    } catch { document.getElementById("push-denied").hidden = false; }
  });
})();
