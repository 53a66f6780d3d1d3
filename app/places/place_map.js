// The map on which a place is chosen: a click or a drawn box is told to the page, which says what to show.
function lrsclipPlace(map) {
  const tell = (message) => window.parent.postMessage({ lrsclip: "place", ...message }, "*");
  const { ground, draw } = lrsclipGround(map, tell, { maxNativeZoom: 14 });
  const style = { color: "#ffe14d", weight: 2, fillOpacity: 0.12, interactive: false };
  let box = null;
  let laidOut = false;
  let wanted = null;
  const home = () => map.setView([25, 10], 1.6, { animate: false });
  const show = ({ area, fly }) => {
    if (box) box.remove();
    box = area ? L.rectangle(area, style).addTo(map) : null;
    if (!box || !fly) return;
    wanted = laidOut ? null : box;
    if (laidOut) map.flyToBounds(box.getBounds().pad(2), { duration: 0.8, maxZoom: 13 });
  };
  const choose = (bounds) => tell({ area: [bounds.getWest(), bounds.getSouth(), bounds.getEast(), bounds.getNorth()] });
  const drawBox = drawing(map, style, choose);
  map.on("click", ({ latlng }) => {
    const { lat, lng } = latlng.wrap();
    tell({ at: [lat, lng] });
  });
  mapTools(map, home, { "M2 4h12v8H2z": ["Draw a box", drawBox] }).textContent = "Cities: GeoNames (CC BY 4.0)";
  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !event.data) return;
    if (event.data.show) show(event.data.show);
    if (event.data.square) draw(event.data.square);
  });
  home();
  tell({ ready: true }); // first of all: what is wanted before it counts as that of an earlier frame
  ground.addTo(map);
  new ResizeObserver(() => {
    if (!map.getContainer().clientWidth) return;
    map.invalidateSize();
    laidOut = true;
    if (wanted) map.flyToBounds(wanted.getBounds().pad(2), { duration: 0.8, maxZoom: 13 });
    wanted = null;
  }).observe(map.getContainer());
}
