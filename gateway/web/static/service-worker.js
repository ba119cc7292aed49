// Shows a push message, and says "I have it" when its button is pressed: by the signed link in the
// message, so without signing in. What it shows comes encrypted from our own server.
"use strict";

importScripts("/static/home-offline.js"); // a family's last page, readable offline

const WORDS = {
  mn: {
    seen: "Би мэдлээ", thanks: "Хариу авлаа. Баярлалаа.",
    failed: "Хариу хүрсэнгүй. Энд дарж дахин оролдоно уу. Аюултай бол 101 рүү залга.",
    unknown: "Утаа: шинэ мэдэгдэл. Аюултай бол 101 рүү залга.",
  },
  en: {
    seen: "I have seen it", thanks: "Your answer has arrived. Thank you.",
    failed: "Your answer did not arrive. Press here to try again. In danger, call 101.",
    unknown: "Utaa: a new message. In danger, call 101.",
  },
};
const ICON = "/static/icon.svg";
const TRIES = 4;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

const read = (data) => {
  try { return data.json(); } catch { return {}; } // every push must show something
};
const wordsOf = (message) => WORDS[message.language] || WORDS.mn;
// The link may name another of the city's addresses; the answer goes to the one that serves this file.
const pathOf = (link) => (link ? new URL(link, self.location.origin).pathname : "");
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

const show = (message) => {
  const words = wordsOf(message);
  const urgent = Boolean(message.urgent);
  return self.registration.showNotification(message.title || words.unknown, {
    body: message.body || "",
    lang: message.language || "mn",
    tag: message.incident || "utaa", // a later message on the same incident takes the earlier one's place
    renotify: true,
    requireInteraction: urgent,
    vibrate: urgent ? [400, 200, 400, 200, 400, 200, 800] : [200],
    timestamp: message.at_us ? message.at_us / 1000 : Date.now(),
    icon: ICON,
    badge: ICON,
    data: { link: pathOf(message.link), language: message.language, incident: message.incident },
    actions: message.link ? [{ action: "seen", title: words.seen }] : [],
  });
};

const acknowledge = async (data) => {
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      // without cookies: the link itself says who answers
      const answer = await fetch(data.link, { method: "POST", credentials: "omit" });
      if (answer.ok) return true;
      if (answer.status < 500 && answer.status !== 429) return false;
    } catch { /* no connection now; again in a moment */ }
    await wait(500 * 2 ** tried);
  }
  return false;
};

const answered = async (notification) => {
  const data = notification.data || {};
  const words = wordsOf(data);
  const done = await acknowledge(data);
  await self.registration.showNotification(done ? words.thanks : words.failed, {
    tag: data.incident || "utaa", lang: data.language || "mn", icon: ICON, badge: ICON,
    silent: done, requireInteraction: !done, data,
  });
};

const open = async (path) => {
  const pages = await self.clients.matchAll({ type: "window" });
  const there = pages.find((page) => new URL(page.url).pathname === path);
  return there ? there.focus() : self.clients.openWindow(path);
};

self.addEventListener("push", (event) => event.waitUntil(show(event.data ? read(event.data) : {})));

self.addEventListener("notificationclick", (event) => {
  const data = event.notification.data || {};
  event.notification.close();
  event.waitUntil(
    event.action === "seen" && data.link ? answered(event.notification) : open(data.link || "/"),
  );
});
