"""HTML fragments that several pages use, made from the templates in `app/ui/templates`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from app.collections import AppState
from app.ui.render import render
from lrsclip import TokenReport
from lrsclip.models.tokenizer import WORD
from lrsclip.tiles import Tile
from lrsclip.zero_shot.classifier import ClassScore

_CONTEXT = 48  # characters left of a long stretch of plain text on either side of something marked


def header(state: AppState) -> Markup:
    """The page's head: name, claim, and what is loaded."""
    bundle = state.bundle
    return render("ui/header.html", model=bundle.name, tiles=state.tile_count, limit=bundle.context_length)


def plan_facts(spec: str, tiles: int, first: Tile | None, work: str, note: str = "", shown: str = "") -> Markup:
    """What opening a collection would mean: how many tiles, how large, what is fetched and whom it is from."""
    rows = [("Tiles", f"{tiles:,}"), ("Address", spec)]
    if first is not None and first.ground_m is not None:
        rows.append(("A tile", f"{first.ground_m:,.0f} m a side"))
    if first is not None and first.attribution:
        rows.append(("Source", first.attribution))
    if note:
        rows.append(("Note", note))
    if shown:
        rows.append(("Bands", f"{shown}; ?bands=4,3,2 behind the address chooses others"))
    rows.append(("To do", work or "ready: nothing to download or draw; its tiles will be indexed"))
    return list_of(rows)


def collection_facts(spec: str, tiles: int, skipped: Sequence[str], shown: str = "") -> Markup:
    """What was opened."""
    rows = [("Open", spec), ("Tiles", f"{tiles:,}, searched from now on")]
    if shown:
        rows.append(("Bands", f"{shown}; ?bands=4,3,2 behind the address chooses others"))
    if skipped:
        rows.append(("Left out", f"{len(skipped)}, such as: {skipped[0]}"))
    return list_of(rows)


def list_of(rows: Sequence[tuple[str, str]]) -> Markup:
    """Names and values as a list."""
    return render("ui/facts.html", rows=rows)


def token_meter(report: TokenReport | None, limit: int) -> Markup:
    """How much of the limit a text takes."""
    count = report.count if report else 0
    width_percent = min(100.0, 100 * count / limit)
    return render(
        "ui/token_meter.html", count=count, limit=limit, over=max(0, count - limit), width_percent=width_percent
    )


_SPELLED_SHOWN = 8


def reading(report: TokenReport | None) -> Markup:
    """What the model cannot make use of: the part that is cut, and words that are new or read by letters."""
    if report is None:
        return Markup()
    before = _shortened(report.kept, keep_start=False)
    parts = _marked(report) if report.unseen_words else ()
    spelled = [_shortened(word, keep_end=False) for word in report.spelled_words[:_SPELLED_SHOWN]]
    return render("ui/reading.html", report=report, before=before, parts=parts, spelled=spelled)


def _marked(report: TokenReport) -> list[tuple[str, bool]]:
    """Split the text that is read into parts, and say of each whether it is a word never seen in training.

    Long stretches between such words are shortened.
    """
    first: dict[str, re.Match[str]] = {}  # once is enough: a word that comes back is no news
    for match in WORD.finditer(report.kept):
        if match.group().lower() in report.unseen_words:
            first.setdefault(match.group().lower(), match)
    marks = list(first.values())
    if not marks:  # they all stand in the part that is cut
        return [part for word in report.unseen_words for part in ((", ", False), (word, True))][1:]
    parts = [(_shortened(report.kept[: marks[0].start()], keep_start=False), False)]
    for match, following in zip(marks, [*marks[1:], None], strict=True):
        rest = report.kept[match.end() : following.start() if following else None]
        parts += [(match.group(), True), (_shortened(rest, keep_end=following is not None), False)]
    return parts


def _shortened(text: str, *, keep_start: bool = True, keep_end: bool = True) -> str:
    start, end = _CONTEXT * keep_start, _CONTEXT * keep_end
    if len(text) <= start + end + 12:
        return text
    # whole words only: half a word reads as a mistake
    head, tail = text[:start].rpartition(" ")[0], text[len(text) - end :].partition(" ")[2]
    return f"{head} … {tail}"


def collection_summary(tiles: int, shown: int) -> Markup:
    """One line over the first tiles, before any search."""
    return render("ui/collection_summary.html", tiles=tiles, shown=shown)


def class_bars(scores: Sequence[ClassScore], shown: int) -> Markup:
    """The best classes as bars: probability drawn, cosine beside it."""
    rest = sum(score.probability for score in scores[shown:])
    bars = [(score, 100 * score.probability) for score in scores[:shown]]
    return render("ui/class_bars.html", bars=bars, more=len(scores) - shown, rest=rest)


def beside(*fragments: Markup) -> Markup:
    """Fragments side by side, one under the other where there is no room."""
    return render("ui/beside.html", fragments=fragments)


def empty(sentence: str) -> Markup:
    """A quiet line where a result will stand."""
    return render("ui/paragraph.html", css_class="empty", text=sentence)


def hint(sentence: str) -> Markup:
    """Say in small print what the parts beside it are."""
    return render("ui/paragraph.html", css_class="hint", text=sentence)


def why(sentence: str) -> Markup:
    """Explain in small print what stands above."""
    return render("ui/paragraph.html", css_class="why", text=sentence)
