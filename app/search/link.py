"""A search as the query part of an address, and back: one user copies it and another opens it, on any server.

A link may have been changed on its way: every value is checked, and a bad one is reported, not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from app.search.service import MAX_HITS, START_EXCLUDE_WEIGHT, START_HITS, START_IMAGE_WEIGHT, Query
from lrsclip.errors import LRSCLIPError
from lrsclip.index import Area, parse_area
from lrsclip.numbers import decimal_of

TABS = ("search", "classify", "localize", "learn", "places")
LONGEST_TEXT = 4000  # characters; four times what the model reads, and short enough for an address
LONGEST_NAME = 300
LONGEST_ADDRESS, MAX_PARAMETERS = 40_000, 50  # of what a browser says its address is


class LinkError(LRSCLIPError, ValueError):
    """A search that does not fit into a link."""


@dataclass(frozen=True)
class Link:
    """The content of a link.

    Attributes:
        tab: the tab to open.
        query: the search; without a picture, which no link can hold.
        spec: address of the collection; "" where it does not say.
        faults: sentences about values that could not be used.
    """

    tab: str = "search"
    query: Query = field(default_factory=Query)
    spec: str = ""
    faults: tuple[str, ...] = ()


def as_parameters(link: Link) -> str:
    """Format a link as the part of an address behind the question mark; usual settings are left out.

    Raises:
        LinkError: a text is too long.
    """
    query = link.query
    for name, text in (("description", query.text), ("text to exclude", query.exclude)):
        if len(text) > LONGEST_TEXT:
            raise LinkError(f"the {name} has {len(text):,} characters, too many for a link; {LONGEST_TEXT:,} fit")
    told: dict[str, str] = {"tab": link.tab}
    if link.spec and len(link.spec) <= LONGEST_NAME:
        told["of"] = link.spec
    told |= {name: text for name, text in (("q", query.text), ("x", query.exclude), ("like", query.like)) if text}
    numbers = (
        ("xw", query.exclude_weight, START_EXCLUDE_WEIGHT),
        ("pw", query.image_weight, START_IMAGE_WEIGHT),
        ("k", query.k, START_HITS),
        ("min", query.min_score_cos, None),
    )
    told |= {name: f"{value:.4g}" for name, value, usual in numbers if value is not None and value != usual}
    if not query.hide_duplicates:
        told["dup"] = "1"
    if query.area:
        told["bbox"] = query.area.written().replace(", ", ",")
    return urlencode(told)


def read_parameters(given: Mapping[str, str]) -> Link | None:
    """Parse the parameters of a page's address; None where none of them is ours."""
    if not set(given) & {"tab", "of", "q", "x", "like", "k", "min", "bbox", "dup", "xw", "pw"}:
        return None
    faults: list[str] = []

    def number(name: str, low: float, high: float, usual: float) -> float:
        if name not in given:
            return usual
        value = decimal_of(given[name])
        if value is not None and low <= value <= high:
            return value
        faults.append(f"{name} is {given[name][:40]!r}, not a number from {low:g} to {high:g}")
        return usual

    def text(name: str, longest: int, what: str) -> str:
        value = given.get(name, "").replace("\0", "")
        if len(value) <= longest:
            return value
        faults.append(f"{what} is longer than {longest:,} characters and was left out")
        return ""

    tab = given.get("tab", "search")
    if tab not in TABS:
        faults.append(f"there is no tab {tab[:40]!r}")
        tab = "search"
    try:
        area = parse_area(given.get("bbox", ""))
    except LRSCLIPError as error:
        faults.append(str(error))
        area = Area()
    least = number("min", 0, 1, math.nan)  # as the page's slider goes
    query = Query(
        text=text("q", LONGEST_TEXT, "the description"),
        exclude=text("x", LONGEST_TEXT, "the text to exclude"),
        exclude_weight=number("xw", 0, 1, START_EXCLUDE_WEIGHT),
        like=text("like", LONGEST_NAME, "the tile's name"),
        image_weight=number("pw", 0, 1, START_IMAGE_WEIGHT),
        k=round(number("k", 1, MAX_HITS, START_HITS)),
        min_score_cos=None if math.isnan(least) else least,
        hide_duplicates=given.get("dup", "0") != "1",
        bbox_lonlat=area.bbox_lonlat,
        polygon_lonlat=area.polygon_lonlat,
    )
    return Link(tab, query, text("of", LONGEST_NAME, "the collection's address"), tuple(faults))


def faults_text(link: Link) -> str:
    """Format the values that could not be used as one sentence; empty where all could."""
    return f"Not all of this link could be used: {'; '.join(link.faults)}." if link.faults else ""
