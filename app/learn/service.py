"""The Learn page's work: a description grown part by part or in other orders, and how well it finds its tile."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from app.collections import AppState
from app.learn.subject import OWN_NAME, OwnPicture, Subject, name_of, picture_of, vector_of
from lrsclip.clauses import split_clauses
from lrsclip.errors import Cancelled, TextError, TileSourceError
from lrsclip.localize import CellMap, embed_scene, mean_over_windows, open_scene
from lrsclip.localize.window_encoding import scales_of
from lrsclip.models.tokenizer import Tokenizer, TokenReport
from lrsclip.vectors import unit

CLIP_TOKENS = 77
"""Tokens that CLIP reads of a text unless its positions are stretched."""
MAX_CHARACTERS = 3_000
"""Characters of a description: twice what the model reads."""
MAX_STEPS = 16
SHUFFLES = 8
Part = Literal["sentences", "clauses"]
Progress = Callable[[int, int], None]
_BETWEEN = re.compile(r"(?<=[.!?;])\s+|\n\s*")  # sentences
_WORD, _MARKS = re.compile(r"\w+"), re.compile(r"[.,;:!?]*")
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Standing:
    """Rank of a tile among all of its collection for a text.

    Attributes:
        best: its rank, 1 is the first, if ties are settled in its favor.
        worst: its rank if they are settled against it; the same unless others score exactly as much.
        score_cos: its cosine with the text.
        first_id: id of the tile that scores highest.
    """

    best: int
    worst: int
    score_cos: float
    first_id: str

    @property
    def rank_text(self) -> str:
        """The rank in words, or the ranks that the tile shares."""
        return f"{self.best:,}" if self.best == self.worst else f"{self.best:,} to {self.worst:,}"


@dataclass(frozen=True, eq=False)
class StepMap:
    """A heat-map over a tile, as `lrsclip.localize.colormap` draws it; scores are cosines."""

    cells: CellMap
    width_px: int
    height_px: int
    scales_px: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """A text as a reader of so many tokens has it.

    Attributes:
        limit: tokens that are read.
        kept: the part that is read, in whole words.
        cut: the rest.
        tokens: of the part that is read.
        standing: how well it finds the tile.
    """

    limit: int
    kept: str
    cut: str
    tokens: int
    standing: Standing


@dataclass(frozen=True, eq=False)
class Step:
    """The text up to one part of it.

    Attributes:
        before: the text of earlier steps.
        added: the part that is new.
        tokens: of the text so far.
        wide: as this model reads it.
        narrow: as it would be read by a CLIP of 77 tokens.
        heat: where in the tile the new part alone is true.
    """

    before: str
    added: str
    tokens: int
    wide: Reading
    narrow: Reading
    heat: StepMap

    @property
    def heard(self) -> tuple[str, str]:
        """The new part as 77 tokens hold it: the text that is read, and the rest."""
        at = min(len(self.added), max(0, len(self.narrow.kept) - len(self.before)))
        return self.added[:at], self.added[at:]


@dataclass(frozen=True, eq=False)
class Grown:
    """A description grown part by part."""

    spec: str
    subject: Subject
    tiles: int
    text: str
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """What the description speaks of."""
        return name_of(self.subject)

    @property
    def is_cut(self) -> bool:
        """Whether the reader of few tokens misses anything at all; else there is nothing to compare."""
        return any(step.narrow.cut.strip() and step.narrow.limit != step.wide.limit for step in self.steps)

    @property
    def best_step(self) -> int:
        """Number, from 1, of the step that brought the tile forward most, by the share of better tiles ruled out."""
        ranks = [self.tiles / 2, *(step.wide.standing.best for step in self.steps)]
        gains = [before / after for before, after in itertools.pairwise(ranks)]
        return 1 + gains.index(max(gains))

    @property
    def range_cos(self) -> tuple[float, float]:
        """Lowest and highest cosine of all maps, so that they share their colors."""
        values = [step.heat.cells.values_cos for step in self.steps]
        return min(float(np.nanmin(v)) for v in values), max(float(np.nanmax(v)) for v in values)


@dataclass(frozen=True)
class Order:
    """One order of the description; a shuffled one has several texts.

    Attributes:
        name: full, first, shuffled or without_first.
        texts: that were read.
        standings: of each text.
    """

    name: str
    texts: tuple[str, ...]
    standings: tuple[Standing, ...]

    @property
    def mean_rank(self) -> float:
        """Mean rank of the texts; a tie counts with its middle."""
        return float(np.mean([(s.best + s.worst) / 2 for s in self.standings]))

    @property
    def mean_cos(self) -> float:
        """Mean cosine of the texts."""
        return float(np.mean([s.score_cos for s in self.standings]))


@dataclass(frozen=True)
class Orders:
    """A description in several orders; `grown` holds the same part by part, for the hand-out."""

    spec: str
    subject: Subject
    tiles: int
    text: str
    orders: tuple[Order, ...]
    grown: Grown | None = None

    @property
    def name(self) -> str:
        """What the description speaks of."""
        return name_of(self.subject)


def reading_of(state: AppState, report: TokenReport, standing: Standing) -> Reading:
    """Put together what is read of a text and how well that finds its place."""
    return Reading(report.limit, report.kept, report.cut, state.bundle.tokenizer.count(report.kept), standing)


def parts_of(text: str, by: Part = "sentences") -> tuple[str, ...]:
    """Cut a text into sentences or clauses, `MAX_STEPS` at most, that give the text again when joined.

    Raises:
        TextError: there is no such way to cut.
    """
    if by not in get_args(Part):
        raise TextError(f"a description is cut into {' or '.join(get_args(Part))}, not into {by!r}")
    text = text.strip()
    ends = [gap.start() for gap in _BETWEEN.finditer(text)] if by == "sentences" else _clause_ends(text)
    starts = [0, *ends[: MAX_STEPS - 1]]
    pieces = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    return tuple(piece for piece in pieces if piece.strip()) or (text,)


def _clause_ends(text: str) -> list[int]:
    """Find where the clauses end, in characters; one whose words the text has otherwise is joined to the next."""
    matches = list(_WORD.finditer(text))
    words, ends, at = [match.group() for match in matches], [], 0
    for clause in split_clauses(text, MAX_STEPS):
        if (wanted := _WORD.findall(clause)) and (after := _past(words, at, wanted)) is not None:
            marks = _MARKS.match(text, matches[after - 1].end())
            at = after
            ends.append(marks.end() if marks else matches[after - 1].end())
    return ends


def _past(words: Sequence[str], at: int, wanted: Sequence[str]) -> int | None:
    """Find where a clause's words end among a text's, from `at` on; between two of them a joint ("and") may stand.

    No regular expression: with words that come again it would try every way of leaving some out.
    """
    for word in wanted:
        at += next((skipped for skipped in (0, 1) if words[at + skipped : at + skipped + 1] == [word]), len(words))
        if at >= len(words):
            return None
        at += 1
    return at


def ranked(state: AppState, subject: Subject) -> int:
    """Count the pictures that are ranked: the tiles, and one more where the subject is none of them."""
    return state.tile_count + isinstance(subject, OwnPicture)


def standings(state: AppState, subject: Subject, vectors: NDArray[np.float32]) -> list[Standing]:
    """Rank a tile, or a picture beside them, among the collection's tiles for texts.

    Args:
        state: the collection.
        subject: of the texts.
        vectors: (N, D) of the texts.

    Raises:
        TileSourceError: there is no such tile.
    """
    data, spec = state.index.data, state.source.spec
    places = [number for number, row in enumerate(data.rows) if row.source_spec == spec]
    names = [data.rows[place].tile.tile_id for place in places]
    if isinstance(subject, str) and subject not in names:
        raise TileSourceError(f"no tile {subject!r} in this collection; take one of the tiles shown")
    queries = vectors.astype(np.float64)
    scores = np.empty((len(vectors), len(places)), np.float32)
    for start in range(0, len(places), _ROWS_AT_ONCE):
        some = unit(data.vectors[places[start : start + _ROWS_AT_ONCE]]).astype(np.float64)
        # einsum as the index does it: tiles that look the same get the same score to the last bit, so a tie is one
        scores[:, start : start + _ROWS_AT_ONCE] = np.einsum("cd,qd->qc", some, queries)
    if isinstance(subject, OwnPicture):
        beside = vector_of(state, subject)[None].astype(np.float64)
        scores = np.concatenate([scores, np.einsum("cd,qd->qc", beside, queries).astype(np.float32)], axis=1)
        names.append(OWN_NAME)
    own = len(names) - 1 if isinstance(subject, OwnPicture) else names.index(subject)
    above, level = (scores > scores[:, [own]]).sum(1), (scores == scores[:, [own]]).sum(1)
    return [
        Standing(int(a) + 1, int(a + e), float(row[own]), names[int(row.argmax())])
        for a, e, row in zip(above, level, scores, strict=True)
    ]


def grow(
    state: AppState,
    subject: Subject,
    text: str,
    by: Part = "sentences",
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Grown:
    """Add a description part by part, and rank the tile after each: the text read whole, and read to 77 tokens.

    Args:
        state: the collection.
        subject: of the description.
        text: the description.
        by: the kind of parts.
        progress: called with steps done and steps in all.
        stop: set it to end early.

    Raises:
        TextError: the description is empty.
        TileSourceError: there is no such tile.
        PictureError: the tile's picture is gone.
        Cancelled: `stop` was set.
    """
    check_text(state, text)
    parts = parts_of(text, by)
    picture = picture_of(state, subject)
    with open_scene(picture) as scene:
        scales = scales_of("dense", scene.width_px, scene.height_px, None)
        embedded = embed_scene(state.bundle, scene, "dense", scales, stop=stop)
    limits = state.bundle.context_length, min(CLIP_TOKENS, state.bundle.context_length)
    befores = ["".join(parts[:number]) for number in range(len(parts))]
    pairs = [
        [Tokenizer(limit).describe(before + added) for limit in limits]
        for before, added in zip(befores, parts, strict=True)
    ]
    # all texts at once: they share a batch of the model, and one look at the collection's vectors
    vectors = state.bundle.encode_text([report.kept for reports in pairs for report in reports])
    ranks = standings(state, subject, vectors)
    alone = state.bundle.encode_text([added.strip() for added in parts])
    steps: list[Step] = []
    for number, (before, added, reports) in enumerate(zip(befores, parts, pairs, strict=True)):
        if stop is not None and stop.is_set():
            raise Cancelled(f"stopped after {number} of {len(parts)} steps; start again to see them all")
        wide, narrow = (
            reading_of(state, report, standing)
            for report, standing in zip(reports, ranks[2 * number : 2 * number + 2], strict=True)
        )
        cells = mean_over_windows(embedded.boxes_px, embedded.vectors @ alone[number], picture.width, picture.height)
        heat = StepMap(cells, picture.width, picture.height, scales)
        steps.append(Step(before, added, reports[0].count, wide, narrow, heat))
        if progress is not None:
            progress(number + 1, len(parts))
    return Grown(state.source.spec, subject, ranked(state, subject), text.strip(), tuple(steps))


def reorder(
    state: AppState,
    subject: Subject,
    text: str,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> Orders:
    """Rank the tile for a description in full, its first sentence alone, its sentences shuffled, and without the first.

    Args:
        state: the collection.
        subject: of the description.
        text: the description, of two sentences or more.
        seed: of the shuffles.
        progress: called with texts read and texts in all.
        stop: set it to end early.

    Raises:
        TextError: the description is empty or of one sentence.
        TileSourceError: there is no such tile.
        Cancelled: `stop` was set.
    """
    check_text(state, text)
    sentences = [part.strip() for part in parts_of(text)]
    if len(sentences) < 2:
        raise TextError("the description is one sentence; write two or more to see what their order does")
    texts_of = {
        "full": (" ".join(sentences),),
        "first": (sentences[0],),
        "shuffled": _shuffled(sentences, seed),
        "without_first": (" ".join(sentences[1:]),),
    }
    total, done, orders = sum(len(texts) for texts in texts_of.values()), 0, []
    for name, texts in texts_of.items():
        if stop is not None and stop.is_set():
            raise Cancelled(f"stopped after {done} of {total} texts; start again to see them all")
        orders.append(Order(name, texts, tuple(standings(state, subject, state.bundle.encode_text(list(texts))))))
        done += len(texts)
        if progress is not None:
            progress(done, total)
    return Orders(state.source.spec, subject, ranked(state, subject), text.strip(), tuple(orders))


def _shuffled(sentences: Sequence[str], seed: int) -> tuple[str, ...]:
    """Shuffle sentences into up to `SHUFFLES` different orders, none of them the given one."""
    rng = np.random.default_rng(seed)
    orders = {tuple(rng.permutation(len(sentences)).tolist()): None for _ in range(8 * SHUFFLES)}
    orders.pop(tuple(range(len(sentences))), None)
    chosen = list(orders) or [tuple(reversed(range(len(sentences))))]
    return tuple(" ".join(sentences[n] for n in order) for order in chosen[:SHUFFLES])


def check_text(state: AppState, text: str) -> None:
    """Refuse a description that is empty or too long.

    Raises:
        TextError: it is.
    """
    if not text.strip():
        raise TextError("the description is empty; take a tile that has one, or write what the tile shows")
    if len(text) > MAX_CHARACTERS:  # each step shows all of it, and a session keeps the steps
        raise TextError(
            f"the description has {len(text):,} characters; {MAX_CHARACTERS:,} are the limit here: shorten it"
        )
    state.bundle.describe_tokens(text)  # refuses what is too long to be taken apart
