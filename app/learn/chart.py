"""Pictures of the Learn page: the rank by step as a line chart, heat-maps over their tile; all inline, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from PIL import Image

from app.learn.service import Grown, StepMap
from app.media.images import data_url, shrunk
from lrsclip.localize.colormap import overlay

WIDE_PX, HIGH_PX = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 84, 16, 42
_OPACITY = 0.62


def rank_chart(grown: Grown, shown: int) -> str:
    """The rank of the true tile by step, one line for each reader; 1 is at the top, and steps not shown are left out.

    A rank that is tied is drawn at its better end; the table beside the chart has both ends.
    """
    steps = grown.steps[:shown]
    wide = [step.wide.standing.best for step in steps]
    narrow = [step.narrow.standing.best for step in steps]
    lowest = max(10, *wide, *narrow)
    decades = range(math.ceil(math.log10(lowest)) + 1)
    span = max(decades) or 1

    def x_of(number: int) -> float:
        return _LEFT + (WIDE_PX - _LEFT - _RIGHT) * number / max(1, len(grown.steps) - 1)

    def y_of(rank: int) -> float:
        return _TOP + (HIGH_PX - _TOP - _BOTTOM) * math.log10(rank) / span

    grid = "".join(
        f'<line x1="{_LEFT}" x2="{WIDE_PX - _RIGHT}" y1="{y_of(10**d):.1f}" y2="{y_of(10**d):.1f}" class="grid"/>'
        f'<text x="{_LEFT - 10}" y="{y_of(10**d) + 5:.1f}" text-anchor="end">{10**d:,}</text>'
        for d in decades
    )
    marks = "".join(
        f'<text x="{x_of(n):.1f}" y="{HIGH_PX - 18}" text-anchor="middle">{n + 1}</text>'
        for n in range(len(grown.steps))
    )
    first = steps[-1]
    lines = _line([(x_of(n), y_of(r)) for n, r in enumerate(narrow)], "narrow") + _line(
        [(x_of(n), y_of(r)) for n, r in enumerate(wide)], "wide"
    )
    x, high, low = x_of(len(steps) - 1) + 12, y_of(wide[-1]) + 5, y_of(narrow[-1]) + 5
    if abs(high - low) < 18:  # the two names must not lie on one another
        low = high + (18 if narrow[-1] >= wide[-1] else -18)
    ends = f'<text class="wide end" x="{x:.1f}" y="{high:.1f}">{first.wide.limit}</text>'
    if first.narrow.limit != first.wide.limit:
        ends += f'<text class="narrow end" x="{x:.1f}" y="{low:.1f}">{first.narrow.limit}</text>'
    said = f"Rank of the true tile by step, 1 is best: {_spoken(wide, first.wide.limit)}; "
    said += _spoken(narrow, first.narrow.limit)
    return (
        f'<svg class="rank-chart" viewBox="0 0 {WIDE_PX} {HIGH_PX}" role="img" aria-label="{escape(said, quote=True)}">'
        f"{grid}{marks}{lines}{ends}"
        f'<text class="axis" x="{WIDE_PX - _RIGHT + 18}" y="{HIGH_PX - 18}">step</text>'
        f'<text class="axis" transform="rotate(-90)" x="{-HIGH_PX / 2:.0f}" y="14" text-anchor="middle">rank</text>'
        "</svg>"
    )


def _spoken(ranks: Sequence[int], limit: int) -> str:
    return f"read to {limit} tokens {', '.join(f'{rank:,}' for rank in ranks)}"


def _line(points: Sequence[tuple[float, float]], name: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    # colour is not all that tells them apart: one line is dashed with squares
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        if name == "wide"
        else f'<rect x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14"/>'
        for x, y in points
    )
    return f'<g class="{name}"><polyline points="{path}"/>{dots}</g>'


def heated(picture: Image.Image, heat: StepMap, range_cos: tuple[float, float], side_px: int) -> str:
    """A tile under its heat-map as a data URL, the colours running over a range that several maps share."""
    ground = _framed(picture, side_px)
    # enough for the eye: the map itself is smooth
    colours = overlay(heat, low_cos=range_cos[0], high_cos=range_cos[1], longest_px=side_px).convert("RGBA")
    colours = colours.resize(ground.size)
    alpha = colours.getchannel("A").point(lambda value: round(value * _OPACITY))
    ground.paste(colours.convert("RGB"), mask=alpha)
    return data_url(ground, "JPEG")


def plain(picture: Image.Image, side_px: int) -> str:
    """A tile as a data URL."""
    return data_url(_framed(picture, side_px), "JPEG")


def _framed(picture: Image.Image, side_px: int) -> Image.Image:
    small = shrunk(picture, side_px)
    share = side_px / max(small.size)
    return small if share <= 1 else small.resize((round(small.width * share), round(small.height * share)))
