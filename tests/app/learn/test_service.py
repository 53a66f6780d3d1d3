"""The Learn page's work: descriptions grown, reordered and swapped; the lessons; the hand-out."""

from __future__ import annotations

import csv
import html
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import lrsclip
from app.cli import open_state
from app.collections import AppState, Collections
from app.learn.chart import rank_chart
from app.learn.html import grown_stage, grown_table, lesson_plan, orders_stage, reword_stage, swap_stage
from app.learn.lessons import LESSONS, spec_of_landscape, text_of
from app.learn.reword import Reworded, other_wording, reword
from app.learn.service import (
    CLIP_TOKENS,
    MAX_STEPS,
    SHUFFLES,
    Reading,
    Standing,
    grow,
    parts_of,
    reorder,
    standings,
)
from app.learn.sheet import sheet
from app.learn.subject import OwnPicture, picture_of, text_of_tile
from app.learn.swap import CLOSE_COS, Pair, measured_rates, prepared_pair, swap
from lrsclip.atlas.statement import CLAIM_KINDS
from lrsclip.errors import Cancelled, TextError, TileSourceError
from lrsclip.models.tokenizer import Tokenizer
from tests.helpers.app_parts import NASTY, draw_tile, make_state
from tests.helpers.learn_parts import landscape

ROOT = Path(__file__).resolve().parents[3]
FIRST, SECOND, THIRD = LESSONS


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return landscape(tmp_path_factory.mktemp("learn"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppState]:
    """What visitors find: the tiles, the index and the model that come with the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LRSCLIP_CACHE", str(tmp_path_factory.mktemp("shipped")))
        yield open_state(None, "tiny")


# parts


@pytest.mark.parametrize("by", ["sentences", "clauses"])
@pytest.mark.parametrize(
    "text",
    [
        "A port. Two ships, and a crane beside the quay! Is it old?",
        "one line\nanother line\n\n  a third",
        "white boats",
        "... !!! ???",
        "a, b, c",
        "Trees, houses and roads. " * 30,
        "water " * 600,  # a search that may leave words out would try every way of doing so
        "water" + " " * 9000 + "and a bridge",
    ],
)
def test_parts_joined_give_the_text(text: str, by: str) -> None:
    parts = parts_of(text, by)  # type: ignore[arg-type]
    assert "".join(parts) == text.strip()
    assert 1 <= len(parts) <= MAX_STEPS
    assert all(part.strip() for part in parts)


def test_sentences_and_clauses_are_cut_where_they_end() -> None:
    text = "A port with a quay. Two ships lie there."
    assert [part.strip() for part in parts_of(text)] == ["A port with a quay.", "Two ships lie there."]
    assert [part.strip() for part in parts_of(text, "clauses")] == ["A port", "with a quay.", "Two ships lie there."]
    with pytest.raises(TextError, match="sentences or clauses"):
        parts_of(text, "words")  # type: ignore[arg-type]


# ranks


def test_a_standing_agrees_with_the_index(state: AppState) -> None:
    vectors = state.bundle.encode_text(["a tank farm", "a forest beside a road"])
    hits = state.index.search(vectors, len(state.index))
    for tile_id in state.tile_ids():
        for standing, found in zip(standings(state, tile_id, vectors), hits, strict=True):
            own = next(hit for hit in found if hit.tile_id == tile_id)
            assert standing.best <= own.rank <= standing.worst
            assert standing.score_cos == pytest.approx(own.score_cos, abs=1e-6)
            assert standing.first_id == found[0].tile_id


def test_tiles_that_look_the_same_share_their_ranks(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    for name in ("same1", "same2", "same3"):
        draw_tile("harbour", 7).save(tmp_path / "tiles" / f"{name}.png")
    state = make_state(tmp_path)
    (standing,) = standings(state, "same2.png", state.bundle.encode_text(["white boats"]))
    assert standing.worst == standing.best + 2
    assert standing.rank_text == f"{standing.best} to {standing.best + 2}"
    with pytest.raises(TileSourceError, match="no tile 'x'"):
        standings(state, "x", state.bundle.encode_text(["white boats"]))


# grow


def test_a_description_grows_and_is_cut_at_77_tokens(state: AppState) -> None:
    seen: list[tuple[int, int]] = []
    text = text_of(Collections(state), SECOND)
    grown = grow(state, SECOND.tile_id, text, progress=lambda *at: seen.append(at))
    assert "".join(step.added for step in grown.steps) == text
    assert seen[-1] == (len(grown.steps), len(grown.steps))
    for step in grown.steps:
        whole = step.before + step.added
        assert step.wide.kept == whole and step.wide.tokens == step.tokens <= state.bundle.context_length
        assert step.narrow.kept + step.narrow.cut == whole
        assert step.narrow.tokens <= CLIP_TOKENS
        heard, lost = step.heard
        assert heard + lost == step.added
        assert bool(lost.strip()) == (step.tokens > CLIP_TOKENS)
        vectors = state.bundle.encode_text([step.narrow.kept])
        assert standings(state, SECOND.tile_id, vectors)[0].best == step.narrow.standing.best
        assert not np.isnan(step.heat.cells.values_cos).any()
    last = grown.steps[-1]
    assert last.tokens > 2 * CLIP_TOKENS and last.narrow.kept == grown.steps[-2].narrow.kept
    assert last.narrow.kept == Tokenizer(CLIP_TOKENS).describe(text).kept
    low_cos, high_cos = grown.range_cos
    assert low_cos < high_cos


def test_growing_stops_when_told(state: AppState) -> None:
    stop = threading.Event()
    with pytest.raises(Cancelled, match="after 2 of"):
        grow(state, FIRST.tile_id, FIRST.text, progress=lambda done, _: stop.set() if done == 2 else None, stop=stop)
    with pytest.raises(TextError, match="is empty"):
        grow(state, FIRST.tile_id, "  ")


# order


def test_orders_are_what_they_say(state: AppState) -> None:
    told = {order.name: order for order in reorder(state, FIRST.tile_id, FIRST.text, seed=3).orders}
    sentences = [part.strip() for part in parts_of(FIRST.text)]
    assert told["full"].texts == (" ".join(sentences),)
    assert told["first"].texts == (sentences[0],)
    assert told["without_first"].texts == (" ".join(sentences[1:]),)
    shuffled = told["shuffled"].texts
    assert len(set(shuffled)) == SHUFFLES and told["full"].texts[0] not in shuffled
    assert {tuple(sorted(parts.strip() for parts in parts_of(text))) for text in shuffled} == {tuple(sorted(sentences))}
    again = {order.name: order for order in reorder(state, FIRST.tile_id, FIRST.text, seed=3).orders}
    assert again == told
    assert reorder(state, FIRST.tile_id, FIRST.text, seed=4).orders[2].texts != shuffled
    with pytest.raises(TextError, match="write two or more"):
        reorder(state, FIRST.tile_id, "One sentence alone.")


def test_two_sentences_have_one_other_order(state: AppState) -> None:
    orders = reorder(state, FIRST.tile_id, "A forest. A field.").orders
    assert orders[2].texts == ("A field. A forest.",)


# swap


def test_prepared_pairs_differ_in_one_sentence_of_the_description(state: AppState) -> None:
    assert isinstance(text_of_tile(state, THIRD.tile_id), str)
    for kind in CLAIM_KINDS:
        pair = prepared_pair(state, THIRD.tile_id, kind)
        assert pair is not None
        assert pair[0] in text_of_tile(state, THIRD.tile_id)
        assert pair[1] not in text_of_tile(state, THIRD.tile_id)
        swapped = swap(state, THIRD.tile_id, *pair, kind)
        assert swapped.whole is not None
        assert swapped.whole.false_text == swapped.whole.true_text.replace(*pair)
    vectors = state.bundle.encode_text([swapped.alone.true_text])
    assert swapped.alone.true_cos == pytest.approx(float(vectors[0] @ state.index.vector(THIRD.tile_id)), abs=1e-5)


def test_a_swap_that_makes_no_sense_is_explained(state: AppState) -> None:
    for texts, says in ((("", "b"), "missing"), (("a b", "a  b"), "are the same")):
        with pytest.raises(TextError, match=says):
            swap(state, THIRD.tile_id, *texts)
    with pytest.raises(TextError, match="no kind of claim 'taste'"):
        swap(state, THIRD.tile_id, "a", "b", "taste")
    assert swap(state, THIRD.tile_id, "a road", "a sea").whole is None


@pytest.mark.parametrize(
    ("ahead_cos", "verdict"), [(2 * CLOSE_COS, "noticed"), (CLOSE_COS / 2, "close"), (-2 * CLOSE_COS, "missed")]
)
def test_a_verdict_is_no_better_than_the_numbers(ahead_cos: float, verdict: str) -> None:
    assert Pair("a", "b", 0.5 + ahead_cos, 0.5).verdict == verdict


def test_rates_are_the_measured_ones() -> None:
    rates = measured_rates(lrsclip.load("tiny").manifest)
    with (ROOT / "train" / "results" / "tiny.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row[0] == "grounding" and row[2] == "cut at 248 tokens"]
    measured = {row[5]: float(row[6]) for row in rows}
    assert set(rates) == set(CLAIM_KINDS)
    for kind, rate in rates.items():
        assert rate.percent == pytest.approx(measured[kind], abs=1e-3)
        assert rate.pairs > 100
    assert measured_rates({}) == {}


# reword


def test_two_wordings_of_a_tile_are_ranked_side_by_side(state: AppState) -> None:
    text, again = text_of_tile(state, FIRST.tile_id), other_wording(state, FIRST.tile_id)
    assert again and again != text and len(parts_of(again)) == len(parts_of(text))
    told = reword(state, FIRST.tile_id, f" {text} ", again)
    assert told.texts == (text, again) and told.name == FIRST.tile_id
    vectors = state.bundle.encode_text([text, again])
    assert told.alike_cos == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
    assert [one.standing for one in told.readings] == standings(state, FIRST.tile_id, vectors)
    same = replace(told, readings=(told.readings[0], told.readings[0]))
    assert same.better is None and "equally well" in reword_stage(same)
    for texts, says in ((("", "a"), "empty"), (("a", " "), "no second text"), (("a", " a"), "are the same")):
        with pytest.raises(TextError, match=says):
            reword(state, FIRST.tile_id, *texts)


@pytest.mark.parametrize(("ranks", "better"), [((1, 2), 0), ((5, 3), None), ((9, 4), 1), ((3, 3), None)])
def test_a_wording_is_better_from_twice_the_rank_on(ranks: tuple[int, int], better: int | None) -> None:
    first, second = (Reading(248, "a", "", 3, Standing(rank, rank, 0.3, "t")) for rank in ranks)
    assert Reworded("atlas", "t", 9, ("a", "b"), (first, second), 0.9).better == better


# a picture of one's own


def test_a_picture_of_ones_own_is_ranked_beside_the_tiles(state: AppState) -> None:
    own = OwnPicture.of(state.source.picture(FIRST.tile_id))
    grown = grow(state, own, FIRST.text)
    of_tile = grow(state, FIRST.tile_id, FIRST.text)
    assert grown.name == "your own picture" and grown.tiles == of_tile.tiles + 1  # itself among them
    for step, known in zip(grown.steps, of_tile.steps, strict=True):  # nearly the same picture: it went through WebP
        assert step.wide.standing.score_cos == pytest.approx(known.wide.standing.score_cos, abs=0.02)
        assert 1 <= step.wide.standing.best <= step.wide.standing.worst <= grown.tiles
    assert text_of_tile(state, own) == "" and prepared_pair(state, own, "count") is None
    assert other_wording(state, own) == ""
    assert swap(state, own, "a road", "a sea").name == reorder(state, own, FIRST.text).name == grown.name
    told = sheet(grown, picture=picture_of(state, own), lesson=None, model="m", source="your own picture")
    assert "your own picture" in told


# lessons


def test_lessons_take_ten_minutes_and_tell_the_truth(state: AppState) -> None:
    assert len(LESSONS) == 3 and {lesson.mode for lesson in LESSONS} == {"grow", "swap"}
    for lesson in LESSONS:
        assert lesson.minutes == 10 and len(lesson.questions) == 3
        known = text_of_tile(state, lesson.tile_id)
        assert all(part.strip() in known for part in parts_of(text_of(Collections(state), lesson)))
        assert f"{lesson.steps[0].minutes} min" in lesson_plan(lesson)


def test_lessons_need_the_landscape(tmp_path: Path) -> None:
    other = make_state(tmp_path)
    with pytest.raises(TileSourceError, match="open atlas under Places"):
        spec_of_landscape(Collections(other))
    assert text_of_tile(other, other.tile_ids()[0]) == ""
    assert prepared_pair(other, other.tile_ids()[0], "count") is None


@pytest.mark.slow
def test_lessons_hold_with_the_shipped_checkpoint(shipped: AppState) -> None:
    steps = grow(shipped, FIRST.tile_id, FIRST.text).steps
    assert steps[0].wide.standing.best > 20 and steps[-1].wide.standing.worst == 1
    last = grow(shipped, SECOND.tile_id, text_of_tile(shipped, SECOND.tile_id)).steps[-1]
    assert last.wide.standing.worst == 1 and last.narrow.standing.best > 5
    for kind, verdicts in {"object": "noticed", "color": "noticed", "count": "noticed", "place": "close"}.items():
        pair = prepared_pair(shipped, THIRD.tile_id, kind)
        assert pair is not None
        swapped = swap(shipped, THIRD.tile_id, *pair, kind)
        assert swapped.whole is not None and swapped.whole.verdict in verdicts


# what is shown


def test_the_chart_says_the_ranks_aloud(state: AppState) -> None:
    grown = grow(state, FIRST.tile_id, FIRST.text)
    ranks = [step.wide.standing.best for step in grown.steps]
    for shown in (1, len(ranks)):
        drawn = rank_chart(grown, shown)
        assert f'read to 248 tokens {", ".join(str(rank) for rank in ranks[:shown])}"' in drawn
        assert drawn.count("<circle") == shown and not drawn.count("<rect")  # both readers read all of it
    grown = grow(state, SECOND.tile_id, text_of(Collections(state), SECOND))
    drawn = rank_chart(grown, len(grown.steps))
    assert "; read to 77 tokens " in drawn
    assert drawn.count("<circle") == drawn.count("<rect") == len(grown.steps)


def test_nothing_that_is_typed_becomes_html(state: AppState) -> None:
    text = f"{NASTY}. {NASTY} second. " + "a long road " * 40
    grown = grow(state, THIRD.tile_id, text)
    picture = state.source.picture(THIRD.tile_id)
    shuffled, swapped = reorder(state, THIRD.tile_id, text), swap(state, THIRD.tile_id, NASTY, f"{NASTY} not")
    shown = [
        grown_stage(grown, 1, picture, picture),
        grown_table(grown, len(grown.steps), picture),
        orders_stage(shuffled),
        swap_stage(swapped),
    ]
    told = {"picture": picture, "lesson": None, "model": NASTY, "source": NASTY}
    shown += [sheet(result, **told) for result in (grown, shuffled, swapped)]  # type: ignore[arg-type]
    for fragment in shown:
        assert not re.search(r"<script|<img src=x|onerror='[^&]", fragment)
    assert NASTY in html.unescape(re.sub(r"<[^>]*>", "", shown[0]))


def test_the_sheet_is_one_file_with_all_steps(state: AppState) -> None:
    grown = grow(state, FIRST.tile_id, FIRST.text)
    picture, day = state.source.picture(FIRST.tile_id), date(2026, 5, 4)
    made = sheet(grown, picture=picture, lesson=FIRST, model="tiny", source="LRSCLIP atlas", today=day)
    assert made.count("<td>") + made.count('<td class="text">') == 4 * len(
        grown.steps
    )  # nothing is cut, so one reader suffices
    assert made.count('alt="heat-map"') == len(grown.steps)
    for told in (*FIRST.questions, FIRST.title, "LRSCLIP atlas", "Model: tiny", "2026-05-04"):
        assert html.escape(told) in made
    assert set(re.findall(r'src="([^,]{0,23})', made)) == {"data:image/jpeg;base64"}
    assert not re.search(r"https?://|url\(|@import|<link", made)


def test_a_tie_is_said() -> None:
    assert Standing(3, 3, 0.5, "a").rank_text == "3"
    assert Standing(1, 1200, 0.5, "a").rank_text == "1 to 1,200"
