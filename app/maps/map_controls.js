// The heat-maps: how they stand, that they move together, and what one may ask of them. All text goes in as text.
function lrsclipMaps(facts, views) {
  const bounds = L.latLngBounds(facts.bounds);
  const first = views[0];
  lrsclipSheet(facts.layouts, views);
  for (const view of views) {
    const box = view.map.getContainer();
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", `Heat-map for: ${[view.caption, view.told].filter(Boolean).join(", ")}`);
    if (view.caption) {
      const caption = L.DomUtil.create("div", view.small ? "caption small" : "caption", box);
      L.DomUtil.create("b", "", caption).textContent = caption.title = view.caption;
      if (view.told) L.DomUtil.create("span", "", caption).textContent = view.told;
    }
    view.layers = { Scene: view.scene, "Heat-map": view.heat };
    lrsclipShapes(view);
    if (facts.base && !view.small) lrsclipBase(facts.base, view);
  }
  L.control.layers(null, first.layers, { collapsed: true }).addTo(first.map);
  first.map.on("overlayadd overlayremove", (event) => {
    for (const other of views.slice(1)) {
      const layer = other.layers[event.name];
      if (layer) event.type === "overlayadd" ? layer.addTo(other.map) : layer.remove();
    }
  });
  lrsclipPanel(facts, first.map, views);
  for (const view of views) if (!view.small) lrsclipReadout(facts, view);
  lrsclipTogether(bounds, views);
}

// An online map under the scene, off until it is asked for: until then nothing is requested.
function lrsclipBase(base, view) {
  view.layers[base.name] = L.tileLayer(base.url, {
    attribution: base.credit,
    maxNativeZoom: base.max_zoom,
    maxZoom: 23,
    className: "base",
  });
  L.control.attribution({ prefix: false }).addTo(view.map);
}

// Large maps over small ones: of the two layouts the one whose shape is nearer to that of the frame.
function lrsclipSheet([wide, narrow], views) {
  document.body.classList.add("sheet");
  const lay = () => {
    const shape = Math.log(window.innerWidth / Math.max(1, window.innerHeight));
    const near = (layout) => Math.abs(Math.log(layout.shape) - shape);
    const chosen = near(wide) <= near(narrow) ? wide : narrow;
    const style = document.body.style;
    style.gridTemplateColumns = `repeat(${chosen.columns}, minmax(0, 1fr))`;
    style.gridTemplateRows = chosen.rows.map((share) => `minmax(0, ${share}fr)`).join(" ");
    for (const view of views) view.map.getContainer().style.gridColumn = view.small ? "span 1" : `span ${chosen.span}`;
  };
  lay();
  window.addEventListener("resize", lay);
}

// Outlines with popups: regions, the best window, and what is known to be there, which is off at first.
function lrsclipShapes(view) {
  const told = (properties) => {
    const box = L.DomUtil.create("div", "told");
    L.DomUtil.create("b", "", box).textContent = properties.title;
    for (const line of properties.lines) L.DomUtil.create("span", "", box).textContent = line;
    return box;
  };
  const outlined = (shapes, style) =>
    L.geoJSON(shapes, {
      style,
      onEachFeature: (feature, layer) => {
        layer.bindPopup(() => told(feature.properties));
        layer.on("add", () => {
          const path = layer.getElement();
          if (!path) return;
          path.setAttribute("tabindex", "0");
          path.setAttribute("role", "button");
          path.setAttribute("aria-label", [feature.properties.title, ...feature.properties.lines].join(", "));
          path.onkeydown = (event) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            layer.openPopup();
          };
        });
      },
    });
  // A light line alone is lost on a white roof: each lies on a wider dark one.
  const cased = (shapes, line) => {
    const style = { color: "#14181f", weight: 5, opacity: 0.75, fill: false, className: "casing" };
    const casing = L.geoJSON(shapes, { style, interactive: false });
    L.stamp(casing); // a group draws its layers in the order of their numbers, so this one needs the lower
    return L.layerGroup([casing, line()]);
  };
  if (view.regions) {
    const style = { color: "#ffffff", weight: 2, fillOpacity: 0.06, className: "region" };
    view.layers.Regions = cased(view.regions, () => outlined(view.regions, style)).addTo(view.map);
  }
  if (view.best) {
    const style = { color: "#ffffff", weight: 2, fill: false, dashArray: "6 5" };
    const line = () => L.geoJSON(view.best, { style, interactive: false });
    view.layers["Best window"] = cased(view.best, line).addTo(view.map);
  }
  if (view.truth) {
    const style = { color: "#ff9f43", weight: 2, fillOpacity: 0.12, className: "truth" };
    view.layers["Ground truth"] = cased(view.truth, () => outlined(view.truth, style));
  }
}

// Opacity slider and legend with the cosines of the common scale.
function lrsclipPanel(facts, map, views) {
  const panel = L.control({ position: "bottomleft" });
  panel.onAdd = () => {
    const box = L.DomUtil.create("div", "panel");
    box.innerHTML =
      '<details><summary>Opacity, scale</summary>' +
      '<label class="opacity">Heat-map opacity<input type="range" min="0" max="1" step="0.01"></label>' +
      '<div class="ramp" aria-hidden="true"></div>' +
      '<div class="ends"><span></span><span></span></div><em class="measure"></em></details>';
    // On a phone it would cover a corner of the scene. The frame gets its size only later, so this is asked again.
    const fold = box.querySelector("details");
    const fit = () => (fold.open = window.innerWidth > 480);
    fit();
    window.addEventListener("resize", fit);
    fold.querySelector("summary").addEventListener("click", () => window.removeEventListener("resize", fit));
    const slider = box.querySelector("input");
    slider.value = facts.opacity;
    slider.addEventListener("input", () => views.forEach((view) => view.heat.setOpacity(Number(slider.value))));
    box.querySelector(".ramp").style.background = `linear-gradient(to right, ${facts.gradient})`;
    const [low, high] = box.querySelectorAll(".ends span");
    low.textContent = facts.low;
    high.textContent = facts.high;
    box.querySelector(".measure").textContent = facts.measure;
    L.DomEvent.disableClickPropagation(box);
    L.DomEvent.disableScrollPropagation(box);
    return box;
  };
  panel.addTo(map);
}

// Place and cosine under the pointer.
function lrsclipReadout(facts, view) {
  const corner = L.control({ position: "bottomright" });
  corner.onAdd = () => L.DomUtil.create("output", "readout");
  corner.addTo(view.map);
  const readout = corner.getContainer();
  const cell = (edges, at) => edges.findIndex((edge) => edge > at) - 1;
  view.map.on("mousemove", (event) => {
    const at = lrsclipPixel(facts, event.latlng);
    if (!at || at[0] < 0 || at[1] < 0 || at[0] >= facts.width_px || at[1] >= facts.height_px) {
      readout.textContent = "";
      return;
    }
    const [x, y] = at.map(Math.floor);
    const value = view.cells.values[cell(view.cells.rows, y)][cell(view.cells.columns, x)];
    const { lat, lng } = event.latlng.wrap();
    const place = facts.lookup
      ? `${Math.abs(lat).toFixed(5)}° ${lat < 0 ? "S" : "N"}  ${Math.abs(lng).toFixed(5)}° ${lng < 0 ? "W" : "E"}`
      : `x ${x}  y ${y} px`;
    readout.textContent = `${place}   ${value === null ? "no data" : `cosine ${value.toFixed(3)}`}`;
  });
  view.map.on("mouseout", () => (readout.textContent = ""));
}

// The scene's pixel at a place of the map, from the grid of known pixels; null where there is none.
function lrsclipPixel(facts, latlng) {
  if (!facts.lookup) return [latlng.lng, facts.height_px - latlng.lat];
  const [[south, west], [north, east]] = facts.bounds;
  const project = (lat, lng) => L.CRS.EPSG3857.project(L.latLng(lat, lng));
  const [low, high, at] = [project(south, west), project(north, east), project(latlng.lat, latlng.lng)];
  const side = facts.lookup.length - 1;
  const u = ((at.x - low.x) / (high.x - low.x)) * side;
  const v = ((high.y - at.y) / (high.y - low.y)) * side;
  if (!(u >= 0 && v >= 0 && u <= side && v <= side)) return null;
  const column = Math.min(side - 1, Math.floor(u));
  const row = Math.min(side - 1, Math.floor(v));
  const [p, q] = [u - column, v - row];
  const [a, b] = [facts.lookup[row][column], facts.lookup[row][column + 1]];
  const [c, d] = [facts.lookup[row + 1][column], facts.lookup[row + 1][column + 1]];
  if (!a || !b || !c || !d) return null;
  return [0, 1].map((i) => (1 - q) * ((1 - p) * a[i] + p * b[i]) + q * ((1 - p) * c[i] + p * d[i]));
}

// A frame may still be hidden, or change its size, when its maps are made: fit until the visitor takes over. All maps
// show the same part of the scene, each at its own size, and go on showing it when the frame changes.
function lrsclipTogether(bounds, views) {
  let shown = null; // centre, and zoom of a map one pixel wide; null until the visitor takes over
  let untouched = true;
  let busy = false;
  const alone = (work) => {
    if (busy) return;
    busy = true;
    work();
    busy = false;
  };
  const show = (map) => {
    if (!map.getSize().x) return;
    if (shown) map.setView(shown.center, shown.zoom + Math.log2(map.getSize().x), { animate: false });
    else map.fitBounds(bounds, { animate: false });
    // One may pan a little, but not lose the scene. Set before the first fit, it would set off a glide of its own.
    if (!map.options.maxBounds) map.setMaxBounds(bounds.pad(0.5));
  };
  for (const { map } of views) {
    for (const name of ["pointerdown", "wheel", "keydown"]) {
      map.getContainer().addEventListener(name, () => (untouched = false), { once: true, capture: true });
    }
    new ResizeObserver(() =>
      alone(() => {
        map.invalidateSize({ animate: false, pan: false, debounceMoveEnd: true });
        show(map);
      }),
    ).observe(map.getContainer());
    map.on("move zoom", () =>
      alone(() => {
        if (untouched || !map.getSize().x) return;
        shown = { center: map.getCenter(), zoom: map.getZoom() - Math.log2(map.getSize().x) };
        for (const other of views) if (other.map !== map) show(other.map);
      }),
    );
  }
}
