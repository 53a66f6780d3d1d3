"""Links: what is built is read again, and what others made of one is checked."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.search.link import LONGEST_TEXT, TABS, Link, LinkError, as_parameters, faults_text, read_parameters
from app.search.service import MAX_HITS, Query

_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
_shares = st.integers(0, 20).map(lambda twentieths: twentieths / 20)
_boxes = st.tuples(
    st.integers(-180_000, 180_000), st.integers(-90_000, 0), st.integers(-180_000, 180_000), st.integers(0, 90_000)
).map(lambda box: tuple(value / 1000 for value in box))
_queries = st.builds(
    Query,
    text=_texts,
    exclude=_texts,
    exclude_weight=_shares,
    like=_texts,
    image_weight=_shares,
    k=st.integers(1, MAX_HITS),
    min_score_cos=st.none() | st.integers(0, 100).map(lambda hundredths: hundredths / 100),
    hide_duplicates=st.booleans(),
    bbox_lonlat=st.none() | _boxes,
    polygon_lonlat=st.none(),
) | st.builds(
    Query,
    text=_texts,
    polygon_lonlat=st.sampled_from(
        [((0.5, 0.0), (10.25, 0.0), (3.0, 7.125)), ((1.0, 2.0),) * 2 + ((3.0, 5.0), (0.0, 4.0))]
    ),
)


def read(parameters: str) -> Link | None:
    return read_parameters(dict(parse_qsl(parameters, keep_blank_values=True)))


@settings(max_examples=150, deadline=None)
@given(st.builds(Link, tab=st.sampled_from(TABS), query=_queries, spec=_texts))
def test_a_link_restores_what_it_was_made_of(link: Link) -> None:
    assert read(as_parameters(link)) == link


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["tab", "q", "x", "xw", "pw", "k", "min", "bbox", "dup", "like", "of"]), _texts))
def test_whatever_stands_in_a_link_gives_a_question_that_can_be_asked(given_: dict[str, str]) -> None:
    link = read(urlencode(given_))
    assert link is None or (link.tab in TABS and 1 <= link.query.k <= MAX_HITS)


def test_what_makes_no_sense_is_told_and_left_out() -> None:
    link = read("tab=admin&q=boats&k=1e9&min=nan&bbox=1,2,3&xw=-1&like=" + "x" * 999)
    assert link is not None
    assert link == Link(query=Query("boats"), faults=link.faults)
    assert len(link.faults) == 6
    told = faults_text(link)
    for part in ("'admin'", "k is '1e9'", "min is 'nan'", "as an area", "xw is '-1'", "tile's name is longer"):
        assert part in told


def test_a_page_opened_without_a_link_stays_as_it_is() -> None:
    assert read("") is None
    assert read("__theme=dark&view=api") is None


def test_a_text_that_fits_no_address_is_refused() -> None:
    with pytest.raises(LinkError, match="too many for a link"):
        as_parameters(Link(query=Query("a" * (LONGEST_TEXT + 1))))
    link = read(urlencode({"q": "a" * (LONGEST_TEXT + 1)}))
    assert link is not None and link.faults
    assert not link.query.has_text and not link.query.has_image
