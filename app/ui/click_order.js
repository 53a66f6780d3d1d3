// A click on "Run" that comes while a lesson or an example is still filling the boxes waits until they are filled.
// Buttons of the class `fills-ID` fill what the button ID reads. Runs before the page is built, so that no click is too early.
(() => {
  const LONGEST_MS = 15000; // an answer that never comes must not hold the button for ever
  const filling = new Map();
  const wanted = new Set();
  const isFilling = (run) =>
    [...filling.values()].some((one) => one.run === run && performance.now() - one.since < LONGEST_MS);
  document.addEventListener(
    "click",
    (event) => {
      const button = event.target.closest?.("button[id]");
      if (!button) return;
      const fills = [...button.classList].find((name) => name.startsWith("fills-"));
      if (fills) filling.set(button.id, { run: fills.slice("fills-".length), since: performance.now() });
      else if (isFilling(button.id)) {
        event.stopImmediatePropagation();
        event.preventDefault();
        wanted.add(button.id);
      }
    },
    true,
  );
  window.lrsclipFilled = (id) => {
    const run = filling.get(id)?.run;
    filling.delete(id);
    if (isFilling(run) || !wanted.delete(run)) return;
    setTimeout(() => document.getElementById(run)?.click(), 100); // the boxes are drawn first
  };
})();
