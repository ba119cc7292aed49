// The desk and the wall: fresh by the live stream, loud on a new alarm, honest when cut off.
// The list is fetched anew after every break, so nothing that happened meanwhile is missed.
"use strict";
(() => {
  const CALM_MS = 1000;
  const STALE_MS = 20000;
  const FLASH_MS = 900;
  const list = document.getElementById("desk-list");
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  const button = document.getElementById("sound");
  const map = document.getElementById("desk-map");
  const title = document.title;
  let sound = null; // an AudioContext, made by the person's own press
  let flashing = 0;
  let busy = false;
  let due = false;

  const alarms = () => new Set([...list.querySelectorAll('[data-class="alarm"][data-state="opened"]')].map((one) => one.dataset.id));
  let known = alarms();

  const say = (ok) => {
    live.textContent = ok ? live.dataset.live : live.dataset.lost;
    live.classList.toggle("live-lost", !ok);
    stale.hidden = ok;
    const shown = list.querySelector("[data-stale]");
    if (!ok && shown) stale.textContent = shown.dataset.stale;
  };

  const ring = () => {
    if (!sound) return;
    [0, 0.35, 0.7].forEach((after) => {
      const tone = sound.createOscillator();
      const level = sound.createGain();
      tone.frequency.value = 880;
      level.gain.setValueAtTime(0.25, sound.currentTime + after);
      level.gain.exponentialRampToValueAtTime(0.001, sound.currentTime + after + 0.28);
      tone.connect(level).connect(sound.destination);
      tone.start(sound.currentTime + after);
      tone.stop(sound.currentTime + after + 0.3);
    });
  };

  const calm = () => { clearInterval(flashing); flashing = 0; document.title = title; };
  const flash = () => {
    if (flashing) return;
    flashing = setInterval(() => { document.title = document.title === title ? `● ${list.dataset.title}` : title; }, FLASH_MS);
  };
  ["pointerdown", "keydown"].forEach((what) => addEventListener(what, calm));

  const look = () => {
    const now = alarms();
    const fresh = [...now].some((id) => !known.has(id));
    known = now;
    list.dataset.alarms = String(now.size);
    if (fresh) { ring(); flash(); }
    if (!now.size) calm();
  };

  const refresh = async () => {
    if (busy) { due = true; return; }
    busy = true;
    due = false;
    try {
      const answer = await fetch(list.dataset.fragment, { credentials: "same-origin" });
      if (answer.status === 401 || answer.status === 403) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const at = document.activeElement?.closest?.("[data-id]")?.dataset.id;
      const what = document.activeElement?.tagName.toLowerCase();
      list.innerHTML = await answer.text();
      if (at) list.querySelector(`[data-id="${CSS.escape(at)}"] ${what}`)?.focus(); // a keyboard stays where it was
      look();
      map?.dispatchEvent(new Event("map:reload"));
      say(true);
    } catch { say(false); }
    setTimeout(() => { busy = false; if (due) refresh(); }, CALM_MS);
  };

  const stream = new EventSource(list.dataset.stream);
  stream.onopen = refresh;
  stream.onerror = () => say(false);
  stream.addEventListener("changed", refresh);
  stream.addEventListener("gap", refresh);
  setInterval(refresh, STALE_MS);
  addEventListener("online", refresh);
  addEventListener("offline", () => say(false));

  if (!button || !window.AudioContext) return;
  button.hidden = false;
  const word = button.querySelector("b");
  button.addEventListener("click", async () => {
    const on = button.getAttribute("aria-checked") !== "true";
    if (on) { sound = new AudioContext(); await sound.resume(); ring(); } else { sound?.close(); sound = null; }
    button.setAttribute("aria-checked", String(on));
    word.textContent = on ? word.dataset.on : word.dataset.off;
  });
})();
