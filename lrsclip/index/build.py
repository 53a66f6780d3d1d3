"""Build an index in a folder, go on with one that was stopped or killed, or bring a finished one up to date."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from lrsclip.errors import IndexMismatchError
from lrsclip.index.data import ImageEncoder, IndexData, Manifest, ModelMark
from lrsclip.index.disk import discard, has_index, litter, new_manifest, read_index, tidy
from lrsclip.index.index import TileIndex
from lrsclip.index.parts import PartStore, directory_lock
from lrsclip.index.refresh import Pace, Progress, is_current, refresh
from lrsclip.tiles.source import Preparable, TileSource
from lrsclip.user_cache import user_cache


def build_index(
    source: TileSource,
    bundle: ImageEncoder,
    directory: str | os.PathLike[str],
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    rebuild: bool = False,
) -> TileIndex:
    """Index a source's tiles in a folder.

    A complete index of the same model and the same tiles is loaded. If tiles came, changed or went, only the new and
    changed ones are encoded and the vanished ones dropped. A build that was stopped, killed or crashed goes on where
    it was. Pictures that cannot be read are left out and listed in the manifest; they are tried again whenever
    something else is to be done, or when their file changes. A second builder in the same folder waits for the first.

    Args:
        source: the tiles.
        bundle: the model.
        directory: the index's folder; made if need be. `default_cache_dir` proposes one.
        batch_size: tiles per call of the encoder.
        progress: called with tiles done and tiles in all, at the start and after every batch.
        stop: set it to end early; what is finished is kept.
        rebuild: begin anew, whatever state the index in the folder is in and whichever model or tiles it is of.

    Returns:
        The index, saved in the folder.

    Raises:
        Cancelled: stop was set before the end.
        IndexMismatchError: the folder holds an index of another model or other tiles.
        IndexDamagedError: the index in the folder is damaged, or the folder cannot be written to.
        TileSourceError: not one picture can be read.
        IndexArgumentError: batch_size is below one.
    """
    directory, pace = Path(directory), Pace(batch_size, progress, stop)
    model = ModelMark.of(bundle)
    parts = PartStore(directory, model, source.spec)
    if rebuild:
        with directory_lock(directory, stop):
            discard(directory)
    existing = _existing(directory, source, bundle)
    # Looked at without the lock first: a finished index may lie in a folder that cannot be written to.
    unfinished = existing is None or parts.exists() or litter(directory, existing[0])
    if existing is not None and not unfinished and is_current(existing[1], source):
        pace.report(len(source), len(source))
        return TileIndex(existing[1], existing[0])
    if isinstance(source, Preparable):
        source.prepare(stop=stop)  # with all cores, before one encoder waits for single tiles
    with directory_lock(directory, stop):
        existing = _existing(directory, source, bundle)
        before = existing[1] if existing is not None else None
        data = refresh(before, source, bundle, parts=parts, pace=pace)
        if existing is not None and data is before:
            index = TileIndex(data, existing[0])
            tidy(directory, existing[0])  # of a build that was killed between its last two steps
        else:
            index = TileIndex(data, new_manifest(data, model))
            index.save(directory)
        parts.clear()
    return index


def default_cache_dir(source: TileSource, bundle: ImageEncoder) -> Path:
    """Folder for an index of this source by this model, in the user's cache.

    See `lrsclip.user_cache` for where that is.
    """
    key = hashlib.sha256(f"{source.spec}\0{bundle.sha256}\0{bundle.image_px}".encode()).hexdigest()[:24]
    return user_cache() / "index" / key


def _existing(directory: Path, source: TileSource, bundle: ImageEncoder) -> tuple[Manifest, IndexData] | None:
    if not has_index(directory):
        return None
    manifest, data = read_index(directory, bundle)
    if source.spec not in manifest.source_specs:
        raise IndexMismatchError(
            f"the index in {directory} is of {', '.join(manifest.source_specs)}, not of {source.spec}; "
            "build into another folder, delete this one to rebuild it, or take the tiles in with TileIndex.add"
        )
    return manifest, data
