"""The hand-out: a result of the Learn page on one sheet of A4 or Letter; all is inline, and no script may run."""

from __future__ import annotations

from datetime import date
from itertools import zip_longest
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from app.learn.chart import heated, plain, rank_chart
from app.learn.html import (
    ORDER_NAMES,
    VERDICTS,
    WORDINGS,
    order_values,
    pairs_of,
    questions_of,
    rate_bars,
    reword_verdict,
)
from app.learn.lessons import Lesson
from app.learn.reword import Reworded
from app.learn.service import Grown, Orders
from app.learn.swap import Swapped
from app.ui.render import own_file, render

Result = Grown | Orders | Swapped | Reworded
_PICTURE_PX, _MAP_PX = 300, 120
_LONGEST = 420  # characters of a text; what is longer ends in dots, so that the page stays one

_LINE, _MAX_LINES = 66, 20  # characters of a line of the table; with more lines than so many all is set smaller
_STYLE = own_file(Path(__file__).parent / "sheet.css")


def sheet(
    result: Result, *, picture: Image.Image, lesson: Lesson | None, model: str, source: str,
    teacher: bool = False, today: date | None = None,
) -> Markup:  # fmt: skip
    """Write the hand-out as one HTML file without scripts.

    Args:
        result: of a run.
        picture: the tile.
        lesson: whose questions are asked; None for general ones.
        model: name of the checkpoint.
        source: who made the pictures.
        teacher: whether it has the answers, and what came out of this run.
        today: the date on it; None for today's.
    """
    if isinstance(result, Grown):
        template, values = "learn/sheet_grown.html", _grown(result, picture)
    elif isinstance(result, Orders):
        template, values = "learn/sheet_orders.html", _orders(result)
    elif isinstance(result, Reworded):
        template, values = "learn/sheet_reworded.html", _reworded(result)
    else:
        template, values = "learn/sheet_swapped.html", _swapped(result)
    return render(
        template,
        title=lesson.title if lesson is not None else _title(result),
        style=_STYLE,
        aim=lesson.aim if lesson is not None else "Long text and satellite pictures.",
        picture=plain(picture, _PICTURE_PX),
        questions=list(zip_longest(questions_of(lesson), lesson.answers if lesson and teacher else ())),
        outcome=_outcome(result) if teacher else "",
        teacher=teacher,
        tile=_short(result.name, 60),
        source=_short(source, 160),
        model=_short(model, 60),
        day=(today or date.today()).isoformat(),
        **values,
    )


def _title(result: Result) -> str:
    if isinstance(result, Grown):
        return "A description grows"
    if isinstance(result, Reworded):
        return "The same in other words"
    return "The same text in other orders" if isinstance(result, Orders) else "One thing swapped"


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most].rpartition(' ')[0] or text[:most]} …"


def _grown(grown: Grown, picture: Image.Image) -> dict[str, object]:
    steps = []
    for step in grown.steps:
        heard, lost = (_short(part.strip(), 200) for part in step.heard)
        steps.append((step, heard, lost, heated(picture, step.heat, grown.range_cos, _MAP_PX)))
    return {
        "grown": grown,
        "wide": grown.steps[0].wide.limit,
        "narrow": grown.steps[0].narrow.limit,
        "is_cut": grown.is_cut,
        "chart": rank_chart(grown, len(grown.steps)),
        "steps": steps,
        "tight": sum(1 + (len(step.added) > _LINE) for step in grown.steps) > _MAX_LINES,
    }


def _orders(orders: Orders) -> dict[str, object]:
    rows = [(ORDER_NAMES[order.name], len(order.texts), *order_values(order)) for order in orders.orders]
    grown = () if orders.grown is None else orders.grown.steps
    steps = [(step, *(_short(part.strip(), 120) for part in step.heard)) for step in grown]
    return {
        "text": _short(orders.text, 900),
        "tiles": orders.tiles,
        "orders": rows,
        "steps": steps,
        "wide": grown[0].wide.limit if grown else 0,
        "narrow": grown[0].narrow.limit if grown else 0,
        "tight": len(steps) > _MAX_LINES // 3,
    }


def _reworded(reworded: Reworded) -> dict[str, object]:
    told = [_short(text, 900) for text in reworded.texts]
    return {
        "tiles": reworded.tiles,
        "wordings": list(zip(WORDINGS, told, reworded.readings, strict=True)),
        "alike_cos": reworded.alike_cos,
    }


def _outcome(result: Result) -> str:
    """Say in a sentence or two what came out of a run, for the teacher."""
    if isinstance(result, Grown):
        number = result.best_step
        said = f"In this run step {number} helped most: “{_short(result.steps[number - 1].added.strip(), 120)}”"
        parted = next((n for n, step in enumerate(result.steps, 1) if step.narrow.cut.strip()), None)
        return said + (f" The readers part at step {parted}." if result.is_cut and parted else "")
    if isinstance(result, Orders):
        return (
            "In this run: "
            + "; ".join(f"{ORDER_NAMES[order.name].lower()}, rank {order_values(order)[0]}" for order in result.orders)
            + "."
        )
    if isinstance(result, Reworded):
        return f"In this run: {reword_verdict(result)}"
    kinds = {verdict: [kind for kind, pair in result.kinds.items() if pair.verdict == verdict] for verdict in VERDICTS}
    told = (f"{verdict}: {', '.join(found)}" for verdict, found in kinds.items() if found)
    return f"On this tile, {'; '.join(told)}." if result.kinds else ""


def _swapped(swapped: Swapped) -> dict[str, object]:
    return {
        "true_text": _short(swapped.alone.true_text),
        "false_text": _short(swapped.alone.false_text),
        "pairs": pairs_of(swapped),
        "kinds": [
            (
                kind,
                _short(pair.true_text, 110),
                _short(pair.false_text, 110),
                pair,
                VERDICTS[pair.verdict].partition(":")[0],
            )
            for kind, pair in swapped.kinds.items()
        ],
        "rates": rate_bars(swapped),
    }
