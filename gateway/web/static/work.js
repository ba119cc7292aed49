// The technician's page: worklist, label reader, one detector, what waits. Works without signal; what is
// shown then says of when it is. Everything a register or a person wrote is put in as text.
import * as store from "/static/work-store.js";
import { field, Refused, send } from "/static/work-send.js";
import { codeIn, readPicture, watch } from "/static/work-scan.js";
import { detectorView } from "/static/work-detector.js";

const view = document.getElementById("view");
const texts = JSON.parse(view.dataset.words);
const signal = document.getElementById("signal");
const language = document.documentElement.lang;
const AGAIN_MS = 15000;

const w = (key, values = {}) => (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") made[name] = value;
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((one) => one !== ""));
  return made;
};
const zone = { timeZone: "Asia/Ulaanbaatar" };
const when = (text) => { // 2026-11-21 14:05, and the hour alone today: as the city's other pages
  const day = new Intl.DateTimeFormat("en-CA", { ...zone, year: "numeric", month: "2-digit", day: "2-digit" });
  const hour = new Intl.DateTimeFormat("en-GB", { ...zone, hour: "2-digit", minute: "2-digit" });
  const at = new Date(text);
  return day.format(at) === day.format(new Date()) ? hour.format(at) : `${day.format(at)} ${hour.format(at)}`;
};
const number = (value, digits) => new Intl.NumberFormat(language === "mn" ? "mn-MN" : "en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
const state = (kind, text) => el("span", { class: `state state-${kind}` }, el("span", { class: "glyph", "aria-hidden": "true" }), text);

// null: live; a time: as of then; "": nothing is kept
const shown = (since) => {
  signal.hidden = since === null;
  if (since !== null) signal.textContent = since ? w("offline {time}", { time: when(since) }) : w("never");
};
let toast = null;
const told = (kind, text) => {
  toast?.remove();
  toast = el("p", { class: `notice notice-${kind} told`, role: kind === "alarm" ? "alert" : "status" }, text);
  view.before(toast);
  toast.scrollIntoView({ block: "nearest" });
};
const signedOut = () => {
  toast?.remove();
  toast = el("p", { class: "notice notice-trouble told", role: "status" }, el("a", { class: "button", href: "/signin?next=/field/" }, w("sign in again")));
  view.before(toast);
};
const count = async () => {
  const waiting = (await store.acts().catch(() => [])).length;
  const shownCount = document.getElementById("count");
  shownCount.hidden = !waiting;
  shownCount.textContent = waiting ? String(waiting) : "";
};
const tools = { w, el, when, number, state, shown, told, signedOut, count, person: view.dataset.person };

let current = null; // the view that is open: {stop}

// ---- worklist ------------------------------------------------------------------------------------
const unitName = (list, code) => (list.units && list.units[code] ? list.units[code][language === "mn" ? 0 : 1] : code || "");
const urgencyKind = { now: "alarm", soon: "supervisory", passing: "trouble" };
const item = (card) => el("li", {}, el("a", { class: `job job-${card.urgency}`, href: `#d/${encodeURIComponent(card.id)}` },
  el("strong", {}, card.home || w("no home"), card.place ? ` · ${card.place}` : ""),
  ...card.reasons.slice(0, 3).map((one) => el("span", { class: "reason" }, w(`reason ${one.code}`),
    one.since_at ? el("small", {}, ` ${w("since {time}", { time: when(one.since_at) })}`) : "")),
  el("small", { class: "soft" }, card.site)));

const listView = () => {
  const box = el("section", {});
  let area = sessionStorage.getItem("area") || "";
  let ended = false;
  let timer = null;
  const draw = (list) => {
    const areas = [...new Set(list.items.map((card) => card.unit_code || ""))].sort();
    const pick = el("select", { id: "area", onchange: (event) => { area = event.target.value; sessionStorage.setItem("area", area); draw(list); } },
      el("option", { value: "" }, w("all areas")), ...areas.filter(Boolean).map((code) => el("option", { value: code, selected: code === area }, unitName(list, code))));
    const rows = list.items.filter((card) => !area || card.unit_code === area);
    const groups = ["now", "soon", "passing"].flatMap((urgency) => {
      const mine = rows.filter((card) => card.urgency === urgency);
      if (!mine.length) return [];
      const byArea = areas.filter((code) => mine.some((card) => (card.unit_code || "") === code));
      return [el("h2", {}, state(urgencyKind[urgency], w(`urgency ${urgency}`))),
        ...byArea.flatMap((code) => [el("h3", {}, unitName(list, code) || w("no home")),
          el("ul", { class: "jobs" }, ...mine.filter((card) => (card.unit_code || "") === code).map(item))])];
    });
    box.replaceChildren(el("h1", { class: "visually-hidden" }, w("title")),
      areas.length > 1 ? el("p", { class: "field" }, el("label", { for: "area" }, w("area")), pick) : "",
      ...(list.total > list.items.length || list.cut ? [el("p", { class: "too-many", role: "status" }, w("many {shown} {total}", { shown: list.items.length, total: list.total }))] : []),
      ...(rows.length ? groups : [el("div", { class: "empty" }, el("p", {}, el("strong", {}, w("empty"))), el("p", {}, w("empty more")))]));
    box.dataset.shown = String(rows.length);
  };
  const refresh = async () => {
    clearTimeout(timer);
    try {
      const list = await field("GET", "/worklist");
      await store.keepList(list).catch(() => {});
      if (ended) return;
      draw(list);
      shown(null);
    } catch (error) {
      if (error instanceof Refused && error.status === 401) signedOut();
      const list = await store.keptList().catch(() => null);
      if (ended) return;
      if (list) draw(list); else box.replaceChildren(el("h1", {}, w("title")));
      shown(list ? list.as_of : "");
    }
    if (!ended) timer = setTimeout(refresh, AGAIN_MS * 2);
  };
  refresh();
  return { box, refresh, stop: () => { ended = true; clearTimeout(timer); } };
};

// ---- label ---------------------------------------------------------------------------------------
const scanView = () => {
  let stop = () => {};
  let ended = false;
  const problem = el("p", { class: "field-problem", role: "alert", id: "scan-problem" });
  const take = (text) => {
    const code = codeIn(text);
    if (!code) { problem.textContent = w("not label"); return; }
    location.hash = `#d/${code}`;
  };
  const video = el("video", { class: "viewfinder", playsinline: "", muted: "", hidden: true });
  const start = el("button", { class: "button button-main wide-button", id: "camera", onclick: async () => {
    video.hidden = false;
    try {
      const stopping = await watch(video, take);
      if (ended) stopping(); else { stop = stopping; start.hidden = true; }
    } catch { video.hidden = true; problem.textContent = w("camera none"); }
  } }, w("camera start"));
  const file = el("input", { type: "file", id: "label-file", accept: "image/*", capture: "environment", class: "visually-hidden", onchange: async () => {
    if (!file.files[0]) return;
    try { take(await readPicture(file.files[0])); } catch { problem.textContent = w("photo none"); }
  } });
  const typed = el("form", { class: "panel", novalidate: "", onsubmit: (event) => { event.preventDefault(); take(code.value); } },
    el("div", { class: "field" }, el("label", { for: "code" }, w("type code"))), el("p", {}, el("button", { class: "button wide-button" }, w("find"))));
  const code = el("input", { id: "code", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", maxlength: 20, placeholder: "ABC-DEF-GHJ" });
  typed.querySelector(".field").append(code, problem);
  const readable = view.dataset.vendor !== undefined;
  const box = el("section", {}, el("h1", {}, w("scan")),
    ...(readable ? [video, el("p", {}, start), file, el("p", {}, el("label", { class: "button wide-button", for: "label-file" }, w("photo label")))] : []), typed);
  return { box, stop: () => { ended = true; stop(); } };
};

// ---- what waits ----------------------------------------------------------------------------------
const side = (title, values) => el("div", { class: "panel" }, el("h3", {}, title), el("dl", { class: "pairs" },
  ...Object.entries(values).filter(([key, value]) => texts[`conflict field ${key}`] && value).flatMap(([key, value]) => [
    el("dt", {}, w(`conflict field ${key}`)), el("dd", {}, key === "status" ? w(`state ${value}`) : String(value))])));

const waitingView = () => {
  const box = el("section", {});
  const again = async () => { const how = await send(); await draw(); if (how === "signed_out") signedOut(); };
  const one = (act, behind) => {
    const other = act.person !== tools.person;
    const kind = other ? "other" : act.state === "waiting" && behind ? "behind" : act.state;
    const problem = act.problem || {};
    const drop = el("button", { class: "button", onclick: async () => { if (confirm(w("drop sure"))) { await store.dropAct(act); await draw(); } } }, w("drop"));
    const parts = [];
    if (act.state === "conflict") {
      parts.push(el("p", {}, w("conflict")), el("div", { class: "two" }, side(w("conflict now"), problem.current || {}), side(w("conflict yours"), problem.yours || {})),
        el("p", { class: "rows" },
          el("button", { class: "button button-main", onclick: async () => {
            act.state = "waiting"; act.body.version = problem.current.version; delete act.problem;
            await store.putAct(act); await again();
          } }, w("take mine")),
          el("button", { class: "button", onclick: async () => { await store.dropAct(act); await draw(); } }, w("take theirs"))));
    } else if (act.state === "refused") {
      parts.push(el("p", { class: "soft", lang: "en" }, problem.detail || problem.title || ""), el("p", { class: "rows" },
        el("button", { class: "button", onclick: async () => { act.state = "waiting"; await store.putAct(act); await again(); } }, w("queue send")), drop));
    } else if (other) parts.push(el("p", {}, drop));
    return el("li", { class: "panel", "data-state": kind }, el("h2", {}, w(`act ${act.body.kind}`), ` · ${act.title}`),
      el("p", {}, state({ conflict: "alarm", refused: "alarm" }[kind] || "trouble", w(`queue ${kind}`)), el("small", { class: "soft" }, ` ${when(act.made)}`)), ...parts);
  };
  const draw = async () => {
    const acts = await store.acts().catch(() => []);
    const stuck = new Set();
    const rows = acts.map((act) => {
      const subject = act.body.detector_id || act.body.label;
      const row = one(act, stuck.has(subject));
      if (act.state !== "waiting") stuck.add(subject);
      return row;
    });
    box.replaceChildren(el("h1", {}, w("waiting")), ...(rows.length
      ? [el("ul", { class: "queue" }, ...rows), el("p", {}, el("button", { class: "button button-main wide-button", id: "send", onclick: again }, w("queue send")))]
      : [el("div", { class: "empty" }, el("p", {}, el("strong", {}, w("queue empty"))))]));
    await count();
  };
  draw();
  return { box, refresh: draw, stop: () => {} };
};

// ---- the page ------------------------------------------------------------------------------------
const open = () => {
  current?.stop();
  toast?.remove();
  const [room, rest] = location.hash.slice(1).split(/\/(.*)/s);
  current = room === "d" && rest ? detectorView(tools, decodeURIComponent(rest))
    : room === "scan" ? scanView() : room === "waiting" ? waitingView() : listView();
  view.replaceChildren(current.box);
  const here = ["scan", "waiting"].includes(room) ? room : room === "d" ? "" : "list";
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.hash === `#${here}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
};
const sync = async () => {
  const before = (await store.acts().catch(() => [])).length;
  if (before && await send() === "signed_out") signedOut();
  await count();
  const after = (await store.acts().catch(() => [])).length;
  if (after !== before) current?.refresh?.();
};

addEventListener("hashchange", open);
addEventListener("online", () => { sync(); current?.refresh?.(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) { sync(); current?.refresh?.(); } });
setInterval(sync, AGAIN_MS);
document.querySelector("form[action='/signout']")?.addEventListener("submit", (event) => {
  const form = event.target;
  event.preventDefault();
  store.acts().catch(() => []).then(async (acts) => {
    if (acts.length && !confirm(w("out warning {count}", { count: acts.length }))) return;
    await store.forget().catch(() => {});
    await caches.delete("work-1").catch(() => {});
    form.submit();
  });
});
open();
sync();
navigator.storage?.persist?.().catch(() => {});
if ("serviceWorker" in navigator && window.isSecureContext) {
  navigator.serviceWorker.register("/work-worker.js", { scope: "/field/" }).then(async (registration) => {
    const active = registration.active || await new Promise((done) => {
      const coming = registration.installing || registration.waiting;
      coming.addEventListener("statechange", () => { if (coming.state === "activated") done(coming); });
    });
    active.postMessage("keep");
  }).catch(() => {});
}
