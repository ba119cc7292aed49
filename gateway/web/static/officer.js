// What the office's pages can do more with JavaScript: the list follows the map and the map the list.
// Without it every form and link works by itself.
"use strict";
(() => {
  const list = document.getElementById("list");
  const element = document.getElementById("map");
  const follow = document.querySelector("#follow input");

  const wire = (map) => {
    let ring = null;
    let moved = false; // only a person's own move narrows the list
    element.addEventListener("pointerdown", () => { moved = true; });
    element.addEventListener("wheel", () => { moved = true; }, { passive: true });
    element.addEventListener("keydown", () => { moved = true; });

    const rows = () => [...list.querySelectorAll("tr[data-lat]")];
    const mark = (row) => {
      ring?.remove();
      rows().forEach((one) => one.classList.toggle("row-on", one === row));
      ring = row ? L.circleMarker([row.dataset.lat, row.dataset.lon], { radius: 17, weight: 4, color: "#0b57a4", fill: false, interactive: false }).addTo(map) : null;
    };
    const over = (event) => { const row = event.target.closest?.("tr[data-lat]"); if (row) mark(row); };
    list.addEventListener("pointerover", over);
    list.addEventListener("focusin", over);
    list.addEventListener("pointerleave", () => mark(null));
    map.on("popupopen", (event) => {
      const href = event.popup.getContent?.()?.querySelector?.("a")?.getAttribute("href");
      const row = rows().find((one) => href === `/cameras/${one.dataset.id}`);
      if (row) { mark(row); row.scrollIntoView({ block: "nearest" }); }
    });
    map.on("moveend", () => {
      if (!moved || !follow?.checked || !window.htmx) return;
      const box = map.getBounds();
      const bbox = [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()].map((n) => n.toFixed(5)).join(",");
      const input = document.getElementById("f-bbox");
      if (input.value === bbox) return;
      input.value = bbox;
      const url = new URL(location.href);
      url.searchParams.set("bbox", bbox);
      url.searchParams.delete("cursor");
      history.replaceState(null, "", url);
      htmx.ajax("GET", url.pathname + url.search, { target: "#list", swap: "innerHTML" });
    });
  };

  // Ground that a camera covers, and lines of fibre, beside the map's own points.
  const shapes = (map) => {
    const style = { color: "#0b57a4", weight: 2, fillOpacity: 0.15 };
    if (element.dataset.footprint) L.geoJSON(JSON.parse(element.dataset.footprint), { style, interactive: false }).addTo(map);
    if (!element.dataset.lines) return;
    // a cut is broad, red and broken, so that it is seen without colours too; what is asked about is thick
    const look = ({ properties: it, geometry }) => {
      if (it.cut) return { color: "#b3261e", weight: 9, dashArray: "4 12", opacity: 0.9 };
      if (geometry.type === "Point") return { color: "#fff", weight: 2, fillColor: it.lit ? "#8a3ffc" : "#5d5850", fillOpacity: 1 };
      return { color: it.lit ? "#8a3ffc" : "#0b57a4", weight: it.lit ? 6 : 3, opacity: 0.9 };
    };
    const layer = L.layerGroup().addTo(map);
    let asked = 0;
    const load = async () => {
      const mine = ++asked;
      const box = map.getBounds();
      const url = new URL(element.dataset.lines, location.href);
      url.searchParams.set("bbox", [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()].map((n) => n.toFixed(5)).join(","));
      const answer = await fetch(url, { credentials: "same-origin" });
      if (!answer.ok || mine !== asked) return;
      const found = await answer.json();
      layer.clearLayers();
      L.geoJSON(found, {
        style: (feature) => look(feature),
        pointToLayer: (feature, place) => L.circleMarker(place, { radius: feature.properties.lit ? 8 : 5 }),
        onEachFeature: (feature, drawn) => {
          drawn.bindTooltip(document.createTextNode(feature.properties.title).textContent.replace(/[<>&]/g, ""));
          drawn.on("click", () => { location.href = feature.properties.address; });
        },
      }).addTo(layer);
      element.dataset.drawn = String(found.features.length);
    };
    map.on("moveend", load);
    load();
  };

  const begin = () => {
    if (element && window.L && (element.dataset.footprint || element.dataset.lines)) {
      const ready = () => (element.map?._loaded ? shapes(element.map) : requestAnimationFrame(ready));
      ready();
    }
    if (!list || !element || !window.L) return;
    document.getElementById("follow").hidden = false;
    const wait = () => (element.map?._loaded ? wire(element.map) : requestAnimationFrame(wait));
    wait();
  };
  document.addEventListener("DOMContentLoaded", begin);

  // A suggested repair is one click: it fills the cell and sends the table.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-repair]");
    if (!button) return;
    const input = document.getElementById(button.dataset.for);
    if (input) { input.value = button.dataset.repair; }
  });
})();
