// The hits on the map: a frame around each, the best ones sharp, and a flight to the one that is asked for.
function lrsclipHits(map, hits, whole) {
  const frames = new Map();
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
    const style = { color: best ? "#ffe14d" : "#ffffff", weight: best ? 3 : 1.5, fill: false };
    const box = L.rectangle(hit.bounds, hit.label ? style : { ...style, opacity: 0 }).addTo(map);
    if (hit.label) {
      const label = L.DomUtil.create("span");
      label.textContent = hit.label;
      box.bindTooltip(label, { permanent: best, direction: "top", className: "hit" });
    }
    frames.set(hit.tile, box);
  }
  const fly = (tile) => {
    const box = frames.get(tile);
    if (!box) return;
    map.invalidateSize();
    frames.forEach((other) => other.setStyle({ color: other === box ? "#ffe14d" : "#ffffff", weight: other === box ? 3 : 1.5 }));
    box.bringToFront();
    map.flyToBounds(box.getBounds().pad(0.6), { duration: 1.2 });
    map.getContainer().dataset.tile = tile;
  };
  window.addEventListener("message", (event) => {
    if (event.source === window.parent && event.data && typeof event.data.tile === "string") fly(event.data.tile);
  });
  // The frame may get its size only later, and without one no view can be fitted: fit once it has one, then fly.
  let started = false;
  new ResizeObserver(() => {
    map.invalidateSize();
    if (started || !map.getSize().x) return;
    started = true;
    map.fitBounds(whole, { animate: false });
    if (hits.length && hits[0].label) setTimeout(() => fly(hits[0].tile), 350);
  }).observe(map.getContainer());
}
