// Links the map's frame, the gallery and the area box. Runs once in the page, when it has loaded.
() => {
  if (window.lrsclipSearch) return;
  window.lrsclipSearch = true;
  const summary = document.getElementById("summary");
  if (summary) summary.lrsclipShown = summary.textContent; // what stands there before any search; see `events.show_js`
  const frame = () => document.querySelector("iframe.places-map");
  const put = (selector, text) => {
    const box = document.querySelector(selector);
    if (!box) return;
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  };
  // After "More like this" the picture counts alone; who writes again, or pastes, wants the words to count.
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("#description textarea")) return;
    const weight = "#picture-weight input[type=number]";
    if (Number(document.querySelector(weight)?.value) >= 1) put(weight, "HALF");
  });
  const shownTiles = () => {
    const list = document.querySelector("#shown-tiles [data-tiles]");
    return list ? JSON.parse(list.dataset.tiles) : [];
  };
  // The frame shows what files are called: nothing that comes out of it is believed unseen.
  window.addEventListener("message", (event) => {
    const map = frame();
    if (!map || event.source !== map.contentWindow) return;
    const said = event.data;
    if (!said || said.lrsclip !== "hits") return;
    if (typeof said.tile === "string") {
      const number = shownTiles().indexOf(said.tile);
      const picture = number < 0 ? null : document.querySelectorAll("#gallery .thumbnail-item")[number];
      if (picture) picture.click();
    }
    const area = said.area;
    if (Array.isArray(area) && area.length === 4 && area.every((n) => typeof n === "number" && Number.isFinite(n))) {
      if (area.some((n) => Math.abs(n) > 180) || Math.abs(area[1]) > 90 || Math.abs(area[3]) > 90) return;
      put("#area textarea, #area input", area.map((n) => String(Number(n.toFixed(6)))).join(", "));
    }
  });
}
