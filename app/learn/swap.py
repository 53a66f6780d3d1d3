"""One attribute of a description swapped: does the model prefer the truth, here and in tests?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.collections import AppState
from app.learn.subject import Subject, atlas_of, name_of, text_of_tile, vector_of
from lrsclip.atlas.falsify import falsified
from lrsclip.atlas.noise import rng_at
from lrsclip.atlas.statement import CLAIM_KINDS, ClaimKind
from lrsclip.errors import TextError

CLOSE_COS = 0.002
"""Two cosines nearer than this tell nothing: rounding to bfloat16 alone moves one by about 0.001."""


@dataclass(frozen=True)
class Rate:
    """Share of pairs in tests whose true sentence scored higher.

    Attributes:
        percent: of the pairs; chance is 50.
        pairs: how many were tried.
    """

    percent: float
    pairs: int


@dataclass(frozen=True)
class Pair:
    """Two sentences that differ in one claim, and their cosines with the tile."""

    true_text: str
    false_text: str
    true_cos: float
    false_cos: float

    @property
    def verdict(self) -> str:
        """Whether the model noticed: "noticed", "missed", or "close" where the cosines are too near to call."""
        ahead = self.true_cos - self.false_cos
        return "close" if abs(ahead) < CLOSE_COS else "noticed" if ahead > 0 else "missed"


@dataclass(frozen=True)
class Swapped:
    """Scores of a swap.

    Attributes:
        spec: the collection.
        subject: of the sentences.
        kind: of the claim, as the visitor has it; "" where none is named.
        alone: the two sentences by themselves.
        whole: the description with either of them in it; None where the true one is no part of it.
        rates: how often the truth was preferred in tests, by kind, whole descriptions each; empty if not measured.
        kinds: the pair of each kind that the tile offers, each sentence alone; empty where nothing is known of it.
    """

    spec: str
    subject: Subject
    kind: str
    alone: Pair
    whole: Pair | None
    rates: Mapping[str, Rate]
    kinds: Mapping[str, Pair]

    @property
    def name(self) -> str:
        """What the sentences speak of."""
        return name_of(self.subject)


def prepared_pair(state: AppState, subject: Subject, kind: str) -> tuple[str, str] | None:
    """Make a true sentence about a tile of the atlas and the same with one false claim of a kind.

    Returns:
        The two; None where nothing is known of the tile, or it offers no claim of that kind.
    """
    claim, source = kind_of(kind), atlas_of(state, subject)
    if source is None:
        return None
    tile_id = str(subject)
    truth = source.truth(tile_id)
    statements = source.told(tile_id, truth)
    changed = falsified(statements, truth, claim, rng_at(source.seed, "learn", *(ord(letter) for letter in tile_id)))
    if changed is None:
        return None
    at, false_statement = changed
    before = source.described(statements[:at], tile_id)
    true_text, false_text = (
        source.described([*statements[:at], last], tile_id).removeprefix(before).strip()
        for last in (statements[at], false_statement)
    )
    return true_text, false_text


def kind_of(name: str) -> ClaimKind:
    """Return the kind of claim of a name.

    Raises:
        TextError: there is none of that name.
    """
    for kind in CLAIM_KINDS:
        if kind == name:
            return kind
    raise TextError(f"there is no kind of claim {name!r}; choose {', '.join(CLAIM_KINDS)}")


def swap(
    state: AppState, subject: Subject, true_text: str, false_text: str, kind: str = "", description: str = ""
) -> Swapped:
    """Score a tile against a true and a false sentence, alone and within the whole description.

    Args:
        state: the collection.
        subject: of the sentences, a tile or a picture of one's own.
        true_text: the true sentence.
        false_text: the false one.
        kind: what is swapped, one of CLAIM_KINDS or "".
        description: in which the true one may stand; "" for the one that is known of the tile.

    Raises:
        TextError: a sentence is empty, or both are the same; or no such kind.
        TileSourceError: there is no such tile.
    """
    true_text, false_text = " ".join(true_text.split()), " ".join(false_text.split())
    if not true_text or not false_text:
        raise TextError("a sentence is missing; write the true one and the false one")
    if true_text == false_text:
        raise TextError("the two sentences are the same; change one thing in the second")
    whole = " ".join((description.strip() or text_of_tile(state, subject)).split())
    inside = true_text in whole and true_text != whole
    texts = [true_text, false_text] + ([whole, whole.replace(true_text, false_text, 1)] if inside else [])
    offered = {claim: pair for claim in CLAIM_KINDS if (pair := prepared_pair(state, subject, claim)) is not None}
    texts += [one for pair in offered.values() for one in pair]
    scores_cos = (state.bundle.encode_text(texts) @ vector_of(state, subject)).tolist()
    pairs = [Pair(texts[n], texts[n + 1], scores_cos[n], scores_cos[n + 1]) for n in range(0, len(texts), 2)]
    return Swapped(
        state.source.spec,
        subject,
        kind_of(kind) if kind else "",
        pairs[0],
        pairs[1] if inside else None,
        measured_rates(state.bundle.manifest),
        dict(zip(offered, pairs[1 + inside :], strict=True)),
    )


def measured_rates(manifest: Mapping[str, Any]) -> dict[str, Rate]:
    """Read from a manifest how often its checkpoint preferred the truth, by kind; {} where it does not say."""
    rates: dict[str, Rate] = {}
    for measured in (manifest.get("metrics") or {}).values():
        for result in measured.get("results", []) if isinstance(measured, dict) else []:
            if result.get("task") != "grounding" or not str(result.get("protocol")).startswith("cut at "):
                continue
            detail = result.get("detail") or {}
            pairs = json.loads(detail) if isinstance(detail, str) else detail
            for kind in CLAIM_KINDS:
                if kind in result["metrics"]:  # of several entries the last one reads the most tokens
                    rates[kind] = Rate(float(result["metrics"][kind]), int(pairs.get(f"pairs {kind}", 0)))
    return rates
