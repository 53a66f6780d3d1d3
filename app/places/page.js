// Links the map on which a place is chosen with the boxes beside it. Runs once in the page, when it has loaded.
() => {
  if (window.lrsclipPlaces) return;
  window.lrsclipPlaces = true;
  const frame = () => document.querySelector("iframe.place-map");
  const toMap = (message) => frame()?.contentWindow?.postMessage(message, "*");
  const squares = window.lrsclipSquares(toMap, () => "world");
  let last = "";
  const show = () => {
    const now = document.querySelector("#shown-place [data-place]")?.dataset.place;
    if (now) toMap({ show: JSON.parse(now) });
    last = now ?? last;
  };
  new MutationObserver(() => {
    const now = document.querySelector("#shown-place [data-place]")?.dataset.place;
    if (now && now !== last) show();
  }).observe(document.body, { childList: true, subtree: true, attributeFilter: ["data-place"] });
  window.addEventListener("message", (event) => {
    const map = frame();
    if (!map || event.source !== map.contentWindow) return;
    const said = event.data;
    if (!said || said.lrsclip !== "place") return;
    if (said.ready === true) show();
    squares(said);
    const numbers = said.at ?? said.area;
    if (!Array.isArray(numbers) || ![2, 4].includes(numbers.length) || !numbers.every(Number.isFinite)) return;
    const box = document.querySelector("#places-picked textarea, #places-picked input");
    if (!box) return;
    box.value = JSON.stringify(numbers.map((n) => Number(n.toFixed(6))));
    box.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
