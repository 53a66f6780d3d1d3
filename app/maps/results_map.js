// The map of the hits. What it shows comes as a message from the page around the frame, and so does each square of its
// ground, because nothing may be asked for from here. Where one clicks, and the area that one draws, is told to the
// page, which checks what it is told.
function lrsclipHits(map) {
  const tell = (message) => window.parent.postMessage({ lrsclip: "hits", ...message }, "*");
  const { ground, draw } = lrsclipGround(map, tell);

  let shown = { hits: [], whole: null, found: false };
  let [laidOut, wanted, groundKey] = [false, null, null];
  const outlines = L.featureGroup().addTo(map);
  const boxes = new Map();
  const look = (best) => ({ color: best ? "#ffe14d" : "#ffffff", weight: best ? 3 : 1.5, fillOpacity: 0 });
  const outline = (hit) => {
    // a fill that is not seen, so that the whole tile can be clicked and not its edge alone
    const style = look(hit === shown.hits[0]);
    const box = L.polygon(hit.corners, hit.label ? style : { ...style, opacity: 0 }).addTo(outlines);
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
      box.bindTooltip(label, { permanent: hit === shown.hits[0], direction: "top", className: "hit" });
    }
    boxes.set(hit.tile, box);
  };

  const dashes = { color: "#7dd3fc", weight: 2, dashArray: "6 5", fillOpacity: 0.06, interactive: false };
  let shownArea = null;
  const showArea = (corners) => {
    if (shownArea) shownArea.remove();
    shownArea = corners && corners.length ? L.polygon(corners, dashes).addTo(map) : null;
  };
  const isLaidOut = () => map.getContainer().clientWidth > 0 && map.getContainer().clientHeight > 0;
  const fly = (tile) => {
    const box = boxes.get(tile);
    if (!box) return;
    wanted = isLaidOut() ? null : tile; // another tab is open: flown to once the map is seen again
    if (wanted !== null) return;
    map.invalidateSize();
    boxes.forEach((other) => other.setStyle(look(other === box)));
    box.bringToFront();
    map.flyToBounds(box.getBounds().pad(0.6), { duration: 0.6, maxZoom: 19 });
    map.getContainer().dataset.tile = tile;
  };
  const home = () => shown.whole && map.fitBounds(shown.whole, { animate: false });
  const show = (message) => {
    const moved = message.ground !== groundKey;
    shown = message;
    groundKey = message.ground;
    outlines.clearLayers();
    boxes.clear();
    for (const hit of [...shown.hits].reverse()) if (hit.corners.length) outline(hit);
    showArea(shown.area);
    credit.textContent = shown.credit;
    delete map.getContainer().dataset.tile;
    if (moved) {
      ground.remove();
      if (laidOut) home();
      ground.addTo(map);
    }
    wanted = shown.found && shown.hits.length && !shown.stay ? shown.hits[0].tile : null;
    if (laidOut && wanted !== null) fly(wanted);
  };

  const around = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;
  const choose = (bounds) => {
    showArea([bounds.getSouthWest(), bounds.getNorthWest(), bounds.getNorthEast(), bounds.getSouthEast()]);
    const wide = bounds.getEast() - bounds.getWest() >= 360;
    const [west, east] = wide ? [-180, 180] : [around(bounds.getWest()), around(bounds.getEast())];
    const [south, north] = [Math.max(-90, bounds.getSouth()), Math.min(90, bounds.getNorth())];
    tell({ area: [west, south, east, north] });
  };
  const drawArea = drawing(map, dashes, choose);
  const drawPolygon = drawingPolygon(map, dashes, (corners) => {
    showArea(corners);
    tell({ polygon: corners.map(({ lat, lng }) => [lng, lat]) });
  });
  const credit = mapTools(map, home);
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !event.data) return;
    if (event.data.show) show(event.data.show);
    if (event.data.square) draw(event.data.square);
    if (typeof event.data.tile === "string") {
      wanted = event.data.tile;
      if (laidOut) fly(wanted);
    }
    if (event.data.ask === "view") choose(map.getBounds());
    if (event.data.ask === "draw") drawArea();
    if (event.data.ask === "polygon") drawPolygon();
    if (event.data.ask === "clear") showArea(null);
  });
  map.setView([0, 0], 1, { animate: false });
  // The frame may get its size only later, and without one no view can be fitted: fit once it has one, then fly.
  new ResizeObserver(() => {
    if (!isLaidOut()) {
      map.stop(); // a flight over no area ends nowhere
      return;
    }
    map.invalidateSize();
    if (!laidOut) {
      laidOut = true;
      home();
    }
    if (wanted !== null) fly(wanted);
  }).observe(map.getContainer());
  tell({ ready: true });
}
