// How far a long import is, while the page waits for its answer. Without this file the page just waits.
"use strict";
(() => {
  const ASK_MS = 1000;
  const box = document.getElementById("progress");
  if (!box) return;
  const bar = box.querySelector("progress");
  const said = box.querySelector("span");

  const ask = async () => {
    try {
      const answer = await fetch(box.dataset.address, { credentials: "same-origin" });
      const found = answer.ok ? await answer.json() : {};
      if (found.of) {
        bar.max = found.of;
        bar.value = found.done;
        said.textContent = found.text;
      }
    } catch { /* the next one may come through */ }
    setTimeout(ask, ASK_MS);
  };

  document.getElementById("main").addEventListener("submit", (event) => {
    if (event.target.method !== "post" || event.defaultPrevented) return;
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
    // pressed twice is taken once; the button itself must still be sent, so it goes only after that
    setTimeout(() => document.querySelectorAll("#main button").forEach((one) => { one.disabled = true; }));
    if (box.dataset.address) setTimeout(ask, ASK_MS);
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
