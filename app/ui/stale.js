// Dims an answer once the boxes differ from what it answers; see `answered.py`. Runs before the page is built.
(() => {
  const answers = Object.entries(window.lrsclipAnswers).map(([name, parts]) => ({ name, ...parts, number: "0", begun: null, asked: null }));
  const byId = (id) => document.getElementById(id);
  // A box in a fold that is closed is not there; it is as it was.
  const valueOf = (id) => {
    const box = byId(id);
    if (!box) return undefined;
    const fields = [...box.querySelectorAll("textarea, input:not([type=file])")].map((field) =>
      field.type === "checkbox" || field.type === "radio" ? field.checked : field.value.trim(),
    );
    const pictures = [...box.querySelectorAll("img")].map((picture) => picture.src);
    const files = [...box.querySelectorAll("table")].map((table) => table.textContent);
    return JSON.stringify([fields, pictures, files]);
  };
  const boxesOf = (answer) => Object.fromEntries(answer.boxes.map((id) => [id, valueOf(id)]));
  // A box that was in a closed fold is taken as it is when the fold opens.
  const differs = (then, now) =>
    Object.keys(then).some((id) => {
      then[id] ??= now[id];
      return now[id] !== undefined && then[id] !== now[id];
    });
  const look = () => {
    for (const answer of answers) {
      const mark = document.querySelector(`[data-answered="${answer.name}"]`);
      if (!mark) continue;
      if (mark.dataset.number !== answer.number) {
        answer.number = mark.dataset.number;
        answer.asked = answer.begun ?? boxesOf(answer);
        answer.begun = null;
      }
      const stale = answer.number !== "0" && differs(answer.asked, boxesOf(answer));
      for (const id of answer.shown) {
        const part = byId(id);
        if (part && part.hasAttribute("data-stale") !== stale) part.toggleAttribute("data-stale", stale);
      }
    }
  };
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      look();
    }, 60);
  };
  document.addEventListener(
    "click",
    (event) => {
      const button = event.target.closest?.("button");
      const begins = answers.find((answer) => answer.button === button?.id);
      if (begins) begins.begun = boxesOf(begins);
    },
    true,
  );
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter") return;
      const begins = answers.find((answer) => answer.boxes.some((id) => byId(id)?.contains(event.target)));
      if (begins) begins.begun = boxesOf(begins);
    },
    true,
  );
  document.addEventListener("input", soon, true);
  document.addEventListener("change", soon, true);
  // the document, because the page's body may not be there yet
  new MutationObserver(soon).observe(document, { childList: true, subtree: true, attributeFilter: ["src", "data-number"] });
})();
