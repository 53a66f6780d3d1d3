"""Grounding on rendered landscapes: does the model tell a true description from one with a single false claim?

For each tile of a world that nothing is trained on: its description, and for each kind of claim (count, color, object,
place, relation) the same description with exactly one claim of that kind made false. The model prefers the one whose
vector lies nearer to the tile's; chance is 50 %. And, in another such world, long descriptions find their own tile.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lrsclip.atlas.falsify import falsified
from lrsclip.atlas.noise import rng_at
from lrsclip.atlas.seeds import DEFAULT_SEED, GROUNDING_SEED
from lrsclip.atlas.statement import CLAIM_KINDS
from lrsclip.metrics import RetrievalScores, hit_chances
from lrsclip.models.tokenizer import Tokenizer
from lrsclip.tiles.atlas import AtlasTiles
from lrsclip.zero_shot.classifier import Encoders
from train.data.records import Record
from train.evaluation.result import Result
from train.evaluation.vectors import PictureVectors, text_vectors

GROUNDING = "grounding"
LIMITS = (77, 248)
_BANDS = ((0, 60, "under 60 tokens"), (60, 100, "60 to 99 tokens"), (100, 10_000, "100 tokens and more"))


@dataclass(frozen=True)
class Pair:
    """A true description of a tile and the same with one false claim.

    Attributes:
        tile: number of the tile.
        kind: of the claim that was made false.
        true, false: the two texts.
        tokens: length of the true one, start and end mark included.
    """

    tile: int
    kind: str
    true: str
    false: str
    tokens: int


def pairs_of(source: AtlasTiles, count: int) -> list[Pair]:
    """Build the pairs of the first `count` tiles: up to one of each kind for a tile."""
    tokenizer, pairs = Tokenizer(context_length=max(LIMITS)), []
    for number, tile_id in enumerate(tqdm(source.tile_ids()[:count], desc="false claims", unit="tile", delay=2)):
        truth = source.truth(tile_id)
        told = source.told(tile_id, truth)
        true = source.described(told, tile_id)
        for kind in CLAIM_KINDS:
            changed = falsified(told, truth, kind, rng_at(source.seed, f"false {kind}", number))
            if changed is not None:
                at, statement = changed
                false = source.described([*told[:at], statement, *told[at + 1 :]], tile_id)
                pairs.append(Pair(number, kind, true, false, tokenizer.count(true)))
    return pairs


def run_grounding(
    bundle: Encoders, vectors: PictureVectors, tiles: int = 1000, index_tiles: int = 1024
) -> list[Result]:
    """Measure retrieval of tiles by description, and preference of true over false claims.

    Args:
        bundle: the model.
        vectors: the run's pictures.
        tiles: of the world of false claims.
        index_tiles: of the world that is searched.

    Returns:
        A row of retrieval, a row for each cut of the texts, and a row for each length; a figure is the per cent of
        pairs in which the truth is nearer, ties counted half.
    """
    return [_retrieval(bundle, vectors, index_tiles), *_preference(bundle, vectors, tiles)]


def _retrieval(bundle: Encoders, vectors: PictureVectors, tiles: int) -> Result:
    started = time.monotonic()
    source = AtlasTiles(DEFAULT_SEED, tiles)
    image = _pictures(source, vectors, tiles)
    texts = [source.texts(tile_id).long for tile_id in source.tile_ids()]
    distinct, row = text_vectors(bundle, texts)
    score = (image @ distinct.T)[:, row]
    own = np.eye(len(image), dtype=np.bool_)
    scores = RetrievalScores.mean_of(hit_chances(score, own), hit_chances(score.T, own))
    seconds = time.monotonic() - started
    return Result(
        GROUNDING, f"atlas {source.seed}", "long description, own tile", tiles, tiles, scores.as_dict(), seconds
    )


def _preference(bundle: Encoders, vectors: PictureVectors, tiles: int) -> list[Result]:
    started = time.monotonic()
    source = AtlasTiles(GROUNDING_SEED, tiles)
    image = _pictures(source, vectors, tiles)
    pairs = pairs_of(source, tiles)
    chosen = image[[pair.tile for pair in pairs]]
    results = []
    for limit in LIMITS:
        cut = Tokenizer(context_length=limit)
        distinct, row = text_vectors(bundle, [_cut(cut, text) for p in pairs for text in (p.true, p.false)])
        both = np.einsum("pd,psd->ps", chosen, distinct[row].reshape(len(pairs), 2, -1))
        won = 100 * ((both[:, 0] > both[:, 1]) + 0.5 * (both[:, 0] == both[:, 1]))
        rows = [(f"cut at {limit} tokens", np.ones(len(pairs), np.bool_))]
        if limit == max(LIMITS):
            tokens = np.array([pair.tokens for pair in pairs])
            rows += [(f"{name}, cut at {limit}", (tokens >= low) & (tokens < high)) for low, high, name in _BANDS]
        for name, some in rows:
            if some.any():
                results.append(
                    _row(
                        f"atlas {source.seed}",
                        name,
                        [p for p, s in zip(pairs, some, strict=True) if s],
                        won[some],
                        started,
                    )
                )
                started = time.monotonic()
    return results


def _row(data: str, protocol: str, pairs: list[Pair], won: np.ndarray, started: float) -> Result:
    kinds = np.array([pair.kind for pair in pairs])
    metrics: dict[str, float] = {
        kind: float(won[kinds == kind].mean()) for kind in CLAIM_KINDS if (kinds == kind).any()
    }
    metrics["claims"] = float(won.mean())
    detail = {f"pairs {kind}": float((kinds == kind).sum()) for kind in CLAIM_KINDS}
    tiles = len({pair.tile for pair in pairs})
    return Result(GROUNDING, data, protocol, tiles, len(pairs), metrics, time.monotonic() - started, detail)


def _cut(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.describe(text).kept


def _pictures(source: AtlasTiles, vectors: PictureVectors, count: int) -> np.ndarray:
    with tqdm(total=len(source), desc=f"drawing atlas {source.seed}", unit="tile", delay=2) as bar:
        source.prepare(lambda done, _total: bar.update(done - bar.n))
    files: list[Path] = [source.kept_file(tile_id) for tile_id in source.tile_ids()[:count]]
    return vectors.of([Record("atlas", file, "test") for file in files], f"atlas {source.seed}")
