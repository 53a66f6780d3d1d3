// Brings the squares of a map's ground: the frame that shows the map may ask the network for nothing. Runs before the
// page is built; the pages' own scripts use it.
window.lrsclipSquares = (toMap, groundOf) => {
  const coming = new Map();
  const pause = (seconds) => new Promise((go) => setTimeout(go, 1000 * seconds));
  const bring = async ({ id, z, x, y }) => {
    if (![id, z, x, y].every((n) => Number.isInteger(n) && n >= 0) || !groundOf()) return;
    const page = location.origin + location.pathname.replace(/\/?$/, "/");
    const address = `${page}ground/${encodeURIComponent(groundOf())}/${z}/${x}/${y}.webp`;
    const left = new AbortController();
    coming.set(id, left);
    for (let tries = 0; tries < 8 && !left.signal.aborted; tries++) {
      const answer = await fetch(address, { signal: left.signal }).catch(() => null);
      const picture = answer?.status === 200 ? await answer.blob().catch(() => null) : null;
      if (left.signal.aborted) break;
      const unfinished = !answer || answer.status === 429 || answer.headers.has("x-unfinished");
      if (picture || !unfinished) toMap({ square: { id, picture, unfinished } });
      if (!unfinished) break;
      await pause(Math.min(5, 1 + tries / 4));
    }
    if (coming.get(id) === left) coming.delete(id);
  };
  return (said) => {
    if (said.ready === true) {
      coming.forEach((left) => left.abort()); // the frame is a new one, and counts from the beginning
      coming.clear();
    }
    if (said.want) bring(said.want);
    if (coming.has(said.drop)) coming.get(said.drop).abort();
  };
};
