// Links the map's frame, the gallery, the area box and the address bar. Runs once in the page, when it has loaded.
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
  // What limits a search is changed where its result is looked at: then it is searched again, and before any search not.
  window.lrsclipSearchAgain = () => {
    if (shown?.found) setTimeout(() => document.getElementById("search-button")?.click(), 100); // the box is filled first
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
  const toMap = (message) => frame()?.contentWindow?.postMessage(message, "*");
  let shown = null;
  const showOnMap = () => {
    const list = document.querySelector("#shown-tiles [data-map]");
    shown = list ? JSON.parse(list.dataset.map) : {};
    if (shown.ground) toMap({ show: shown });
    return list;
  };
  // The address bar holds the search, the collection, the tab and the hit that is looked at; what others put there stays.
  const OURS = ["tab", "of", "q", "x", "like", "k", "min", "bbox", "dup", "xw", "pw", "hit"];
  const addressWith = (changes, from = location.search) => {
    const given = new URLSearchParams(from);
    for (const [name, value] of Object.entries(changes)) value === null ? given.delete(name) : given.set(name, value);
    return `?${given}`;
  };
  const parametersOf = (address, left = []) => {
    const pairs = [...new URLSearchParams(address)].filter(([name]) => OURS.includes(name) && !left.includes(name));
    return pairs.map((pair) => pair.join("=")).sort().join("&");
  };
  let wantedHit = new URLSearchParams(location.search).get("hit");
  let address = location.search;
  let goingBack = 0; // until when what comes is the answer to a step back, and no new step
  const go = (next, { push }) => {
    if (next === location.search) return;
    push && performance.now() > goingBack ? history.pushState(null, "", next) : history.replaceState(null, "", next);
    address = location.search;
  };
  const results = () => {
    const list = showOnMap();
    const link = list?.dataset.link;
    if (!link) return;
    const without = Object.fromEntries(OURS.map((name) => [name, null]));
    const tab = new URLSearchParams(location.search).get("tab");
    if (link === "-") {
      go(addressWith({ ...without, tab }), { push: false });
      return;
    }
    const found = { ...without, ...Object.fromEntries(new URLSearchParams(link)) };
    if (!shown.found && tab) found.tab = tab;
    if (shown.stay) found.hit = new URLSearchParams(location.search).get("hit");
    const same = parametersOf(addressWith(found), ["hit"]) === parametersOf(location.search, ["hit"]);
    if (!same) go(addressWith(found), { push: shown.found });
    if (!shown.found) return;
    goingBack = 0;
    const number = wantedHit === null ? -1 : JSON.parse(list.dataset.tiles).indexOf(wantedHit);
    wantedHit = null;
    if (number > 0) setTimeout(() => pick(number), 300); // the gallery is drawn first
  };
  const pictures = () => [...document.querySelectorAll("#gallery .thumbnail-item")];
  const pick = (number) => pictures()[number]?.click();
  // Each click counts, also quick ones: the server is told the place in the gallery, never the same text twice.
  document.addEventListener("click", (event) => {
    const number = pictures().indexOf(event.target.closest?.(".thumbnail-item"));
    if (number >= 0) put("#picked-hit textarea, #picked-hit input", `${number} ${performance.now()}`);
  });
  window.lrsclipLooksAt = (tile) => go(addressWith({ hit: tile }), { push: false });
  const tabButtons = () => [...document.querySelectorAll("#tabs > .tab-wrapper [role=tab]")];
  window.addEventListener("popstate", () => {
    const [before, now] = [address, location.search];
    address = now;
    const given = new URLSearchParams(now);
    goingBack = performance.now() + 15000;
    // Where only the tab or the hit is another, the search stands, with a picture and what was typed since.
    if (parametersOf(before, ["tab", "hit"]) === parametersOf(now, ["tab", "hit"])) {
      const tab = tabButtons().find((button) => button.dataset.tabId === (given.get("tab") ?? "search"));
      tab?.click();
      const number = shownTiles().indexOf(given.get("hit"));
      if (number >= 0 && new URLSearchParams(before).get("hit") !== given.get("hit")) pick(number);
      setTimeout(() => { goingBack = 0; }, 500);
      return;
    }
    wantedHit = given.get("hit");
    put("#visited-address textarea, #visited-address input", `${now}#${performance.now()}`); // never the same twice
  });
  new MutationObserver(() => {
    const now = tabButtons().find((button) => button.getAttribute("aria-selected") === "true")?.dataset.tabId;
    const before = new URLSearchParams(location.search).get("tab") ?? "search";
    if (now && now !== before) go(addressWith({ tab: now }), { push: true });
  }).observe(document.getElementById("tabs"), { subtree: true, attributeFilter: ["aria-selected"] });
  // Left and right walk the hits, wherever the keys mean nothing else.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const all = pictures();
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !all.length) return;
    if (!document.getElementById("gallery")?.offsetParent) return;
    if (event.target.closest?.("input, textarea, select, [role=tab], [role=slider], [contenteditable]")) return;
    const now = all.findIndex((picture) => picture.classList.contains("selected"));
    const next = all[now < 0 ? Math.max(0, step) : now + step];
    if (!next) return;
    event.preventDefault();
    next.click();
    next.scrollIntoView({ block: "nearest" });
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest?.("#summary [data-clear]");
    if (chip) document.getElementById(`clear-${chip.dataset.clear}`)?.click();
  });
  document.addEventListener("click", (event) => {
    const row = event.target.closest?.("#batch-table tbody tr")?.querySelector("[data-again]");
    if (row && !getSelection()?.toString()) put("#batch-picked textarea, #batch-picked input", `${performance.now()} ${row.dataset.again}`);
  });
  // Gradio may draw the list anew, so it is looked for each time; a search changes it, and little else does.
  let lastList = "";
  const lookForResults = () => {
    const list = document.querySelector("#shown-tiles [data-map]");
    const now = list ? list.dataset.map + list.dataset.link : "";
    if (list && now !== lastList) {
      lastList = now;
      results();
    }
  };
  new MutationObserver(lookForResults).observe(document.body, { childList: true, subtree: true });
  lookForResults();
  const squares = window.lrsclipSquares(toMap, () => shown?.ground);
  // The frame shows what files are called: nothing that comes out of it is believed unseen.
  window.addEventListener("message", (event) => {
    const map = frame();
    if (!map || event.source !== map.contentWindow) return;
    const said = event.data;
    if (!said || said.lrsclip !== "hits") return;
    if (said.ready === true) showOnMap();
    squares(said);
    if (typeof said.tile === "string") {
      const number = shownTiles().indexOf(said.tile);
      if (number >= 0) pick(number);
    }
    const area = said.area;
    if (Array.isArray(area) && area.length === 4 && area.every((n) => typeof n === "number" && Number.isFinite(n))) {
      if (area.some((n) => Math.abs(n) > 180) || Math.abs(area[1]) > 90 || Math.abs(area[3]) > 90) return;
      put("#area textarea, #area input", area.map((n) => String(Number(n.toFixed(6)))).join(", "));
      window.lrsclipSearchAgain();
    }
    const corners = said.polygon;
    if (Array.isArray(corners) && corners.length > 2 && corners.length <= 100) {
      const isPlace = (one) => Array.isArray(one) && one.length === 2 && one.every((n) => typeof n === "number" && Math.abs(n) <= 360);
      if (!corners.every(isPlace)) return;
      put("#area textarea, #area input", corners.map((one) => one.map((n) => String(Number(n.toFixed(6)))).join(" ")).join(", "));
      window.lrsclipSearchAgain();
    }
  });
}
