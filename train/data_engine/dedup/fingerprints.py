"""Fingerprints that tell near-duplicates from pictures that only look alike, and the search for such pairs.

A fingerprint is a perceptual hash and a small vector; the search misses mirrored and turned copies.

The vector is read off the trunk, not off the whole image tower: the tower is taught to see one scene class as one, and
gives a picture's neighbor in its class a higher cosine than its own re-encoding. The four quarters are averaged apart,
so that a picture with the same textures elsewhere differs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import imagehash
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from lrsclip.checkpoints.factory import load
from lrsclip.clip import LRSCLIP
from lrsclip.errors import DataError
from lrsclip.index.faiss_backend import Engine, EnginePlan
from lrsclip.models.image_tower import TRUNK_CHANNELS
from lrsclip.models.preprocess import to_batch
from lrsclip.vectors import unit

BATCH = 16  # a CPU is a quarter faster where the trunk's maps stay in its cache
_PARTS = 2  # per side
DIMENSION = 256  # of the projected 4 x 1024; twice as many find one copy in a hundred more
_SEED = 0
Rows = NDArray[np.int64]
MAX_PARTNERS = 100
_EXACT_UP_TO = 100_000  # vectors that are all compared with each other
_PROBED = 16
_BANDS = (22, 21, 21)  # bits: few of a million hashes share a band, and a table of its values is small
_SEARCHED_BITS = 8  # two flips in each band; three would be seven times the work
_AT_ONCE, _HELD = 2**20, 2**24  # pairs looked at together; pairs kept before the needless ones are forgotten
_QUERIES = 1024
_ROUNDING = 2e-3  # of a cosine that the vector search gives


class Encoder(Protocol):
    """An encoder of pictures to vectors in which near-duplicates are close and look-alikes are not."""

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        ...

    def encode(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        """Encode N RGB pictures to (N, D) of length one."""
        ...


class TrunkEncoder:
    """The trunk's features, averaged over each quarter of a picture and projected at random to `DIMENSION`.

    `duplicates.Limits` holds for a trunk with ImageNet's weights, which `tiny` has.

    Args:
        bundle: a checkpoint whose image tower is convolutional.

    Raises:
        DataError: its image tower is a ViT.
    """

    def __init__(self, bundle: LRSCLIP) -> None:
        if not bundle.has_trunk:
            raise DataError(
                f"{bundle.name} has no convolutional trunk to fingerprint pictures with; take 'tiny', or no encoder"
            )
        self._bundle = bundle
        signs = np.random.default_rng(_SEED).integers(0, 2, (_PARTS**2 * TRUNK_CHANNELS, DIMENSION)) * 2 - 1
        self._projection = torch.from_numpy(signs.astype(np.float32)).to(bundle.device)

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return DIMENSION

    @torch.inference_mode()
    def encode(self, pictures: list[Image.Image]) -> NDArray[np.float32]:
        """Encode N RGB pictures of any size to (N, D) of length one."""
        bundle, side = self._bundle, self._bundle.image_px
        # Pressed into a square as the hash does: a center crop would not see the ends of a long picture.
        squares = [p.resize((side, side), Image.Resampling.BICUBIC) for p in pictures]
        pixels = to_batch(squares, bundle.preprocess).to(bundle.device, bundle.dtype)
        seen = bundle.model.convolutional.trunk(pixels.contiguous(memory_format=torch.channels_last)).float()
        quarters = F.normalize(F.adaptive_avg_pool2d(seen, _PARTS).flatten(1), dim=-1)
        vectors: NDArray[np.float32] = F.normalize(quarters @ self._projection, dim=-1).cpu().numpy()
        return vectors


def encoder_of(checkpoint: str) -> Encoder:
    """Load the encoder of a checkpoint by its name or path.

    Raises:
        UnknownModelError: nothing goes by that name.
        CheckpointError: it is damaged.
        DataError: its image tower is a ViT.
    """
    return TrunkEncoder(load(checkpoint))


@dataclass(frozen=True)
class Prints:
    """Fingerprints of N pictures, in their order.

    Attributes:
        hashes: (N,) uint64, perceptual hashes; the distance of two is the number of bits in which they differ.
        vectors: (N, D) float16 of length one but for rounding, or (N, 0) without an encoder.
    """

    hashes: NDArray[np.uint64]
    vectors: NDArray[np.float16]

    def __post_init__(self) -> None:
        if self.hashes.ndim != 1 or self.vectors.ndim != 2 or len(self.hashes) != len(self.vectors):
            raise DataError(
                f"hashes {self.hashes.shape} and vectors {self.vectors.shape} do not fit; fingerprint anew, "
                "which makes (N,) and (N, D)"
            )

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.hashes)

    @property
    def has_vectors(self) -> bool:
        """Whether the fingerprints were made with an encoder."""
        return self.vectors.shape[1] > 0


def merged(parts: Sequence[Prints]) -> Prints:
    """Concatenate several fingerprints, for instance those of several sources.

    Raises:
        DataError: none were given, or some have vectors of another length.
    """
    if len(lengths := {part.vectors.shape[1] for part in parts}) != 1:
        raise DataError(f"fingerprints with vectors of {sorted(lengths)} numbers cannot be joined; make all alike anew")
    return Prints(np.concatenate([p.hashes for p in parts]), np.concatenate([p.vectors for p in parts]))


def fingerprint(pictures: Iterable[Image.Image], encoder: Encoder | None) -> Prints:
    """Fingerprint pictures, a batch at a time.

    Args:
        pictures: N decoded RGB pictures; read once, one batch ahead, by another thread.
        encoder: encoder of the vectors; None for hashes alone, which find less.

    Returns:
        N fingerprints.
    """
    hashes: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    vectors: list[NDArray[np.float16]] = [np.zeros((0, encoder.dimension if encoder else 0), np.float16)]
    with ThreadPoolExecutor(1) as pool:
        batches = _batches(iter(pictures))
        ahead = pool.submit(next, batches, None)
        while (ready := ahead.result()) is not None:
            ahead = pool.submit(next, batches, None)
            batch, codes = ready
            hashes.append(codes)
            vectors.append(
                encoder.encode(batch).astype(np.float16) if encoder else np.zeros((len(batch), 0), np.float16)
            )
    return Prints(np.concatenate(hashes), np.concatenate(vectors))


def _batches(pictures: Iterator[Image.Image]) -> Iterator[tuple[list[Image.Image], NDArray[np.uint64]]]:
    while batch := list(itertools.islice(pictures, BATCH)):
        yield batch, np.array([perceptual_hash(picture) for picture in batch], np.uint64)


def perceptual_hash(picture: Image.Image) -> int:
    """Compute the 64 bits of `imagehash.phash`: which of the lowest 8 x 8 frequencies are above their median."""
    return int.from_bytes(np.packbits(imagehash.phash(picture).hash.ravel()).tobytes(), "big")


@dataclass(frozen=True)
class Limits:
    """Thresholds of a near-duplicate pair.

    Attributes:
        cosine: the least cosine of two pictures with the same hash.
        cosine_per_bit: increase of that cosine for each bit in which their hashes differ.
        hash_bits: where there are no vectors, the most bits in which hashes may differ; at most 8.
    """

    cosine: float = 0.80
    cosine_per_bit: float = 0.01
    hash_bits: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.hash_bits <= _SEARCHED_BITS:
            raise DataError(f"hash_bits is {self.hash_bits}; set it to 0 to {_SEARCHED_BITS}, or fingerprint vectors")


class Pairs(NamedTuple):
    """Near-duplicate pictures, each two once, ordered by the second, then the first.

    Attributes:
        first, second: (P,) int64 rows, first < second.
        hamming: (P,) int64 bits in which their hashes differ.
        cosine: (P,) float32; NaN without vectors.
    """

    first: Rows
    second: Rows
    hamming: Rows
    cosine: NDArray[np.float32]


def find_pairs(prints: Prints, limits: Limits | None = None) -> Pairs:
    """Find near-duplicates among N pictures: all up to 100,000, all but a few beyond.

    Of each row the `MAX_PARTNERS` first earlier partners are kept, so that ten thousand empty tiles do not make fifty
    million pairs.

    Args:
        prints: of the pictures.
        limits: thresholds of a pair.
    """
    limits, count = limits or Limits(), max(1, len(prints))
    candidates = [_near_hashes(prints.hashes, _SEARCHED_BITS if prints.has_vectors else limits.hash_bits)]
    if prints.has_vectors:
        beyond = limits.cosine + limits.cosine_per_bit * (_SEARCHED_BITS + 1)  # the search by hash finds nearer ones
        candidates.append(_near_vectors(prints.vectors, beyond))
    parts, held = [np.zeros(0, np.int64)], 0
    for a, b in itertools.chain.from_iterable(candidates):
        first, second = np.minimum(a, b), np.maximum(a, b)
        if prints.has_vectors:
            least = limits.cosine + limits.cosine_per_bit * hamming(prints, first, second)
            maybe = np.flatnonzero(least <= 1)
            first, second = first[maybe], second[maybe]
            near = cosine(prints, first, second) >= least[maybe] - 1e-6
            first, second = first[near], second[near]
        parts.append(second * count + first)
        held += len(first)
        if held > _HELD:
            parts = [_first_partners(np.concatenate(parts), count)]
            held = len(parts[0])
    codes = _first_partners(np.concatenate(parts), count)
    first, second = codes % count, codes // count
    return Pairs(first, second, hamming(prints, first, second), cosine(prints, first, second))


def _first_partners(codes: Rows, count: int) -> Rows:
    """Keep each pair once, and a row's `MAX_PARTNERS` first; a pair's code is second * count + first."""
    codes = np.unique(codes)
    second = codes // count
    return codes[np.arange(len(codes)) - np.searchsorted(second, second) < MAX_PARTNERS]


def hamming(prints: Prints, a: Rows, b: Rows) -> Rows:
    """Count the bits in which the hashes of rows `a` and `b` differ, (P,) each."""
    return np.bitwise_count(prints.hashes[a] ^ prints.hashes[b]).astype(np.int64)


def cosine(prints: Prints, a: Rows, b: Rows) -> NDArray[np.float32]:
    """Compute the cosines of the vectors of rows `a` and `b`, (P,) each; NaN without vectors."""
    out = np.full(len(a), np.nan, np.float32)
    for start in range(0, len(a) if prints.has_vectors else 0, _QUERIES * 16):
        some = slice(start, start + _QUERIES * 16)
        out[some] = np.einsum("nd,nd->n", unit(prints.vectors[a[some]]), unit(prints.vectors[b[some]]))
    return out


def _near_hashes(hashes: NDArray[np.uint64], max_bits: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield every two rows whose hashes differ in `max_bits` or fewer, some of them more than once.

    Of three bands of a hash one differs in a third of the bits or fewer. So in each band, rows of the same value and of
    values so many flips apart are compared.
    """
    flips, shift = max_bits // len(_BANDS), 0
    for width in _BANDS:
        values = ((hashes >> np.uint64(shift)) & np.uint64(2**width - 1)).astype(np.int64)
        shift += width
        order = np.argsort(values, kind="stable").astype(np.int64)
        values, codes = values[order], hashes[order]
        starts = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=2**width))])
        for rows, low, sizes in _met(values, starts, width, flips):
            for left, right in _every_two(rows, low, sizes):
                near = np.bitwise_count(codes[left] ^ codes[right]) <= max_bits
                yield order[left[near]], order[right[near]]


def _met(values: Rows, starts: Rows, width: int, flips: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield rows with the sorted rows that they meet: for each, the first of these and their number."""
    everyone = np.arange(len(values))
    yield everyone, everyone + 1, starts[values + 1] - everyone - 1
    for top in range(width if flips else 0):
        rows = np.flatnonzero((values >> top) & 1 == 0)  # of two values the one without this bit asks
        for number in range(flips):
            for lower in itertools.combinations(range(top), number):
                other = values[rows] ^ sum(1 << bit for bit in (top, *lower))
                low = starts[other]
                sizes = starts[other + 1] - low
                some = np.flatnonzero(sizes)
                yield rows[some], low[some], sizes[some]


def _every_two(rows: Rows, low: Rows, sizes: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Yield each row with each of the `sizes` rows from `low` on, about `_AT_ONCE` pairs at once."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(rows):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _AT_ONCE, side="right")))
        some = slice(start, stop)
        left = np.repeat(rows[some], sizes[some])
        firsts = np.repeat(low[some] - (ends[some] - sizes[some] - before), sizes[some])
        yield left, firsts + np.arange(len(left))
        start = stop


def _near_vectors(vectors: NDArray[np.float16], least: float) -> Iterator[tuple[Rows, Rows]]:
    """Yield every two rows of a cosine of `least` or more, and some of a little less."""
    count = len(vectors)
    if count < 2 or least > 1:
        return
    plan = EnginePlan("flat")
    if count > _EXACT_UP_TO:
        plan = EnginePlan("ivf", lists=2 ** round(math.log2(4 * math.sqrt(count))))
    index = Engine(vectors, plan).index
    if plan.kind == "ivf":
        index.nprobe = _PROBED
    for start in range(0, count, _QUERIES):
        ends, _, found = index.range_search(unit(vectors[start : start + _QUERIES]), least - _ROUNDING)
        asked = np.repeat(np.arange(start, start + len(ends) - 1), np.diff(ends.astype(np.int64)))
        other = found != asked
        yield asked[other], found[other].astype(np.int64)
