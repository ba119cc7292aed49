// Keeps the overview fresh: fetches its fragment again when the live stream says that something
// changed, at most once a second. Without this script the page reloads itself.
"use strict";
(() => {
  const overview = document.getElementById("overview");
  const status = document.getElementById("live");
  const CALM_MS = 1000; // at most one fetch in this time, however fast events come
  const STALE_MS = 20000; // fetch anyway after this, so that "minutes ago" stays true
  let due = false;
  let busy = false;

  const say = (ok) => {
    status.textContent = ok ? status.dataset.live : status.dataset.lost;
    status.classList.toggle("live-lost", !ok);
  };

  const opened = () =>
    new Map([...overview.querySelectorAll("details")].map((item) => [item.id, item.open]));

  const refresh = async () => {
    if (busy) { due = true; return; }
    busy = true;
    due = false;
    try {
      const answer = await fetch(overview.dataset.fragment + location.search, { credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403) { location.reload(); return; }
      if (answer.ok) {
        const before = opened();
        overview.innerHTML = await answer.text();
        overview.querySelectorAll("details").forEach((item) => {
          if (before.has(item.id)) item.open = before.get(item.id);
        });
      }
      say(answer.ok);
    } catch { say(false); }
    setTimeout(() => { busy = false; if (due) refresh(); }, CALM_MS);
  };

  const stream = new EventSource("/changes");
  stream.onopen = () => { say(true); refresh(); };
  stream.onerror = () => say(false);
  stream.addEventListener("changed", refresh);
  setInterval(refresh, STALE_MS);
})();
