// Sends what was done, in order, each act with its own key: sent twice, it is done once. An act that the
// register contradicts waits for the technician's choice; what follows it at the same detector waits too.
import * as store from "/static/work-store.js";

const API = "/api/v1/field";
let me = null; // {id, csrf} of the session, asked for anew at each sending
const subjectOf = (act) => act.body.detector_id || act.body.label;

export class Refused extends Error {
  constructor(status, problem) { super(String(status)); this.status = status; this.problem = problem; }
}

export const ask = async (method, path, body, headers = {}) => {
  const told = { ...headers };
  if (method !== "GET") told["X-CSRF-Token"] = (me || (await whoAmI())).csrf;
  if (body && !(body instanceof ArrayBuffer)) { told["Content-Type"] = "application/json"; body = JSON.stringify(body); }
  const answer = await fetch(path, { method, body, headers: told, credentials: "same-origin", cache: "no-store" });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  let problem = {};
  try { problem = await answer.json(); } catch { /* not ours */ }
  if (answer.status === 401 || answer.status === 403) me = null;
  throw new Refused(answer.status, problem);
};
export const field = (method, path, body, headers) => ask(method, API + path, body, headers);
export const whoAmI = async () => { me = await ask("GET", "/api/v1/me"); return me; };

const sendOne = async (act) => {
  if (act.body.picture_id) {
    const bytes = await store.picture(act.body.picture_id);
    if (bytes) await field("PUT", `/pictures/${act.body.picture_id}`, bytes, { "Content-Type": "image/jpeg" });
  }
  await field("POST", "/acts", act.body);
};

// true: it is done with, one way or another; false: no use in going on now
const tryOne = async (act) => {
  try {
    await sendOne(act);
    await store.dropAct(act);
    return true;
  } catch (error) {
    if (!(error instanceof Refused) || error.status >= 500 || [401, 403, 408, 429].includes(error.status)) {
      if (error instanceof Refused && error.status === 403) { act.state = "refused"; act.problem = error.problem; await store.putAct(act); return true; }
      throw error;
    }
    act.state = error.status === 412 ? "conflict" : "refused";
    act.problem = error.problem;
    await store.putAct(act);
    return true;
  }
};

let busy = false;
// What became of it: "sent", "offline", "signed_out"
export const send = async () => {
  const run = async () => {
    if (busy) return "busy";
    busy = true;
    try {
      if (!(await store.acts()).some((act) => act.state === "waiting")) return "sent";
      const who = await whoAmI();
      const stuck = new Set();
      for (const act of await store.acts()) {
        const subject = subjectOf(act);
        if (act.person !== who.id) continue;
        if (act.state !== "waiting" || stuck.has(subject)) { stuck.add(subject); continue; }
        await tryOne(act);
        if (act.state !== "waiting") stuck.add(subject);
      }
      return "sent";
    } catch (error) {
      return error instanceof Refused && error.status === 401 ? "signed_out" : "offline";
    } finally { busy = false; }
  };
  // two tabs do not send the same at once; if they do, the keys keep it one act
  return navigator.locks ? navigator.locks.request("utaa-work", run) : run();
};
