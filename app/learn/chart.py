"""Pictures of the Learn page: the rank by step as a line chart, heat-maps over their tile; all inline, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup
from PIL import Image

from app.learn.service import Grown, StepMap
from app.media.images import data_url, shrunk
from app.ui.render import render
from lrsclip.localize.colormap import overlay

WIDE_PX, HIGH_PX = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 84, 16, 42
_OPACITY = 0.62
_SQUARE_PX = 14


def rank_chart(grown: Grown, count: int) -> Markup:
    """Draw the rank of the true tile by step as SVG, one line for each reader; 1 is at the top.

    A rank that is tied is drawn at its better end; the table beside the chart has both ends.

    Args:
        grown: all steps.
        count: how many of them are drawn, from the first; the chart has room for all.
    """
    steps = grown.steps[:count]
    wide = [step.wide.standing.best for step in steps]
    narrow = [step.narrow.standing.best for step in steps]
    lowest = max(10, *wide, *narrow)
    decades = range(math.ceil(math.log10(lowest)) + 1)
    span = max(decades) or 1

    def x_of(number: int) -> float:
        return _LEFT + (WIDE_PX - _LEFT - _RIGHT) * number / max(1, len(grown.steps) - 1)

    def y_of(rank: int) -> float:
        return _TOP + (HIGH_PX - _TOP - _BOTTOM) * math.log10(rank) / span

    first = steps[-1]
    x, high, low = x_of(len(steps) - 1) + 12, y_of(wide[-1]) + 5, y_of(narrow[-1]) + 5
    if abs(high - low) < 18:  # the two names must not lie on one another
        low = high + (18 if narrow[-1] >= wide[-1] else -18)
    ends = [("wide", x, high, first.wide.limit)]
    if grown.is_cut:
        ends.append(("narrow", x, low, first.narrow.limit))
    narrow_line = [(x_of(n), y_of(rank)) for n, rank in enumerate(narrow)] if grown.is_cut else []
    cut = [(narrow, first.narrow.limit)] if grown.is_cut else []
    return render(
        "learn/rank_chart.svg",
        width=WIDE_PX,
        height=HIGH_PX,
        spoken="Rank of the true tile by step, 1 is best: "
        + "; ".join(_spoken(ranks, limit) for ranks, limit in ((wide, first.wide.limit), *cut)),
        grid=[(10**decade, y_of(10**decade), y_of(10**decade) + 5) for decade in decades],
        left=_LEFT,
        right=WIDE_PX - _RIGHT,
        foot=HIGH_PX - 18,
        ranks_x=_LEFT - 10,
        step_x=WIDE_PX - _RIGHT + 18,
        rank_x=-HIGH_PX / 2,
        columns=[x_of(n) for n in range(len(grown.steps))],
        narrow=narrow_line,
        squares=[(x - _SQUARE_PX / 2, y - _SQUARE_PX / 2) for x, y in narrow_line],
        square=_SQUARE_PX,
        wide=[(x_of(n), y_of(rank)) for n, rank in enumerate(wide)],
        ends=ends,
    )


def _spoken(ranks: Sequence[int], limit: int) -> str:
    return f"read to {limit} tokens {', '.join(f'{rank:,}' for rank in ranks)}"


def heated(picture: Image.Image, heat: StepMap, range_cos: tuple[float, float], side_px: int) -> str:
    """Draw a tile under its heat-map as a data URL; the colors run over a range of cosines that several maps share."""
    ground = _framed(picture, side_px)
    # enough for the eye: the map itself is smooth
    colors = overlay(heat, low_cos=range_cos[0], high_cos=range_cos[1], longest_px=side_px).convert("RGBA")
    colors = colors.resize(ground.size)
    alpha = colors.getchannel("A").point(lambda value: round(value * _OPACITY))
    ground.paste(colors.convert("RGB"), mask=alpha)
    return data_url(ground, "JPEG")


def plain(picture: Image.Image, side_px: int) -> str:
    """Draw a tile as a data URL, its longest side `side_px`."""
    return data_url(_framed(picture, side_px), "JPEG")


def _framed(picture: Image.Image, side_px: int) -> Image.Image:
    small = shrunk(picture, side_px)
    share = side_px / max(small.size)
    return small if share <= 1 else small.resize((round(small.width * share), round(small.height * share)))
