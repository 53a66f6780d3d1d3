// The hits on the map: a frame around each, the best ones sharp, and a flight to the one that is asked for. Where one
// clicks, and the area that one draws, is told to the page around the frame; the page checks what it is told.
function lrsclipHits(map, hits, whole, area) {
  const frames = new Map();
  let [started, wanted] = [false, null];
  const tell = (message) => window.parent.postMessage({ lrsclip: "hits", ...message }, "*");
  // Of tiles that lie far apart the ground is too coarse to be looked at closely: one pixel of it would fill the view.
  const grounds = [];
  map.eachLayer((layer) => layer instanceof L.ImageOverlay && grounds.push(layer));
  map.on("zoomend", () => {
    if (!map.getSize().x) return; // not laid out yet: the zoom means nothing
    for (const ground of grounds) {
      const bounds = ground.getBounds();
      const shown = map.project(bounds.getNorthEast()).x - map.project(bounds.getSouthWest()).x;
      ground.setOpacity(shown / (ground.getElement().naturalWidth || shown) > 40 ? 0 : 1);
    }
  });
  for (const hit of [...hits].reverse()) {
    if (hit.picture) L.imageOverlay(hit.picture, hit.bounds, { alt: `tile ${hit.tile}` }).addTo(map);
    const best = hit === hits[0];
    // a fill that is not seen, so that the whole tile can be clicked and not its edge alone
    const style = { color: best ? "#ffe14d" : "#ffffff", weight: best ? 3 : 1.5, fillOpacity: 0 };
    const box = L.rectangle(hit.bounds, hit.label ? style : { ...style, opacity: 0 }).addTo(map);
    box.on("click", () => tell({ tile: hit.tile }));
    const path = box.getElement();
    path.setAttribute("role", "button");
    path.setAttribute("tabindex", hit.label ? "0" : "-1");
    path.setAttribute("aria-label", hit.label ? `tile ${hit.tile}, ${hit.label}` : `tile ${hit.tile}`);
    path.dataset.hit = hit.tile;
    path.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        tell({ tile: hit.tile });
      }
    });
    if (hit.label) {
      const label = L.DomUtil.create("span");
      label.textContent = hit.label;
      box.bindTooltip(label, { permanent: best, direction: "top", className: "hit" });
    }
    frames.set(hit.tile, box);
  }
  const dashes = { color: "#7dd3fc", weight: 2, dashArray: "6 5", fillOpacity: 0.06, interactive: false };
  let shownArea = area ? L.rectangle(area, dashes).addTo(map) : null;
  const fly = (tile) => {
    const box = frames.get(tile);
    if (!box) return;
    const { clientWidth, clientHeight } = map.getContainer();
    wanted = clientWidth && clientHeight ? null : tile; // another tab is open: flown to once the map is seen again
    if (wanted !== null) return;
    map.invalidateSize();
    frames.forEach((other) => other.setStyle({ color: other === box ? "#ffe14d" : "#ffffff", weight: other === box ? 3 : 1.5 }));
    box.bringToFront();
    map.flyToBounds(box.getBounds().pad(0.6), { duration: 1.2 });
    map.getContainer().dataset.tile = tile;
  };
  const around = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;
  const choose = (bounds) => {
    if (shownArea) shownArea.remove();
    shownArea = L.rectangle(bounds, dashes).addTo(map);
    const wide = bounds.getEast() - bounds.getWest() >= 360;
    const [west, east] = wide ? [-180, 180] : [around(bounds.getWest()), around(bounds.getEast())];
    const [south, north] = [Math.max(-90, bounds.getSouth()), Math.min(90, bounds.getNorth())];
    tell({ area: [west, south, east, north] });
  };
  const draw = drawing(map, dashes, choose);
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !event.data) return;
    if (typeof event.data.tile === "string") {
      wanted = event.data.tile;
      if (started) fly(wanted);
    }
    if (event.data.ask === "view") choose(map.getBounds());
    if (event.data.ask === "draw") draw();
    if (event.data.ask === "clear" && shownArea) shownArea.remove();
  });
  // The frame may get its size only later, and without one no view can be fitted: fit once it has one, then fly.
  new ResizeObserver(() => {
    const { clientWidth, clientHeight } = map.getContainer();
    if (!clientWidth || !clientHeight) {
      map.stop(); // a flight over no area ends nowhere
      return;
    }
    map.invalidateSize();
    if (started) {
      if (wanted !== null) fly(wanted);
      return;
    }
    started = true;
    map.fitBounds(whole, { animate: false });
    // A tile that was clicked by then is flown to, and not the best.
    const chosen = () => wanted ?? map.getContainer().dataset.tile ?? hits[0].tile;
    if (wanted !== null || (hits.length && hits[0].label)) setTimeout(() => fly(chosen()), 350);
  }).observe(map.getContainer());
}

// The next drag on the map draws a rectangle, by mouse, pen or finger; Escape leaves all as it was.
function drawing(map, style, done) {
  const container = map.getContainer();
  let from = null;
  let shape = null;
  const place = (event) => map.mouseEventToLatLng(event);
  const stop = () => {
    container.classList.remove("drawing");
    map.dragging.enable();
    if (shape) shape.remove();
    from = shape = null;
  };
  const drawn = () => container.classList.contains("drawing");
  container.addEventListener("pointerdown", (event) => {
    if (!drawn()) return;
    event.preventDefault();
    event.stopPropagation();
    container.setPointerCapture(event.pointerId);
    from = place(event);
    shape = L.rectangle([from, from], style).addTo(map);
  }, true);
  container.addEventListener("pointermove", (event) => shape && shape.setBounds(L.latLngBounds(from, place(event))), true);
  container.addEventListener("pointerup", (event) => {
    if (!shape) return;
    event.stopPropagation();
    const bounds = L.latLngBounds(from, place(event));
    const empty = bounds.getSouthWest().equals(bounds.getNorthEast());
    stop();
    if (!empty) done(bounds);
  }, true);
  container.addEventListener("pointercancel", () => shape && stop(), true);
  document.addEventListener("keydown", (event) => event.key === "Escape" && drawn() && stop());
  return () => {
    map.dragging.disable();
    container.classList.add("drawing");
  };
}
