// A map for every element with class "map": the city's own ground, and features that follow the screen.
//   data-base       address of the ground (GeoJSON with attribution)
//   data-features   address of the features; it is asked with bbox and zoom, and anew after "map:reload"
//   data-tiles, data-attribution   a tile server, where the city has configured one
//   data-words      JSON of the texts shown here
// Features are points with title, text, state and address, or clusters with count and faulty.
"use strict";
(() => {
  const COLOURS = { alarm: "#b3261e", faulty: "#b3261e", trouble: "#8a6d00", ok: "#1d6b3a", active: "#1d6b3a" };
  const CALM_MS = 250; // features are asked for when the map has been still for this long
  const language = document.documentElement.lang === "en" ? "en" : "mn";
  const text = (value) => document.createTextNode(value == null ? "" : String(value));

  const draw = (element) => {
    const words = JSON.parse(element.dataset.words || "{}");
    const map = L.map(element, { preferCanvas: true, zoomSnap: 0.5, attributionControl: true });
    map.attributionControl.setPrefix(false);
    element.map = map;
    if (element.dataset.tiles) {
      L.tileLayer(element.dataset.tiles, { maxZoom: 19, attribution: element.dataset.attribution || "" }).addTo(map);
    }
    const markers = L.layerGroup().addTo(map);
    const start = (element.dataset.view || "").split(",").map(Number);
    if (start.length === 3 && start.every(Number.isFinite)) map.setView([start[0], start[1]], start[2]);

    const ground = async () => {
      if (!element.dataset.base) return;
      const found = await (await fetch(element.dataset.base, { credentials: "same-origin" })).json();
      if (found.attribution) map.attributionControl.addAttribution(text(found.attribution).textContent.replace(/[<>&]/g, ""));
      const layer = L.geoJSON(found, {
        interactive: false,
        style: (feature) => ({ color: "#7a746a", weight: feature.properties.kind === "khoroo" ? 0.7 : 2, fillOpacity: 0.03 }),
        pointToLayer: (feature, place) =>
          L.marker(place, { interactive: false, keyboard: false, icon: L.divIcon({ className: "map-name", html: text(feature.properties[language]).textContent.replace(/[<>&]/g, "") }) }),
      }).addTo(map);
      layer.bringToBack?.();
      if (!map._loaded) map.fitBounds(layer.getBounds().isValid() ? layer.getBounds() : [[47.7, 106.6], [48.1, 107.3]], { padding: [10, 10] });
    };

    const popup = (properties) => {
      const box = document.createElement("div");
      const title = document.createElement(properties.address ? "a" : "b");
      if (properties.address) title.href = properties.address;
      title.append(text(properties.title));
      box.append(title);
      for (const line of [properties.text, words[properties.state] || properties.state]) {
        if (line) { const p = document.createElement("p"); p.append(text(line)); box.append(p); }
      }
      return box;
    };

    const marker = (feature) => {
      const [lon, lat] = feature.geometry.coordinates;
      const it = feature.properties;
      if (it.count) {
        const size = 28 + Math.min(24, 6 * Math.log10(it.count));
        const label = it.faulty ? `${it.count}!` : `${it.count}`;
        const icon = L.divIcon({ className: it.faulty ? "map-cluster map-cluster-faulty" : "map-cluster", html: label, iconSize: [size, size] });
        const here = L.marker([lat, lon], { icon, title: label, alt: label });
        here.on("click", () => map.setView([lat, lon], map.getZoom() + 2));
        return here;
      }
      const icon = L.divIcon({ className: `map-point map-${it.state}`, html: it.state === "alarm" ? "!" : "", iconSize: [22, 22] });
      icon.options.html = it.glyph || icon.options.html;
      const here = L.marker([lat, lon], { icon, title: it.title, alt: it.title });
      here.bindPopup(() => popup(it));
      return here;
    };

    let asked = 0;
    let timer = 0;
    const load = async () => {
      if (!element.dataset.features || !map._loaded) return;
      const mine = ++asked;
      const box = map.getBounds();
      const url = new URL(element.dataset.features, location.href);
      url.searchParams.set("bbox", [box.getWest(), box.getSouth(), box.getEast(), box.getNorth()].map((n) => n.toFixed(5)).join(","));
      url.searchParams.set("zoom", String(Math.round(map.getZoom())));
      try {
        const answer = await fetch(url, { credentials: "same-origin" });
        if (!answer.ok) throw new Error(String(answer.status));
        const found = await answer.json();
        if (mine !== asked) return;
        markers.clearLayers();
        found.features.forEach((feature) => markers.addLayer(marker(feature)));
        element.classList.remove("map-stale");
        element.dataset.shown = String(found.features.length);
      } catch { element.classList.add("map-stale"); }
    };
    map.on("moveend", () => { clearTimeout(timer); timer = setTimeout(load, CALM_MS); });
    element.addEventListener("map:reload", load);
    element.addEventListener("map:features", (event) => { element.dataset.features = event.detail; load(); });
    ground().catch(() => element.classList.add("map-stale")).then(() => {
      if (!map._loaded) map.setView([47.92, 106.92], 11);
      load();
    });
  };

  const begin = () => {
    if (!window.L) return;
    document.querySelectorAll(".map[data-base]").forEach((element) => { if (!element.map) draw(element); });
  };
  document.addEventListener("DOMContentLoaded", begin);
  document.addEventListener("htmx:afterSwap", begin);
  if (document.readyState !== "loading") begin();
})();
