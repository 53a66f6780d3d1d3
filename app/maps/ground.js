// What the maps have in common: a ground of squares that the page brings, a few tools, and an area that one draws.

// Nothing may be asked for from a frame: each square is asked of the page around it, and comes as a message.
function lrsclipGround(map, tell, options = {}) {
  const squares = new Map();
  let count = 0;
  const Ground = L.GridLayer.extend({
    createTile({ x, y, z }, done) {
      const canvas = L.DomUtil.create("canvas");
      canvas.width = canvas.height = 256;
      canvas.lrsclipSquare = ++count;
      squares.set(count, { canvas, done });
      tell({ want: { id: count, z, x, y } });
      return canvas;
    },
  });
  const ground = new Ground({ maxNativeZoom: map.options.maxZoom, updateWhenIdle: true, updateWhenZooming: false, keepBuffer: 0, ...options });
  ground.on("tileunload", ({ tile }) => {
    if (squares.delete(tile.lrsclipSquare)) tell({ drop: tile.lrsclipSquare });
  });
  // a square may come twice: first what was ready, then all of it
  const draw = async ({ id, picture, unfinished }) => {
    const square = squares.get(id);
    if (!square) return;
    if (picture) {
      const bitmap = await createImageBitmap(picture);
      const pen = square.canvas.getContext("2d");
      pen.clearRect(0, 0, 256, 256);
      pen.drawImage(bitmap, 0, 0, 256, 256);
      bitmap.close();
    }
    square.done?.(null, square.canvas);
    square.done = null;
    if (!unfinished) square.canvas.dataset.drawn = "yes";
  };
  return { ground, draw };
}

// The scale, the place under the pointer, the credit, the whole collection, and the whole screen; returns the credit's box.
function mapTools(map, home, more = {}) {
  L.control.scale({ imperial: false }).addTo(map);
  const button = (sign, label, press) => {
    const Button = L.Control.extend({
      onAdd() {
        const bar = L.DomUtil.create("div", "leaflet-bar");
        const link = L.DomUtil.create("a", "tool", bar);
        link.href = "#";
        link.innerHTML = `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${sign}"/></svg>`;
        link.title = label;
        link.setAttribute("role", "button");
        link.setAttribute("aria-label", label);
        L.DomEvent.disableClickPropagation(bar);
        L.DomEvent.on(link, "click", (event) => {
          L.DomEvent.preventDefault(event);
          press();
        });
        return bar;
      },
    });
    new Button({ position: "topleft" }).addTo(map);
  };
  button("M2 8l6-6 6 6M4 7v7h3v-4h2v4h3V7", "Show all tiles", home);
  for (const [sign, [label, press]] of Object.entries(more)) button(sign, label, press);
  if (document.fullscreenEnabled) {
    button("M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4", "Full screen", () =>
      document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen(),
    );
  }
  const text = (name, position) => {
    const box = L.DomUtil.create("div", name);
    const Text = L.Control.extend({ onAdd: () => box });
    new Text({ position }).addTo(map);
    return box;
  };
  const credit = text("credit", "bottomright");
  const place = text("readout", "bottomright");
  const degrees = (value, [plus, minus]) => `${Math.abs(value).toFixed(5)}° ${value < 0 ? minus : plus}`;
  map.on("mousemove", ({ latlng }) => {
    const { lat, lng } = latlng.wrap();
    place.textContent = `${degrees(lat, "NS")}  ${degrees(lng, "EW")}`;
  });
  map.on("mouseout", () => {
    place.textContent = "";
  });
  return credit;
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
    const swallow = (click) => click.stopPropagation(); // the drag's own, which would count as one on the map
    container.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => container.removeEventListener("click", swallow, true), 50);
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

// Each click on the map is the next corner of a polygon; a double click, Enter, or a click on the first corner ends it.
// Backspace takes the last corner back, Escape leaves all as it was.
function drawingPolygon(map, style, done) {
  const container = map.getContainer();
  const [near, most] = [10, 100]; // px from the first corner; corners
  let corners = null;
  let shape = null;
  const stop = () => {
    container.classList.remove("drawing");
    map.doubleClickZoom.enable();
    if (shape) shape.remove();
    corners = shape = null;
  };
  const end = () => {
    const drawn = corners;
    stop();
    if (drawn.length > 2) done(drawn);
  };
  const show = (next) => {
    if (shape) shape.remove();
    shape = L.polygon(next ? [...corners, next] : corners, style).addTo(map);
  };
  const place = (event) => map.mouseEventToLatLng(event);
  container.addEventListener("click", (event) => {
    if (!corners) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.detail > 1) return; // the second click of a double one
    const at = map.mouseEventToContainerPoint(event);
    if (corners.length > 2 && at.distanceTo(map.latLngToContainerPoint(corners[0])) < near) end();
    else if (corners.push(place(event)) >= most) end();
    else show();
  }, true);
  container.addEventListener("dblclick", (event) => {
    if (!corners) return;
    event.stopPropagation();
    end();
  }, true);
  container.addEventListener("pointermove", (event) => corners?.length && show(place(event)), true);
  document.addEventListener("keydown", (event) => {
    if (!corners) return;
    if (event.key === "Escape") stop();
    if (event.key === "Enter") end();
    if (event.key === "Backspace") {
      corners.pop();
      show();
    }
  });
  return () => {
    map.doubleClickZoom.disable();
    container.classList.add("drawing");
    corners = [];
  };
}
