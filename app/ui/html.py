"""HTML fragments. Everything that a user or a file wrote passes through `html.escape`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from app.collections import AppState
from lrsclip import TokenReport
from lrsclip.models.tokenizer import WORD
from lrsclip.tiles import Tile
from lrsclip.zero_shot.classifier import ClassScore

_CONTEXT = 48  # characters left of a long stretch of plain text on either side of something marked


def header(state: AppState) -> str:
    """The page's head: name, claim, and what is loaded."""
    tiles = state.tile_count
    facts = (
        ("model", state.bundle.name),
        ("tiles", f"{tiles:,}"),
        ("text limit", f"{state.bundle.context_length} tokens"),
    )
    chips = "".join(f"<li><span>{escape(name)}</span> {escape(value)}</li>" for name, value in facts)
    return (
        '<header class="top"><div><h1>LRSCLIP</h1>'
        "<p>Find and pinpoint places in satellite and aerial pictures by describing them at length.</p></div>"
        f'<ul class="chips">{chips}</ul></header>'
    )


def plan_facts(spec: str, tiles: int, first: Tile | None, work: str) -> str:
    """What opening a collection would mean: how many tiles, how large, what is fetched and whom it is from."""
    rows = [("Tiles", f"{tiles:,}"), ("Address", spec)]
    if first is not None and first.ground_m is not None:
        rows.append(("A tile", f"{first.ground_m:,.0f} m a side"))
    if first is not None and first.attribution:
        rows.append(("Source", first.attribution))
    rows.append(("To do", work or "nothing to fetch or draw; the tiles are looked at once"))
    return list_of(rows)


def collection_facts(spec: str, tiles: int, skipped: Sequence[str]) -> str:
    """What was opened."""
    rows = [("Open", spec), ("Tiles", f"{tiles:,}, searched from now on")]
    if skipped:
        rows.append(("Left out", f"{len(skipped)}, such as: {skipped[0]}"))
    return list_of(rows)


def list_of(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values as a list."""
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<dl class="facts">{cells}</dl>'


def token_meter(report: TokenReport | None, limit: int) -> str:
    """How much of the limit a text takes."""
    count = report.count if report else 0
    over = max(0, count - limit)
    note = f"{over} too many: the end is not read" if over else ""
    return (
        f'<div class="meter{" over" if over else ""}">'
        f'<div class="count" aria-live="polite"><b>{count} / {limit}</b> tokens <em>{note}</em></div>'
        f'<div class="track"><i style="width:{min(100.0, 100 * count / limit):.1f}%"></i></div></div>'
    )


def reading(report: TokenReport | None) -> str:
    """What the model cannot make use of: the part that is cut, struck out, and the words that are new to it, marked."""
    parts = []
    if report and report.is_cut:
        before = _shortened(report.kept, keep_start=False)
        parts.append(
            f'<p class="reading">{escape(before)}<del>{escape(report.cut)}</del></p>'
            f'<p class="why"><del>Struck out</del>: beyond {report.limit} tokens, not read by the model.</p>'
        )
    if report and report.unseen_words:
        parts.append(
            f'<p class="reading">{_marked(report)}</p>'
            '<p class="why"><mark>Marked</mark>: words that no picture was described with in training.</p>'
        )
    return "".join(parts)


def _marked(report: TokenReport) -> str:
    """The text that is read, words never seen in training marked, long stretches between them shortened."""
    first: dict[str, re.Match[str]] = {}  # once is enough: a word that comes back is no news
    for match in WORD.finditer(report.kept):
        if match.group().lower() in report.unseen_words:
            first.setdefault(match.group().lower(), match)
    marks = list(first.values())
    if not marks:  # they all stand in the part that is cut
        return ", ".join(f"<mark>{escape(word)}</mark>" for word in report.unseen_words)
    out = escape(_shortened(report.kept[: marks[0].start()], keep_start=False))
    for match, following in zip(marks, [*marks[1:], None], strict=True):
        rest = report.kept[match.end() : following.start() if following else None]
        out += f"<mark>{escape(match.group())}</mark>{escape(_shortened(rest, keep_end=following is not None))}"
    return out


def _shortened(text: str, *, keep_start: bool = True, keep_end: bool = True) -> str:
    start, end = _CONTEXT * keep_start, _CONTEXT * keep_end
    if len(text) <= start + end + 12:
        return text
    # whole words only: half a word reads as a mistake
    head, tail = text[:start].rpartition(" ")[0], text[len(text) - end :].partition(" ")[2]
    return f"{head} … {tail}"


def collection_summary(tiles: int, shown: int) -> str:
    """One line over the first tiles, before any search."""
    return f'<p class="summary"><b>{tiles:,} tiles</b> to search, {shown} of them here</p>'


def class_bars(scores: Sequence[ClassScore], shown: int) -> str:
    """The best classes as bars: probability drawn, cosine beside it."""
    rows = "".join(
        f'<li><div class="line"><span class="label">{escape(s.label)}</span><b>{100 * s.probability:.1f} %</b></div>'
        f'<div class="track"><i style="width:{100 * s.probability:.2f}%"></i></div>'
        f'<span class="cos">cosine {s.score_cos:.3f}</span></li>'
        for s in scores[:shown]
    )
    rest = sum(s.probability for s in scores[shown:])
    more = len(scores) - shown
    left = f'<p class="why">{more} more classes share {100 * rest:.1f} %.</p>' if more > 0 else ""
    return f'<ol class="bars">{rows}</ol>{left}'


def beside(*fragments: str) -> str:
    """Fragments side by side, one under the other where there is no room."""
    return f'<div class="beside">{"".join(fragments)}</div>'


def empty(sentence: str) -> str:
    """A quiet line where a result will stand."""
    return f'<p class="empty">{escape(sentence)}</p>'
