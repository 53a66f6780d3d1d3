"""The hand-out: one A4 page of what the Learn page shows, to print; everything is inline and all text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from html import escape
from pathlib import Path

from PIL import Image

from app.learn.chart import heated, plain, rank_chart
from app.learn.html import ORDER_NAMES, VERDICTS, order_values, questions_of, rate_bars
from app.learn.lessons import Lesson
from app.learn.service import Grown, Orders
from app.learn.swap import Pair, Swapped

Result = Grown | Orders | Swapped
_PICTURE_PX, _MAP_PX = 300, 120
_LONGEST = 420  # characters of a text; what is longer ends in dots, so that the page stays one

_LINE, _MOST_LINES = 66, 20  # characters of a line of the table; with more lines than so many all is set smaller
_STYLE = (Path(__file__).parent / "sheet.css").read_text(encoding="utf-8")
_NO_SCRIPTS = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def sheet(
    result: Result, *, picture: Image.Image, lesson: Lesson | None, model: str, source: str, today: date | None = None
) -> str:
    """The hand-out as one HTML file without scripts.

    Args:
        result: what is on screen.
        picture: the tile.
        lesson: whose questions are asked; None for general ones.
        model: name of the checkpoint.
        source: who made the pictures.
        today: the date on it; None for today's.
    """
    title = lesson.title if lesson is not None else _title(result)
    body = (
        _grown(result, picture)
        if isinstance(result, Grown)
        else _orders(result, picture)
        if isinstance(result, Orders)
        else _swapped(result, picture)
    )
    questions = "".join(f"<li>{escape(question)}</li>" for question in questions_of(lesson))
    day = (today or date.today()).isoformat()
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_NO_SCRIPTS}">'
        f"<style>{_STYLE}</style></head><body><main><header><h1>{escape(title)}</h1>"
        f'<p class="quiet">{escape(lesson.aim) if lesson else "Long text and satellite pictures."}</p>'
        '<p class="name">Name <span></span> Class <span></span></p></header>'
        f'{body}<ol class="questions">{questions}</ol>'
        f"<footer>Tile {escape(_short(result.tile_id, 60))}. Pictures: {escape(_short(source, 160))}. "
        f"Model: {escape(_short(model, 60))}. Made with LRSCLIP on {day}.</footer></main></body></html>"
    )


def _title(result: Result) -> str:
    if isinstance(result, Grown):
        return "A description grows"
    return "The same text in other orders" if isinstance(result, Orders) else "One thing swapped"


def _short(text: str, most: int = _LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most].rpartition(' ')[0] or text[:most]} …"


def _struck(text: str) -> str:
    return f"<del>{escape(text)}</del>" if text.strip() else ""


def _tile(picture: Image.Image) -> str:
    return f'<img src="{plain(picture, _PICTURE_PX)}" alt="the tile">'


def _table(head: Sequence[tuple[str, str]], rows: str) -> str:
    heads = "".join(f'<th scope="col" class="{width}">{escape(name)}</th>' for name, width in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _grown(grown: Grown, picture: Image.Image) -> str:
    wide, narrow = grown.steps[0].wide.limit, grown.steps[0].narrow.limit
    rows = ""
    for number, step in enumerate(grown.steps, 1):
        heard, lost = (_short(part.strip(), 200) for part in step.heard)
        rows += (
            f'<tr><td>{number}</td><td class="text"><span>{escape(heard)} {_struck(lost)}</span></td>'
            f"<td>{step.wide.standing.rank_text}</td><td>{step.narrow.standing.rank_text}</td>"
            f"<td>{step.wide.standing.score_cos:.3f}</td><td>{step.narrow.standing.score_cos:.3f}</td></tr>"
        )
    maps = "".join(
        f'<div><img src="{heated(picture, step.wide.heat, grown.range_cos, _MAP_PX)}" alt="heat-map">'
        f"step {number}</div>"
        for number, step in enumerate(grown.steps, 1)
    )
    tight = " tight" if sum(1 + (len(step.added) > _LINE) for step in grown.steps) > _MOST_LINES else ""
    head = [("Step", "few"), ("Added (struck through: cut)", "")]
    head += [
        (f"Rank, {wide}", "few"),
        (f"Rank, {narrow}", "few"),
        (f"Cosine, {wide}", "few"),
        (f"Cosine, {narrow}", "few"),
    ]
    return (
        f'<div class="top">{_tile(picture)}<div><h2>Rank of the true tile among {grown.tiles:,} (1 is best), read to '
        f"{wide} and to {narrow} tokens</h2>{rank_chart(grown, len(grown.steps))}</div></div>"
        f'<div class="rest{tight}">{_table(head, rows)}</div><div class="maps{tight}">{maps}</div>'
    )


def _orders(orders: Orders, picture: Image.Image) -> str:
    rows = ""
    for order in orders.orders:
        rank, cosine = order_values(order)
        count = f", {len(order.texts)} orders" if len(order.texts) > 1 else ""
        rows += f"<tr><td>{ORDER_NAMES[order.name]}{count}</td><td>{rank}</td><td>{cosine}</td></tr>"
    table = _table([("Text", ""), ("Rank (range)", "many"), ("Cosine (range)", "")], rows)
    return (
        f'<div class="top">{_tile(picture)}<div><h2>The description</h2>'
        f"<p>{escape(_short(orders.text, 900))}</p></div></div>"
        f'<p class="rest">Rank of the true tile among {orders.tiles:,}; 1 is the best.</p>{table}'
    )


def _swapped(swapped: Swapped, picture: Image.Image) -> str:
    pairs = [("The sentence alone", swapped.alone)]
    pairs += [("Within the whole description", swapped.whole)] if swapped.whole is not None else []
    rows = "".join(_pair_row(name, pair) for name, pair in pairs)
    table = _table([("", ""), ("True", "many"), ("False", "many"), ("Verdict", "")], rows)
    return (
        f'<div class="top">{_tile(picture)}<div><h2>True</h2><p>{escape(_short(swapped.alone.true_text))}</p>'
        f"<h2>False</h2><p>{escape(_short(swapped.alone.false_text))}</p></div></div>{table}"
        f'<div class="rest">{rate_bars(swapped)}</div>'
    )


def _pair_row(name: str, pair: Pair) -> str:
    values = f"<td>{pair.true_cos:.4f}</td><td>{pair.false_cos:.4f}</td>"
    return f"<tr><td>{name}</td>{values}<td>{VERDICTS[pair.verdict]}</td></tr>"
