"""Calibrate "no good match": `python -m train.calibration.match --checkpoint CHECKPOINT --data ../shared/data`.

Descriptions are asked of collections of several sizes that hold their tile, and of the same without it and all others
of its kind: the atlas' tiles (a kind is a land use) and RSICD's pictures (a kind is a scene class). Each has a short
text, a long one, the name of its kind, and its kind in other people's words: RSICD's in sentences that were written for
it by nobody who knew the captions, one part of them to fit on and another to measure (`train.evaluation.own_words`).
A logistic regression weighs the evidence (`calibration.match`), in which a text in own words counts as much as all
others together. By those texts alone the bounds between yes, unsure and no are chosen, and the rates that users are
told are theirs, counted on kinds of the atlas that were not asked for in the fit and on RSICD's test pictures. All goes
into the checkpoint's manifest.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lrsclip import LRSCLIP
from lrsclip.calibration.land_use import LAND_USES, land_use_references
from lrsclip.calibration.logistic import logistic
from lrsclip.calibration.match import BEST, MANIFEST_KEY, centroid, evidence
from lrsclip.index import build_index, default_cache_dir
from lrsclip.tiles.atlas import AtlasTiles
from train.calibration.bounds import bounds_of
from train.calibration.presence import fitted, into_manifest
from train.command import run_command
from train.data.text_pairs import paragraph
from train.data.wording.bank import concept_of, draw_phrase
from train.evaluation.own_words import own_sentences
from train.evaluation.sets import rsicd_classes
from train.evaluation.vectors import PictureVectors
from train.mosaics import CLASS_SENTENCE
from train.provenance import provenance

SEED = 5
SIZES = (128, 512, 1024)
TEXTS = ("short", "long", "name", "own words")
_OWN = TEXTS.index("own words")
_MIN_SHARE = 0.02  # of a tile that a land use covers; with less the tile counts as without it

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Gallery:
    """Tiles with their kinds and texts.

    Attributes:
        vectors: (N, D) L2-normalized.
        kind: (N,) number of the kind that a tile is named by; -1: none, the tile is a distractor only.
        shows: (N, K) whether a tile shows something of a kind.
        texts: name of a text -> (N, D), L2-normalized.
    """

    vectors: Floats
    kind: npt.NDArray[np.int64]
    shows: npt.NDArray[np.bool_]
    texts: dict[str, Floats]


def of_atlas(bundle: LRSCLIP, source: AtlasTiles) -> Gallery:
    """Build a gallery of the atlas' tiles, whose land uses are known from their ground truth."""
    source.prepare()
    index = build_index(source, bundle, default_cache_dir(source, bundle))
    ids, kinds = source.tile_ids(), list(LAND_USES)
    kind, shows = np.full(len(ids), -1), np.zeros((len(ids), len(kinds)), np.bool_)
    for row, tile_id in enumerate(tqdm(ids, desc="atlas", unit="tile")):
        truth = source.truth(tile_id)
        for name, area in truth.areas.items():
            if name in kinds and area.area >= _MIN_SHARE * truth.size_m**2:
                shows[row, kinds.index(name)] = True
        scene = next((said.subject for said in source.told(tile_id, truth) if said.form == "scene"), None)
        if scene in kinds:
            kind[row] = kinds.index(scene)
            shows[row, kind[row]] = True
    texts = [source.texts(tile_id) for tile_id in ids]
    names = [CLASS_SENTENCE.format(LAND_USES[kinds[number]][0].split(" ", 1)[-1]) for number in kind]
    random = np.random.default_rng(SEED)
    own = [draw_phrase(concept_of(kinds[number]), random) for number in kind]
    vectors = np.stack([index.vector(tile_id) for tile_id in ids])
    said = _encoded(bundle, [t.short for t in texts], [t.long for t in texts], names, own)
    return Gallery(vectors, kind, shows, said)


def of_rsicd(bundle: LRSCLIP, data: Path, split: str) -> Gallery:
    """Build a gallery of RSICD's pictures of a split that have a class and a caption.

    Raises:
        DataError: RSICD or the split is not there.
    """
    records = [record for record in rsicd_classes(data, split).records if record.captions]
    kinds = sorted({str(record.label) for record in records})
    kind = np.array([kinds.index(str(record.label)) for record in records])
    vectors = PictureVectors(bundle).of(records, f"RSICD {split}")
    names = [CLASS_SENTENCE.format(record.label) for record in records]
    own = _own_words([str(record.label) for record in records], for_choice=split != "test")
    texts = _encoded(bundle, [record.captions[0] for record in records], [paragraph(r) for r in records], names, own)
    return Gallery(vectors, kind, np.eye(len(kinds), dtype=np.bool_)[kind], texts)


def _own_words(labels: list[str], *, for_choice: bool) -> list[str]:
    """Choose for each of some pictures a sentence of its class in a stranger's words."""
    random, sentences = np.random.default_rng(SEED), dict[str, list[str]]()
    for one in own_sentences():
        if one.for_choice is for_choice:
            sentences.setdefault(one.label, []).append(one.text)
    return [str(random.choice(sentences[label])) for label in labels]


def _encoded(bundle: LRSCLIP, *texts: list[str]) -> dict[str, Floats]:
    return {name: bundle.encode_text(said) for name, said in zip(TEXTS, texts, strict=True)}


def measured(
    gallery: Gallery, references: Floats, asked: Sequence[int], seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Compute the evidence of every text of some kinds' tiles, (Q, 4), and whether its tile was there, (Q,).

    Args:
        gallery: the tiles.
        references: (R, D) of `land_use_references`.
        asked: numbers of the kinds whose tiles are asked for.
        seed: decides which tiles are in a collection.
    """
    rng = np.random.default_rng(seed)
    rows, there = [], []
    for at in np.flatnonzero(np.isin(gallery.kind, list(asked))):
        others = np.flatnonzero(~gallery.shows[:, gallery.kind[at]])
        everything = np.delete(np.arange(len(gallery.kind)), at)
        for size in SIZES:
            without = rng.permutation(others)[:size]
            within = np.append(rng.permutation(everything)[: len(without) - 1], at)
            tiles = [gallery.vectors[places] for places in (within, without)]
            centers = [centroid(vectors) for vectors in tiles]
            for name in TEXTS:
                text = gallery.texts[name][at]
                for vectors, middle, is_there in zip(tiles, centers, (True, False), strict=True):
                    best = vectors[np.argsort(-(vectors @ text), kind="stable")[:BEST]]
                    rows.append(evidence(text, best, middle, references, len(vectors)))
                    there.append(is_there)
    return np.array(rows), np.array(there)


def calibrated(bundle: LRSCLIP, data: Path, atlas: AtlasTiles) -> dict[str, Any]:
    """Fit the weights and measure them on held-out kinds and pictures; return the manifest's entry."""
    landscape, fitting, testing = of_atlas(bundle, atlas), of_rsicd(bundle, data, "val"), of_rsicd(bundle, data, "test")
    return weighed(landscape, fitting, testing, land_use_references(bundle))


def weighed(landscape: Gallery, fitting: Gallery, testing: Gallery, references: Floats) -> dict[str, Any]:
    """Fit on half of the landscape's kinds and on `fitting`; test on the other half and on `testing`."""
    kinds = np.random.default_rng(SEED).permutation(landscape.shows.shape[1]).tolist()
    known, held_out = kinds[::2], kinds[1::2]
    rows, there = (
        np.concatenate(both)
        for both in zip(
            measured(landscape, references, known, SEED),
            measured(fitting, references, range(fitting.shows.shape[1]), SEED + 1),
            strict=True,
        )
    )
    strange = _of_text(_OWN, len(rows))
    weights, bias = fitted(rows, there, np.where(strange, 1 / strange.sum(), 1 / (~strange).sum()) / 2)
    bounds = bounds_of(logistic(rows[strange], weights, bias), there[strange])
    entry: dict[str, Any] = {"weights": [float(f"{w:.6g}") for w in weights], "bias": float(f"{bias:.6g}")}
    tested = {
        "atlas": measured(landscape, references, held_out, SEED + 2),
        "rsicd": measured(testing, references, range(testing.shows.shape[1]), SEED + 3),
    }
    chances = {name: logistic(rows, weights, bias) for name, (rows, _) in tested.items()}
    rates = {}
    for name, (_, there) in tested.items():
        own = _of_text(_OWN, len(there))
        rates[name] = bounds.rates(chances[name][own], there[own])
    for name in ("false_alarm_rate", "miss_rate", "unsure_rate"):  # each collection counts alike
        entry[name] = round(float(np.mean([one[name] for one in rates.values()])), 4)
    of_text = {}
    for number, text in enumerate(TEXTS):
        some = {name: _of_text(number, len(there)) for name, (_, there) in tested.items()}
        says = np.concatenate([chances[name][some[name]] for name in tested])
        true = np.concatenate([there[some[name]] for name, (_, there) in tested.items()])
        of_text[text] = bounds.rates(says, true)
    return entry | bounds.entry() | {"held_out": rates, "held_out_texts": of_text, "measured": provenance()}


def _of_text(number: int, count: int) -> npt.NDArray[np.bool_]:
    """Return a (count,) mask of the cases of a text; `measured` gives them in pairs, text by text."""
    chosen: npt.NDArray[np.bool_] = np.arange(count) // 2 % len(TEXTS) == number
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m train.calibration.match", description='Calibrate "no good match".')
    parser.add_argument("--checkpoint", default="tiny", help="a checkpoint's name or folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with RSICD/")
    parser.add_argument("--tiles", type=int, default=1024, help="tiles of the atlas (default: %(default)s)")
    args = parser.parse_args(argv)

    def run() -> None:
        entry = into_manifest(
            args.checkpoint, MANIFEST_KEY, lambda bundle: calibrated(bundle, args.data, AtlasTiles(tiles=args.tiles))
        )
        for name, row in (entry["held_out"] | entry["held_out_texts"]).items():
            print(
                f"{name}: false alarms {row['false_alarm_rate']:.1%}, misses {row['miss_rate']:.1%}, "
                f"unsure {row['unsure_rate']:.1%}"
            )

    return run_command("train.calibration.match", run, "the manifest is as it was")


if __name__ == "__main__":
    sys.exit(main())
