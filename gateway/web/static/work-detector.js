// One detector while somebody stands there: values, test alarm, checklist, and the rest that is done.
import * as store from "/static/work-store.js";
import { field, Refused, send } from "/static/work-send.js";
import { small } from "/static/work-scan.js";

const STALE_MS = 20000;
const CALM_MS = 700;

export const detectorView = (tools, name) => {
  const { w, el, when, number, person, shown, told } = tools;
  const box = el("section", { class: "spot" });
  let card = null; // what the register says, as the phone knows it
  let live = false;
  let stream = null;
  let timer = null;
  let ended = false;
  const head = el("div"), values = el("div"), trial = el("div"), forms = el("div");
  box.append(head, values, trial, forms);
  const named = () => (card && card.id ? { detector_id: card.id, version: card.version } : { label: name });

  const drawHead = () => {
    const title = card && card.id ? card.home || w("no home") : w("label {code}", { code: name });
    head.replaceChildren(
      el("p", {}, el("a", { href: "#list", class: "back" }, `‹ ${w("back")}`)),
      el("h1", {}, title, card && card.place ? ` · ${card.place}` : ""),
      ...(card && card.id ? [
        el("p", {}, tools.state({ in_service: "ok", faulty: "alarm", retired: "unknown" }[card.status] || "trouble", w(`state ${card.status}`)),
          el("small", {}, ` ${card.site}${card.label ? ` · ${card.label}` : ""}`)),
        ...card.reasons.map((one) => el("p", { class: "reason" }, w(`reason ${one.code}`))),
      ] : [el("p", { class: "notice notice-trouble" }, w("unknown offline"))]),
      ...(card && card.real ? [el("p", { class: "notice notice-alarm", role: "alert" }, w("real"))] : []),
    );
  };

  const drawValues = () => {
    if (!card || !card.id) { values.replaceChildren(); return; }
    const shownValues = ["optical_density_db_m", "co_ppm", "temperature_c", "humidity_pct", "battery_pct", "signal_dbm"]
      .filter((one) => card.values[one] !== undefined);
    const units = { temperature_c: "°C", humidity_pct: "%", battery_pct: "%", signal_dbm: "dBm" };
    const today = Math.floor(Date.now() / 86400000);
    const link = card.local.find((one) => one.day === today) || card.local[0];
    values.replaceChildren(el("section", { class: "panel" },
      el("h2", {}, w("values"), live ? el("span", { class: "live-dot" }, ` ● ${w("live")}`) : ""),
      el("dl", { class: "big-values" }, ...shownValues.flatMap((one) => [
        el("dt", {}, w(`value ${one}`)),
        el("dd", {}, `${number(card.values[one], { optical_density_db_m: 2, temperature_c: 1 }[one] || 0)} ${units[one] || w(`unit ${one}`)}`)])),
      el("p", { class: "soft" }, card.heard_at ? w("heard {time}", { time: when(card.heard_at) }) : w("not heard")),
      ...(link ? [el("p", {}, el("a", { class: "button", href: link.url, target: "_blank", rel: "noreferrer" }, w("local"))),
        el("p", { class: "soft" }, w("local hint"))] : [])));
  };

  const order = async (path, body) => {
    try { await field("POST", `/detectors/${encodeURIComponent(card.id)}/${path}`, body); } catch (error) {
      told("alarm", w(error instanceof Refused && error.status < 500 ? "test refused" : "test failed"));
      return false;
    }
    await refresh();
    return true;
  };
  const drawTrial = () => {
    const at = trial.contains(document.activeElement) ? document.activeElement.id : "";
    if (!card || !card.id || card.status === "retired") { trial.replaceChildren(); return; }
    const now = card.trial;
    const runs = now && ["waiting", "ready", "heard"].includes(now.state) && Date.parse(now.until_at) > Date.now();
    const said = now && (runs || now.state === "refused" || now.state === "heard" || now.state === "over") ? now.state : "";
    const kinds = { heard: "ok", refused: "alarm", ready: "trouble" };
    trial.replaceChildren(el("section", { class: "panel", id: "trial", "data-state": said || "none" },
      el("h2", {}, w("test")),
      el("p", { class: "soft" }, live ? w("test hint") : w("test offline")),
      ...(said ? [el("p", { class: `notice notice-${kinds[said] || "unknown"}`, role: "status" }, w(`test ${said}`))] : []),
      el("p", { class: "rows" },
        runs ? el("button", { id: "test-end", class: "button", onclick: () => order("test/end") }, w("test end"))
          : el("button", { id: "test-start", class: "button button-main", disabled: !live, onclick: () => order("test", {}) }, w("test start")),
        el("button", { id: "ring", class: "button", disabled: !live, onclick: async () => { if (await order("ring")) told("ok", w("ringing")); } }, w("ring")))));
    if (at) document.getElementById(at)?.focus();
  };

  const done = async (kind, body) => {
    const act = { person, state: "waiting", made: Date.now(), title: card && card.id ? `${card.home || w("no home")} · ${card.place || card.address}` : w("label {code}", { code: name }),
      body: { key: store.newKey(), kind, done_us: Date.now() * 1000, ...named(), ...body } };
    try { await store.addAct(act); } catch { told("alarm", w("no room")); return; }
    const before = (await store.acts()).length;
    const how = await send();
    const left = await store.acts();
    await tools.count();
    if (left.length < before || !left.some((one) => one.body.key === act.body.key)) {
      told("ok", w("sent"));
      await refresh();
    } else {
      const mine = left.find((one) => one.body.key === act.body.key);
      if (mine && mine.state !== "waiting") { location.hash = "#waiting"; return; }
      if (how === "signed_out") tools.signedOut(); else told("trouble", w("kept"));
    }
    drawForms();
  };

  const wrong = (field, on) => {
    field.classList.toggle("field-wrong", on);
    field.querySelector(".field-problem")?.remove();
    if (on) field.append(el("p", { class: "field-problem" }, w("missing")));
  };
  const chosen = (form, label, key, options) => {
    const id = `c-${key}`;
    return el("fieldset", { class: "field pick", "data-name": key }, el("legend", {}, label),
      ...options.map(([value, text]) => el("label", { class: "choice", for: `${id}-${value}` },
        el("input", { type: "radio", id: `${id}-${value}`, name: key, value, checked: form[key] === value }), text)));
  };
  const tick = (form, label, key) => el("div", { class: "field", "data-name": key }, el("label", { class: "choice", for: `c-${key}` },
    el("input", { type: "checkbox", id: `c-${key}`, name: key, checked: Boolean(form[key]) }), label));
  const text = (label, key, value = "", hint = "", extra = {}) => el("div", { class: "field", "data-name": key },
    el("label", { for: `c-${key}` }, label), hint ? el("small", {}, hint) : "",
    el("input", { id: `c-${key}`, name: key, value, maxlength: 100, autocomplete: "off", ...extra }));

  const commissionForm = async () => {
    const form = (await store.draft(name)) || { place: (card && card.place) || "" };
    const state = el("p", { class: "soft", id: "picture-state", role: "status" }, form.picture_id ? w("picture kept") : "");
    const file = el("input", { type: "file", id: "c-file", accept: "image/*", capture: "environment", class: "visually-hidden" });
    const page = el("form", { class: "panel", id: "commission", novalidate: "" }, el("h2", {}, w("commission")),
      text(w("place"), "place", form.place, w("place hint")),
      el("div", { class: "field", "data-name": "picture" }, el("b", {}, w("picture")), file,
        el("p", {}, el("label", { class: "button", for: "c-file" }, w("take picture"))), state),
      tick(form, w("picture refused"), "picture_refused"),
      chosen(form, w("signal"), "signal", [["good", w("good")], ["weak", w("weak")]]),
      chosen(form, w("battery"), "battery", [["good", w("good")], ["low", w("low")], ["mains", w("mains")]]),
      tick(form, w("siren heard"), "siren_heard"),
      tick(form, w("household confirmed"), "household_confirmed"),
      el("p", {}, el("button", { class: "button button-main wide-button", id: "commission-save" }, w("save commission"))));
    const read = () => {
      const data = new FormData(page);
      for (const key of ["place", "signal", "battery"]) form[key] = String(data.get(key) || "").trim();
      for (const key of ["siren_heard", "household_confirmed", "picture_refused"]) form[key] = data.get(key) === "on";
    };
    page.addEventListener("input", () => { read(); store.keepDraft(name, form).catch(() => {}); });
    file.addEventListener("change", async () => {
      if (!file.files[0]) return;
      try {
        const bytes = await small(file.files[0]);
        if (form.picture_id) await store.dropPicture(form.picture_id);
        form.picture_id = store.newKey();
        await store.keepPicture(form.picture_id, bytes);
        await store.keepDraft(name, form);
        state.textContent = w("picture kept");
      } catch { state.textContent = w("no room"); }
    });
    page.addEventListener("submit", async (event) => {
      event.preventDefault();
      read();
      const lacks = { place: !form.place, signal: !form.signal, battery: !form.battery, siren_heard: !form.siren_heard,
        household_confirmed: !form.household_confirmed, picture: !form.picture_id && !form.picture_refused };
      for (const [key, on] of Object.entries(lacks)) wrong(page.querySelector(`[data-name=${key}]`), on);
      if (Object.values(lacks).some(Boolean)) { page.querySelector(".field-wrong input")?.focus(); return; }
      const { picture_id: taken, ...rest } = form;
      await store.dropDraft(name);
      await done("commission", taken ? { ...rest, picture_id: taken } : rest);
    });
    return page;
  };

  const small_form = (kind, title, fields, button = w("save")) => {
    const page = el("form", { novalidate: "" }, ...fields, el("p", {}, el("button", { class: "button wide-button" }, button)));
    page.addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = Object.fromEntries([...new FormData(page)].map(([key, value]) => [key, String(value).trim()]));
      const lacks = [...page.querySelectorAll("[data-must]")].filter((field) => {
        const empty = !body[field.dataset.name];
        wrong(field, empty);
        return empty;
      });
      if (lacks.length) { lacks[0].querySelector("input, select")?.focus(); return; }
      await done(kind, body);
    });
    return el("details", { id: `do-${kind}` }, el("summary", {}, title), page);
  };
  const must = (field) => { field.dataset.must = ""; return field; };
  const drawForms = async () => {
    if (ended) return;
    const parts = [];
    const status = card && card.id ? card.status : "planned";
    if (["unregistered", "planned", "installed", "commissioned", "in_service"].includes(status)) parts.push(await commissionForm());
    if (card && card.id && status !== "retired") {
      const faults = ["silent", "sensor", "battery", "damaged", "false_alarms", "other"];
      const pick = el("div", { class: "field", "data-name": "fault" }, el("label", { for: "c-fault" }, w("fault what")),
        el("select", { id: "c-fault", name: "fault" }, ...faults.map((one) => el("option", { value: one }, w(`fault ${one}`)))));
      parts.push(el("section", { class: "panel more" }, el("h2", {}, w("more")),
        small_form("move", w("move"), [text(w("place"), "place", card.place), text(w("move home"), "home")]),
        ...(["in_service", "faulty", "commissioned", "installed"].includes(status) ? [small_form("replace", w("replace"),
          [must(text(w("new address"), "address")), must(text(w("why"), "reason"))])] : []),
        ...(status === "in_service" ? [small_form("fault", w("fault"), [pick])] : []),
        ...(status === "faulty" ? [small_form("repair", w("repair"), [must(text(w("repair what"), "work"))])] : []),
        small_form("retire", w("retire"), [must(text(w("why"), "reason"))])));
    }
    if (!ended) forms.replaceChildren(...parts);
    for (const [number_, field] of [...forms.querySelectorAll("[id^=c-]")].entries()) { // no id twice on a page
      const old = field.id;
      if (forms.querySelectorAll(`[id="${old}"]`).length > 1) {
        field.id = `${old}-${number_}`;
        field.parentElement.querySelector(`label[for="${old}"]`)?.setAttribute("for", field.id);
      }
    }
  };

  let asked = 0;
  let again = false;
  let running = false;
  const refresh = async () => {
    if (ended) return;
    if (running) { again = true; return; }
    running = true;
    clearTimeout(timer);
    try {
      const fresh = await field("GET", `/detectors/${encodeURIComponent(card && card.id ? card.id : name)}`);
      const other = !card || !card.id || card.version !== fresh.version;
      card = fresh;
      live = true;
      shown(null);
      await store.keepCard(fresh).catch(() => {});
      if (other || !asked) await drawForms();
      if (!stream && !ended) listen();
    } catch (error) {
      live = false;
      if (error instanceof Refused && error.status === 404) { told("alarm", w("unknown label")); card = null; ended = true; head.replaceChildren(); return; }
      if (error instanceof Refused && error.status === 401) tools.signedOut();
      const list = await store.keptList().catch(() => null);
      shown(card && card.heard_at ? card.heard_at : list ? list.as_of : "");
      if (!asked) await drawForms();
    } finally { running = false; }
    asked += 1;
    drawHead(); drawValues(); drawTrial();
    if (again) { again = false; setTimeout(refresh, CALM_MS); }
    if (!ended) timer = setTimeout(refresh, live ? STALE_MS : STALE_MS / 4);
  };
  const listen = () => {
    stream = new EventSource(`/api/v1/field/detectors/${encodeURIComponent(card.id)}/changes`);
    stream.addEventListener("changed", refresh);
    stream.onerror = () => { live = false; drawTrial(); if (stream.readyState === EventSource.CLOSED) { stream = null; } };
  };

  (async () => {
    card = await store.cardOf(name).catch(() => null);
    if (card) { drawHead(); drawValues(); drawTrial(); }
    await refresh();
  })();
  return { box, refresh, stop: () => { ended = true; clearTimeout(timer); stream?.close(); } };
};
