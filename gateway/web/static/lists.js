// What only a browser knows of a list: it loads, it failed, it is old. The texts wait in <template>s of the
// page, made by the same parts as the rest. Without this file a list simply stays as it was.
"use strict";
(() => {
  const PATIENCE_MS = 400; // what comes sooner needs no sign that it is coming
  const OLD_MS = 10 * 60000; // a page that does not refresh itself is old after this
  const live = document.getElementById("live"); // such a page says by itself how fresh it is
  const lists = (inside) => [...(inside || document).querySelectorAll(".listed")];

  // a narrow screen shows some rooms of the navigation: the one where somebody is comes into sight
  const here = document.querySelector(".rooms [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;

  const show = (kind, inside) => {
    const template = document.getElementById(`list-${kind}`);
    if (!template) return;
    lists(inside).forEach((list) => {
      hide(list);
      const sign = document.createElement("div");
      sign.className = "list-sign";
      sign.dataset.state = kind;
      sign.append(template.content.cloneNode(true));
      list.prepend(sign);
      list.setAttribute("aria-busy", String(kind === "loading"));
    });
  };
  const hide = (list) => {
    list.removeAttribute("aria-busy");
    list.querySelectorAll(":scope > .list-sign").forEach((one) => one.remove());
  };

  let waiting = 0;
  const loading = (inside) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show("loading", inside), PATIENCE_MS);
  };
  const main = document.getElementById("main");
  main.addEventListener("submit", (event) => { if (event.target.method === "get") loading(); });
  main.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && link.closest(".pager, .chips") && !event.ctrlKey && !event.metaKey) loading();
  });
  addEventListener("pageshow", (event) => { clearTimeout(waiting); if (event.persisted) old(); });

  document.addEventListener("htmx:beforeRequest", (event) => loading(event.detail.target));
  document.addEventListener("htmx:afterRequest", () => clearTimeout(waiting));
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => { clearTimeout(waiting); show("failed", event.detail.target); });
  }

  const old = () => { if (!live) show("stale"); };
  addEventListener("offline", old);
  setTimeout(old, OLD_MS);
})();
