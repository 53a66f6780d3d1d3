"""Tiles to vectors, with the pictures read ahead in threads so that the encoder does not wait for them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrsclip.errors import IndexMismatchError, PictureError
from lrsclip.index.build_parts import Encoded
from lrsclip.index.schema import ImageEncoder, Row, Skipped
from lrsclip.tiles.base import Fingerprinted, TileSource

_MAX_THREADS = 8
_BATCHES_AHEAD = 2
# A picture waits for the encoder at no less than this many times the side that the encoder will bring it to.
_KEPT_OVERSAMPLING = 4


@dataclass(frozen=True)
class _Decoded:
    row: Row
    picture: Image.Image


def fingerprint_of(source: TileSource, tile_id: str) -> str | None:
    """Read the state of a tile's picture; None where the source cannot tell."""
    return source.fingerprint(tile_id) if isinstance(source, Fingerprinted) else None


def encode_tiles(
    source: TileSource,
    bundle: ImageEncoder,
    tile_ids: list[str],
    *,
    batch_size: int,
    stop: threading.Event | None = None,
) -> Generator[Encoded, None, None]:
    """Encode tiles batch by batch, in the given order; end early, dropping the batch at hand, once stop is set.

    Args:
        source: source of the pictures; it is asked from several threads.
        bundle: the model.
        tile_ids: ids of the tiles.
        batch_size: tiles per call of the encoder.
        stop: set it to end early.

    Yields:
        Rows and vectors of each batch, with the tiles that could not be read.

    Raises:
        IndexMismatchError: the model's vectors are not (n, D) finite numbers.
    """
    with closing(_read_ahead(source, bundle.image_px, tile_ids, _BATCHES_AHEAD * batch_size)) as outcomes:
        batch: list[_Decoded | Skipped] = []
        for outcome in outcomes:
            if stop is not None and stop.is_set():
                return
            batch.append(outcome)
            if len(batch) == batch_size:
                yield _encode_batch(bundle, batch)
                batch = []
        if batch:
            yield _encode_batch(bundle, batch)


def _read_ahead(
    source: TileSource, image_px: int, tile_ids: list[str], limit: int
) -> Generator[_Decoded | Skipped, None, None]:
    pool = ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="tile-reader")
    waiting = iter(tile_ids)

    def read(tile_id: str) -> Future[_Decoded | Skipped]:
        return pool.submit(_decode, source, image_px, tile_id)

    try:
        ahead = deque(map(read, islice(waiting, limit)))
        while ahead:
            outcome = ahead.popleft().result()
            ahead.extend(map(read, islice(waiting, 1)))
            yield outcome
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(source: TileSource, image_px: int, tile_id: str) -> _Decoded | Skipped:
    # Taken before the pixels: a picture that changes in between then counts as changed.
    fingerprint = fingerprint_of(source, tile_id)
    try:
        row = Row(source.tile(tile_id), source.spec, fingerprint)
        return _Decoded(row, _reduced(source.picture(tile_id), image_px))
    except PictureError as error:
        return Skipped(tile_id, str(error), source.spec, fingerprint)


def _reduced(picture: Image.Image, image_px: int) -> Image.Image:
    """Shrink large pictures by a whole factor, or a hundred waiting scenes of 100 megapixels would fill the memory."""
    factor = min(picture.size) // (_KEPT_OVERSAMPLING * image_px)
    return picture.reduce(factor) if factor > 1 else picture


def _encode_batch(bundle: ImageEncoder, batch: list[_Decoded | Skipped]) -> Encoded:
    skipped = [one for one in batch if isinstance(one, Skipped)]
    decoded = [one for one in batch if isinstance(one, _Decoded)]
    try:
        vectors = _vectors(bundle, [one.picture for one in decoded])
    except PictureError:  # the encoder refuses one of them, and encoding one by one isolates it
        kept: list[_Decoded] = []
        single = [_vectors(bundle, [])]
        for one in decoded:
            try:
                single.append(_vectors(bundle, [one.picture]))
                kept.append(one)
            except PictureError as error:
                tile_id = one.row.tile.tile_id
                reason = f"cannot encode {tile_id}: {error}"
                skipped.append(Skipped(tile_id, reason, one.row.source_spec, one.row.fingerprint))
        decoded, vectors = kept, np.concatenate(single)
    return Encoded(tuple(one.row for one in decoded), vectors, tuple(skipped))


def _vectors(bundle: ImageEncoder, pictures: list[Image.Image]) -> NDArray[np.float16]:
    if not pictures:
        return np.zeros((0, bundle.embed_dim), np.float16)
    vectors = bundle.encode_image(pictures)
    if vectors.shape != (len(pictures), bundle.embed_dim) or not np.isfinite(vectors).all():
        raise IndexMismatchError(
            f"model {bundle.name} gave vectors of shape {vectors.shape}, or not finite, where "
            f"({len(pictures)}, {bundle.embed_dim}) finite numbers were due; its checkpoint does not fit, load another"
        )
    return vectors.astype(np.float16)
