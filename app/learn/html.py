"""What the Learn page shows, as HTML fragments: few words, large numbers. All text of users and files is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PIL import Image

from app.learn.chart import heated, plain, rank_chart
from app.learn.lessons import Lesson
from app.learn.service import Grown, Order, Orders, Reading, Standing, Step
from app.learn.swap import Pair, Swapped

BIG_PX, SMALL_PX = 420, 96
ORDER_NAMES = {
    "full": "The whole text",
    "first": "First sentence only",
    "shuffled": "Sentences shuffled",
    "without_first": "Without the first sentence",
}
VERDICTS = {
    "noticed": "Noticed: the true sentence scores higher.",
    "missed": "Missed: the false sentence scores higher.",
    "close": "Too close to call: the model does not tell them apart.",
}


def lesson_plan(lesson: Lesson) -> str:
    """A lesson's steps with their times."""
    begun, rows = 0, []
    for step in lesson.steps:
        rows.append(
            f'<li><span class="time">{begun} to {begun + step.minutes} min</span>'
            f'<p class="ask">{escape(step.ask)}</p>'
            f"<p><b>Do</b> {escape(step.do)}</p><p><b>Watch</b> {escape(step.watch)}</p></li>"
        )
        begun += step.minutes
    return (
        f'<details class="plan" open><summary><h2>{escape(lesson.title)}</h2>'
        f'<p class="aim">{escape(lesson.aim)} <span>{lesson.minutes} minutes</span></p></summary>'
        f"<ol>{''.join(rows)}</ol></details>"
    )


def grown_stage(grown: Grown, shown: int, picture: Image.Image, first: Image.Image | None) -> str:
    """One step large: the text so far, and what both readers make of it.

    Args:
        grown: all steps.
        shown: how many are shown; the last of them is large.
        picture: the true tile.
        first: the tile that is found first, if it is another one and can be shown.
    """
    step = grown.steps[shown - 1]
    readers = _reader(grown, step.wide, picture, "wide")
    if step.narrow.limit != step.wide.limit:
        readers += _reader(grown, step.narrow, picture, "narrow")
    found = step.wide.standing.first_id
    other = (
        f'<figure><img src="{plain(first, BIG_PX)}" alt="the tile that is found first: {escape(found, quote=True)}">'
        f"<figcaption>Found first: {escape(found)}</figcaption></figure>"
        if first is not None and found != grown.tile_id
        else ""
    )
    return (
        f'<section class="stage" aria-live="polite"><p class="step">Step {shown} of {len(grown.steps)}</p>'
        f"{_told(step)}"
        f'<div class="readers">{readers}<figure><img src="{plain(picture, BIG_PX)}" alt="the true tile">'
        f"<figcaption>The true tile: {escape(grown.tile_id)}</figcaption></figure>{other}</div></section>"
    )


def _told(step: Step) -> str:
    """The text so far; what is cut at 77 tokens struck through, what the model leaves out too marked as not read."""
    at = len(step.narrow.kept)
    kept, cut = step.before[:at], step.before[at:]
    heard, lost = step.heard
    lines = f"{escape(kept)}{_struck(cut)}<b>{escape(heard)}{_struck(lost)}</b>"
    note = f" Struck through: beyond {step.narrow.limit} tokens." if step.narrow.cut.strip() else ""
    if step.wide.cut.strip() and step.wide.limit != step.narrow.limit:
        note += f" The end is beyond {step.wide.limit} tokens too: nobody reads it."
    return f'<p class="told">{lines}</p><p class="why">{step.tokens} tokens so far.{note}</p>'


def _struck(text: str) -> str:
    return f"<del>{escape(text)}</del>" if text.strip() else escape(text)


def _reader(grown: Grown, reading: Reading, picture: Image.Image, name: str) -> str:
    standing = reading.standing
    heat = heated(picture, reading.heat, grown.range_cos, BIG_PX)
    return (
        f'<div class="reader {name}"><h3>Reads {reading.limit} tokens</h3>'
        f'<p class="rank{" best" if standing.worst == 1 else ""}"><small>rank</small> <b>{standing.rank_text}</b></p>'
        f'<p class="of">of {grown.tiles:,} tiles{_tie(standing)}</p>'
        f'<p class="of">cosine <b>{standing.score_cos:.3f}</b> · {reading.tokens} tokens read</p>'
        f'<img src="{heat}" alt="heat-map of the text over the tile, read to {reading.limit} tokens"></div>'
    )


def _tie(standing: Standing) -> str:
    level = standing.worst - standing.best
    return f", level with {level:,} other{'' if level == 1 else 's'}" if level else ""


def grown_table(grown: Grown, shown: int, picture: Image.Image) -> str:
    """The chart of the ranks, and the same as a table with a small heat-map for each step."""
    rows = "".join(_row(grown, n, step, picture) for n, step in enumerate(grown.steps[:shown], 1))
    wide, narrow = grown.steps[0].wide.limit, grown.steps[0].narrow.limit
    return (
        f'<div class="chart">{rank_chart(grown, shown)}</div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="Steps as a table"><table class="steps">'
        '<thead><tr><th scope="col">Step</th><th scope="col">Added</th>'
        f'<th scope="col">Rank, {wide}</th><th scope="col">Rank, {narrow}</th>'
        f'<th scope="col">Cosine, {wide}</th><th scope="col">Cosine, {narrow}</th>'
        '<th scope="col">Found first</th><th scope="col">Heat-map</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="why">Rank 1 is the best. Heat-maps of all steps share one scale, dark is low and yellow high. '
        f"Both readers are the same model; one gets only what {narrow} tokens hold.</p>"
    )


def _row(grown: Grown, number: int, step: Step, picture: Image.Image) -> str:
    heard, lost = step.heard
    wide, narrow = step.wide.standing, step.narrow.standing
    found = "the true tile" if wide.first_id == grown.tile_id else escape(wide.first_id)
    heat = heated(picture, step.wide.heat, grown.range_cos, SMALL_PX)
    return (
        f'<tr><th scope="row">{number}</th><td class="text">{escape(heard.strip())} {_struck(lost)}</td>'
        f'<td class="number">{wide.rank_text}</td><td class="number">{narrow.rank_text}</td>'
        f"<td>{wide.score_cos:.3f}</td><td>{narrow.score_cos:.3f}</td><td>{found}</td>"
        f'<td><img src="{heat}" alt="heat-map of step {number}"></td></tr>'
    )


def orders_stage(orders: Orders) -> str:
    """Each order with its rank and score."""
    cards = "".join(_order(order) for order in orders.orders)
    return (
        f'<section class="stage" aria-live="polite"><div class="cards">{cards}</div>'
        f'<p class="why">Rank of the true tile among {orders.tiles:,}, 1 is the best.</p></section>'
    )


def order_values(order: Order) -> tuple[str, str]:
    """The rank and the cosine of an order in words; with several texts their mean and range."""
    low, high = min(s.best for s in order.standings), max(s.worst for s in order.standings)
    if len(order.standings) == 1:
        return order.standings[0].rank_text, f"{order.mean_cos:.3f}"
    scores = [s.score_cos for s in order.standings]
    told = f"{order.mean_cos:.3f} ({min(scores):.3f} to {max(scores):.3f})"
    rank = f"{order.mean_rank:.1f}".removesuffix(".0")
    return f"{rank} ({low:,} to {high:,})" if low != high else rank, told


def _order(order: Order) -> str:
    rank, cosine = order_values(order)
    number, _, spread = rank.partition(" ")
    count = len(order.texts)
    many = f"<p>mean of {count} orders, {f'ranks {spread}' if spread else 'all alike'}</p>" if count > 1 else ""
    shown = number if count > 1 else rank
    best = " best" if all(s.worst == 1 for s in order.standings) else ""
    return (
        f'<div class="card"><h3>{ORDER_NAMES[order.name]}</h3>'
        f'<p class="rank{best}"><small>rank</small> <b>{shown}</b></p>'
        f"{many}<p>cosine {cosine}</p></div>"
    )


def swap_stage(swapped: Swapped) -> str:
    """Both sentences with their cosines, the verdict, and how often it goes well."""
    whole = (
        f'<h3 class="where">Within the whole description</h3>{_pair(swapped.whole, brief=swapped.alone)}'
        if swapped.whole is not None
        else '<p class="why">The true sentence is no part of the description, so it is tried alone.</p>'
    )
    return (
        '<section class="stage" aria-live="polite"><h3 class="where">The sentence alone</h3>'
        f"{_pair(swapped.alone)}{whole}{rate_bars(swapped)}</section>"
    )


def _pair(pair: Pair, brief: Pair | None = None) -> str:
    told = brief or pair
    cards = "".join(
        f'<div class="card {side}"><h4>{name}</h4><p class="rank"><small>cosine</small> <b>{cos:.3f}</b></p>'
        f"<p>{escape(text)}</p></div>"
        for side, name, cos, text in (
            ("true", "True", pair.true_cos, told.true_text),
            ("false", "False", pair.false_cos, told.false_text),
        )
    )
    ahead = pair.true_cos - pair.false_cos
    return (
        f'<div class="cards">{cards}</div>'
        f'<p class="verdict {pair.verdict}">{VERDICTS[pair.verdict]} <small>true minus false {ahead:+.4f}</small></p>'
    )


def rate_bars(swapped: Swapped) -> str:
    """How often the truth was preferred in tests, by kind; the line in the middle of a bar is chance."""
    if not swapped.rates:
        return '<p class="why">This checkpoint does not say how often it prefers the truth. Chance is 50 %.</p>'
    rows = "".join(
        f"<li{' class=now' if kind == swapped.kind else ''}><span>{kind}</span>"
        f'<span class="track"><i style="width:{rate.percent:.1f}%"></i></span><b>{rate.percent:.1f} %</b>'
        f"<small>{rate.pairs:,} pairs</small></li>"
        for kind, rate in sorted(swapped.rates.items(), key=lambda item: -item[1].percent)
    )
    return (
        '<h3 class="where">In tests: how often the truth was preferred</h3>'
        f'<ul class="rates">{rows}</ul><p class="why">Whole descriptions of rendered tiles that were not trained on, '
        "one claim false. Chance is 50 %, the mark in each bar.</p>"
    )


def questions_of(lesson: Lesson | None) -> Sequence[str]:
    """Questions for the hand-out."""
    return lesson.questions if lesson is not None else _QUESTIONS


_QUESTIONS = (
    "What did you expect before the numbers came?",
    "Which words made the difference?",
    "What would you try next?",
)
