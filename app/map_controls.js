// Controls of the heat-map: opacity slider, legend with absolute cosines, and a read-out under the pointer.
function lrsclipControls(map, heat, facts) {
  const panel = L.control({ position: "bottomleft" });
  panel.onAdd = () => {
    const box = L.DomUtil.create("div", "panel");
    box.innerHTML =
      '<label class="opacity">Heat-map opacity<input type="range" min="0" max="1" step="0.01"></label>' +
      '<div class="ramp" aria-hidden="true"></div>' +
      '<div class="ends"><span></span><em>mean cosine</em><span></span></div>';
    const slider = box.querySelector("input");
    slider.value = facts.opacity;
    slider.addEventListener("input", () => heat.setOpacity(Number(slider.value)));
    box.querySelector(".ramp").style.background = `linear-gradient(to right, ${facts.gradient})`;
    const [low, high] = box.querySelectorAll(".ends span");
    low.textContent = facts.low;
    high.textContent = facts.high;
    L.DomEvent.disableClickPropagation(box);
    L.DomEvent.disableScrollPropagation(box);
    return box;
  };
  panel.addTo(map);

  const corner = L.control({ position: "bottomright" });
  corner.onAdd = () => L.DomUtil.create("output", "readout");
  corner.addTo(map);
  const readout = corner.getContainer();
  const cell = (edges, at) => edges.findIndex((edge) => edge > at) - 1;
  map.on("mousemove", (event) => {
    const x = Math.floor(event.latlng.lng);
    const y = Math.floor(facts.height_px - event.latlng.lat);
    const inside = x >= 0 && y >= 0 && x < facts.width_px && y < facts.height_px;
    readout.textContent = inside
      ? `x ${x}  y ${y} px   cosine ${facts.values[cell(facts.rows, y)][cell(facts.columns, x)].toFixed(3)}`
      : "";
  });
  map.on("mouseout", () => (readout.textContent = ""));

  // The frame may still be hidden, or change its size, when the map is made: fit again until the visitor takes over.
  const bounds = [[0, 0], [facts.height_px, facts.width_px]];
  let untouched = true;
  for (const name of ["pointerdown", "wheel", "keydown"]) {
    map.getContainer().addEventListener(name, () => (untouched = false), { once: true, capture: true });
  }
  new ResizeObserver(() => {
    map.invalidateSize();
    if (untouched) map.fitBounds(bounds, { animate: false });
  }).observe(map.getContainer());
}
