// What a technician's phone keeps: cards of detectors, what was done and not sent, pictures, drafts.
import { openDB } from "/static/vendor/idb.js";

const opened = openDB("utaa-work", 1, {
  upgrade(db) {
    db.createObjectStore("cards", { keyPath: "id" });
    db.createObjectStore("meta");
    db.createObjectStore("acts", { keyPath: "seq", autoIncrement: true });
    db.createObjectStore("pictures"); // id → ArrayBuffer of a JPEG
    db.createObjectStore("drafts"); // detector or label → form
  },
});

export const newKey = () => {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
};

export const keepList = async (list) => {
  const db = await opened;
  const change = db.transaction(["cards", "meta"], "readwrite");
  await change.objectStore("cards").clear();
  for (const card of list.items) change.objectStore("cards").put(card);
  change.objectStore("meta").put({ ...list, items: list.items.map((card) => card.id) }, "list");
  await change.done;
};
export const keptList = async () => {
  const db = await opened;
  const list = await db.get("meta", "list");
  if (!list) return null;
  const cards = await Promise.all(list.items.map((id) => db.get("cards", id)));
  return { ...list, items: cards.filter(Boolean) };
};
export const keepCard = async (card) => (await opened).put("cards", card);
export const cardOf = async (name) => {
  const db = await opened;
  return (await db.get("cards", name)) || (await db.getAll("cards")).find((card) => card.label === name) || null;
};

export const acts = async () => (await opened).getAll("acts");
export const addAct = async (act) => (await opened).add("acts", act);
export const putAct = async (act) => (await opened).put("acts", act);
export const dropAct = async (act) => {
  const db = await opened;
  const change = db.transaction(["acts", "pictures"], "readwrite");
  change.objectStore("acts").delete(act.seq);
  if (act.body.picture_id) change.objectStore("pictures").delete(act.body.picture_id);
  await change.done;
};

export const keepPicture = async (id, bytes) => (await opened).put("pictures", bytes, id);
export const picture = async (id) => (await opened).get("pictures", id);
export const dropPicture = async (id) => (await opened).delete("pictures", id);
export const draft = async (name) => (await opened).get("drafts", name);
export const keepDraft = async (name, form) => (await opened).put("drafts", form, name);
export const dropDraft = async (name) => (await opened).delete("drafts", name);

// signed out: nothing of the register stays; what was done and not sent does
export const forget = async () => {
  const db = await opened;
  await Promise.all([db.clear("cards"), db.clear("meta"), db.clear("drafts")]);
};
