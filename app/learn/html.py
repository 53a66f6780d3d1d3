"""HTML fragments of the Learn page: few words, large numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from PIL import Image

from app.learn.chart import heated, plain, rank_chart
from app.learn.lessons import Lesson, LessonStep
from app.learn.reword import Reworded
from app.learn.service import Grown, Order, Orders, Reading, Standing, Step
from app.learn.swap import Pair, Swapped
from app.ui.render import render

BIG_PX, SMALL_PX = 420, 96
_HARDLY = 60.0  # per cent of pairs in tests; chance is 50
ORDER_NAMES = {
    "full": "The whole text",
    "first": "First sentence only",
    "shuffled": "Sentences shuffled",
    "without_first": "Without the first sentence",
}
WORDINGS = ("First text", "In other words")
VERDICTS = {
    "noticed": "Noticed: the true sentence scores higher.",
    "missed": "Missed: the false sentence scores higher.",
    "close": "Too close to call: the model does not tell them apart.",
}


GLOSSARY = (
    ("Model", "A program that has learned from many pictures with texts which text goes with which picture."),
    ("CLIP", "The kind of model used here: one half reads texts, the other looks at pictures."),
    ("Tile", "One of the small square pictures that a landscape is cut into."),
    ("Token", "What the model reads one by one: a word, or a part of a rare one; a sentence has some fifteen."),
    ("Text limit", "The number of tokens the model reads of a text; what comes after them it never sees."),
    ("Vector", "The list of numbers into which the model turns a text or a picture."),
    ("Score", "How near the vectors of a text and a picture are, as a cosine: 1 the same, 0 unrelated."),
    ("Rank", "The place of the true tile when all tiles are sorted by score; 1 is the first."),
    ("Heat-map", "The scores of many small windows of a picture as colors: dark is low, yellow is high."),
    ("Chance", "How often one would be right by tossing a coin: of two sentences, half of the time."),
)


def glossary() -> Markup:
    """Draw ten words with their meaning."""
    return render("learn/glossary.html", words=GLOSSARY)


def lesson_plan(lesson: Lesson) -> Markup:
    """Draw a lesson's steps with their times."""
    begins = 0
    steps: list[tuple[int, int, LessonStep]] = []
    for step in lesson.steps:
        steps.append((begins, begins + step.minutes, step))
        begins += step.minutes
    return render("learn/lesson_plan.html", lesson=lesson, steps=steps)


def grown_stage(grown: Grown, count: int, picture: Image.Image, first: Image.Image | None) -> Markup:
    """Draw one step large: the text so far, and what both readers make of it.

    Args:
        grown: all steps.
        count: number of steps so far; the last of them is drawn.
        picture: the true tile.
        first: the tile that ranks first, if it is another one.
    """
    step = grown.steps[count - 1]
    end = len(step.narrow.kept)
    return render(
        "learn/grown_stage.html",
        grown=grown,
        number=count,
        step=step,
        kept=step.before[:end],
        cut=step.before[end:],
        readers=[(name, one, _tie(one.standing)) for name, one in _readings(grown, step)],
        heat=heated(picture, step.heat, grown.range_cos, BIG_PX),
        picture=plain(picture, BIG_PX),
        first=plain(first, BIG_PX) if first is not None and step.wide.standing.first_id != grown.name else "",
    )


def _readings(grown: Grown, step: Step) -> list[tuple[str, Reading]]:
    """List the readers: where nothing is cut, the one of few tokens has nothing to show."""
    return [("wide", step.wide), *([("narrow", step.narrow)] if grown.is_cut else [])]


def _tie(standing: Standing) -> str:
    level = standing.worst - standing.best
    return f", level with {level:,} other{'' if level == 1 else 's'}" if level else ""


def grown_table(grown: Grown, count: int, picture: Image.Image) -> Markup:
    """Draw the ranks of the first `count` steps as a chart, and as a table with a small heat-map for each step."""
    return render(
        "learn/grown_table.html",
        grown=grown,
        chart=rank_chart(grown, count),
        wide=grown.steps[0].wide.limit,
        narrow=grown.steps[0].narrow.limit,
        is_cut=grown.is_cut,
        steps=[(step, heated(picture, step.heat, grown.range_cos, SMALL_PX)) for step in grown.steps[:count]],
    )


def orders_stage(orders: Orders) -> Markup:
    """Draw each order with its rank and score."""
    return render("learn/orders_stage.html", cards=[_card(order) for order in orders.orders], tiles=orders.tiles)


def order_values(order: Order) -> tuple[str, str]:
    """Put the rank and the cosine of an order into words; of several texts their mean and range."""
    low, high = min(s.best for s in order.standings), max(s.worst for s in order.standings)
    if len(order.standings) == 1:
        return order.standings[0].rank_text, f"{order.mean_cos:.3f}"
    scores = [s.score_cos for s in order.standings]
    cosine = f"{order.mean_cos:.3f} ({min(scores):.3f} to {max(scores):.3f})"
    rank = f"{order.mean_rank:.1f}".removesuffix(".0")
    return f"{rank} ({low:,} to {high:,})" if low != high else rank, cosine


@dataclass(frozen=True)
class _Card:
    """An order in words; `spread` holds the range of several ranks, where they differ."""

    name: str
    best: bool
    rank: str
    spread: str
    count: int
    cosine: str


def _card(order: Order) -> _Card:
    rank, cosine = order_values(order)
    number, _, spread = rank.partition(" ")
    best, count = all(standing.worst == 1 for standing in order.standings), len(order.texts)
    return _Card(ORDER_NAMES[order.name], best, number if count > 1 else rank, spread, count, cosine)


def reword_stage(reworded: Reworded) -> Markup:
    """Draw both texts with their ranks, and what their difference says."""
    return render(
        "learn/reword_stage.html",
        told=reworded,
        cards=[
            (name, reading, _tie(reading.standing)) for name, reading in zip(WORDINGS, reworded.readings, strict=True)
        ],
        verdict=reword_verdict(reworded),
    )


def reword_verdict(reworded: Reworded) -> str:
    """Say whether the wording made a difference."""
    if reworded.better is None:
        return "Both wordings find the place about equally well."
    first, second = (reading.standing.rank_text for reading in reworded.readings)
    return f"The wording alone moves the rank: {first} for the first text, {second} for the second."


def swap_stage(swapped: Swapped) -> Markup:
    """Draw both sentences with their cosines, the verdict, and how often the truth was preferred in tests."""
    return render(
        "learn/swap_stage.html",
        pairs=pairs_of(swapped),
        alone=swapped.alone,
        inside=swapped.whole is not None,
        caution=_caution(swapped),
        rates=rate_bars(swapped),
    )


def _caution(swapped: Swapped) -> str:
    """Warn of a kind of claim that the model tells apart hardly better than chance, whatever it did here."""
    rate = swapped.rates.get(swapped.kind)
    if rate is None or rate.percent > _HARDLY:
        return ""
    return (
        f"Do not trust this one result: in tests the model preferred the truth about a {swapped.kind} in "
        f"{rate.percent:.1f} % of {rate.pairs:,} pairs, and a coin would in 50 %."
    )


def pairs_of(swapped: Swapped) -> list[tuple[str, Pair, str, str]]:
    """List the pairs: where the sentences stood, the pair, the verdict in words, and true minus false cosine."""
    pairs = [("The sentence alone", swapped.alone)]
    pairs += [("Within the whole description", swapped.whole)] if swapped.whole is not None else []
    return [(where, pair, VERDICTS[pair.verdict], f"{pair.true_cos - pair.false_cos:+.4f}") for where, pair in pairs]


def rate_bars(swapped: Swapped) -> Markup:
    """Draw how often the truth was preferred in tests, by kind; the line in the middle of a bar is chance."""
    rates = sorted(swapped.rates.items(), key=lambda item: -item[1].percent)
    return render("learn/rate_bars.html", rates=rates, chosen=swapped.kind)


def questions_of(lesson: Lesson | None) -> Sequence[str]:
    """Return the questions for the hand-out of a lesson, or general ones."""
    return lesson.questions if lesson is not None else _QUESTIONS


_QUESTIONS = (
    "What did you expect before the numbers came?",
    "Which words made the difference?",
    "What would you try next?",
)
