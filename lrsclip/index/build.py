"""Build an index in a folder, go on with one that was stopped or killed, or bring a finished one up to date."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from pathlib import Path
from shlex import quote

from lrsclip.errors import IndexDamagedError, IndexMismatchError
from lrsclip.index.build_parts import PartStore, directory_lock
from lrsclip.index.faiss_backend import forget_kept
from lrsclip.index.index import TileIndex
from lrsclip.index.refresh import Pace, Progress, is_current, refresh
from lrsclip.index.schema import ImageEncoder, IndexData, Manifest, ModelMark, build_command
from lrsclip.index.storage import (
    discard_parts,
    has_index,
    litter,
    new_manifest,
    read_index,
    read_manifest,
    require_room,
    tidy,
    write_index,
)
from lrsclip.io.user_cache import user_cache
from lrsclip.tiles.base import Preparable, TileSource

log = logging.getLogger(__name__)


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
        stop: set it to end early; finished tiles are kept.
        rebuild: begin anew, whatever state the index in the folder is in and whichever model or tiles it is of. That
            index counts until the new one is complete; of a rebuild that is stopped, nothing is kept. Sources that
            were added to it have to be added again; a warning names them.

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
        return _rebuilt(source, bundle, directory, pace)
    existing = _existing(directory, source, model)
    # Looked at without the lock first: a finished index may lie in a folder that cannot be written to.
    unfinished = existing is None or parts.exists() or litter(directory, existing[0])
    retry = os.access(directory, os.W_OK)
    if existing is not None and not unfinished and is_current(existing[1], source, retry=retry, pace=pace):
        pace.report(len(source), len(source))
        return TileIndex(existing[1], existing[0])
    if isinstance(source, Preparable):
        source.prepare(stop=stop)  # with all cores, before one encoder waits for single tiles
    with directory_lock(directory, stop):
        existing = _existing(directory, source, model)
        before = existing[1] if existing is not None else None
        data = refresh(before, source, bundle, parts=parts, pace=pace)
        if existing is not None and data is before:
            manifest = existing[0]
            tidy(directory, manifest)  # of a build that was killed between its last two steps
        else:
            manifest = write_index(directory, data, new_manifest(data, model))
            if existing is not None and existing[0].vectors_sha256 != manifest.vectors_sha256:
                forget_kept(existing[0].vectors_sha256)
        parts.clear()
    return TileIndex(data, manifest)


def _rebuilt(source: TileSource, bundle: ImageEncoder, directory: Path, pace: Pace) -> TileIndex:
    require_room(directory, anyhow=True)
    if isinstance(source, Preparable):
        source.prepare(stop=pace.stop)
    with directory_lock(directory, pace.stop):
        try:
            old = read_manifest(directory)
        except IndexDamagedError:
            old = None
        data = refresh(None, source, bundle, parts=None, pace=pace)
        manifest = write_index(directory, data, new_manifest(data, ModelMark.of(bundle)), anyhow=True)
        discard_parts(directory)
    if old is not None and old.vectors_sha256 != manifest.vectors_sha256:
        forget_kept(old.vectors_sha256)
    if lost := [spec for spec in old.source_specs if spec != source.spec] if old is not None else []:
        add = " and ".join(f"`python -m lrsclip.index add {quote(str(directory))} {quote(spec)}`" for spec in lost)
        log.warning("the rebuilt index holds %s alone; add its other tiles again with %s", source.spec, add)
    return TileIndex(data, manifest)


def default_cache_dir(source: TileSource, bundle: ImageEncoder) -> Path:
    """Propose a folder in the user's cache for an index of this source by this model.

    See `lrsclip.io.user_cache` for its place.
    """
    key = hashlib.sha256(f"{source.spec}\0{bundle.sha256}\0{bundle.image_px}".encode()).hexdigest()[:24]
    return user_cache() / "index" / key


def _existing(directory: Path, source: TileSource, model: ModelMark) -> tuple[Manifest, IndexData] | None:
    if not has_index(directory):
        return None
    manifest, data = read_index(directory, model)
    if source.spec not in manifest.source_specs:
        raise IndexMismatchError(
            f"the index in {directory} is of {', '.join(manifest.source_specs)}, not of {source.spec}; "
            f"build into another folder, replace it with `{build_command(directory)} --rebuild`, or take the tiles in "
            "with TileIndex.add"
        )
    return manifest, data
