"""The hand-out: one A4 page with a result of the Learn page, to print; everything is inline, and no script may run."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from markupsafe import Markup
from PIL import Image

from app.learn.chart import heated, plain, rank_chart
from app.learn.html import ORDER_NAMES, order_values, pairs_of, questions_of, rate_bars
from app.learn.lessons import Lesson
from app.learn.service import Grown, Orders
from app.learn.swap import Swapped
from app.ui.render import own_file, render

Result = Grown | Orders | Swapped
_PICTURE_PX, _MAP_PX = 300, 120
_LONGEST = 420  # characters of a text; what is longer ends in dots, so that the page stays one

_LINE, _MAX_LINES = 66, 20  # characters of a line of the table; with more lines than so many all is set smaller
_STYLE = own_file(Path(__file__).parent / "sheet.css")


def sheet(
    result: Result, *, picture: Image.Image, lesson: Lesson | None, model: str, source: str, today: date | None = None
) -> Markup:
    """Write the hand-out as one HTML file without scripts.

    Args:
        result: of a run.
        picture: the tile.
        lesson: whose questions are asked; None for general ones.
        model: name of the checkpoint.
        source: who made the pictures.
        today: the date on it; None for today's.
    """
    if isinstance(result, Grown):
        template, values = "learn/sheet_grown.html", _grown(result, picture)
    elif isinstance(result, Orders):
        template, values = "learn/sheet_orders.html", _orders(result)
    else:
        template, values = "learn/sheet_swapped.html", _swapped(result)
    return render(
        template,
        title=lesson.title if lesson is not None else _title(result),
        style=_STYLE,
        aim=lesson.aim if lesson is not None else "Long text and satellite pictures.",
        picture=plain(picture, _PICTURE_PX),
        questions=questions_of(lesson),
        tile=_short(result.tile_id, 60),
        source=_short(source, 160),
        model=_short(model, 60),
        day=(today or date.today()).isoformat(),
        **values,
    )


def _title(result: Result) -> str:
    if isinstance(result, Grown):
        return "A description grows"
    return "The same text in other orders" if isinstance(result, Orders) else "One thing swapped"


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most].rpartition(' ')[0] or text[:most]} …"


def _grown(grown: Grown, picture: Image.Image) -> dict[str, object]:
    steps = []
    for step in grown.steps:
        heard, lost = (_short(part.strip(), 200) for part in step.heard)
        steps.append((step, heard, lost, heated(picture, step.wide.heat, grown.range_cos, _MAP_PX)))
    return {
        "grown": grown,
        "wide": grown.steps[0].wide.limit,
        "narrow": grown.steps[0].narrow.limit,
        "chart": rank_chart(grown, len(grown.steps)),
        "steps": steps,
        "tight": sum(1 + (len(step.added) > _LINE) for step in grown.steps) > _MAX_LINES,
    }


def _orders(orders: Orders) -> dict[str, object]:
    rows = [(ORDER_NAMES[order.name], len(order.texts), *order_values(order)) for order in orders.orders]
    return {"text": _short(orders.text, 900), "tiles": orders.tiles, "orders": rows}


def _swapped(swapped: Swapped) -> dict[str, object]:
    return {
        "true_text": _short(swapped.alone.true_text),
        "false_text": _short(swapped.alone.false_text),
        "pairs": pairs_of(swapped),
        "rates": rate_bars(swapped),
    }
