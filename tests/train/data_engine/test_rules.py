"""Facts into statements and texts: what is said is true, in many wordings, and passes the gate."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.data_engine.test_gate import record
from train.data.records import Facts, Share, Thing
from train.data_engine.facts.statements import statements
from train.data_engine.gate.gate import LONG_TOKENS, SHORT_TOKENS, Gate, tokens_of
from train.data_engine.lexicon.lexicon import shared_lexicon
from train.data_engine.lexicon.words import a, counted, listed, plural
from train.data_engine.writer.rules import RulesFailed, RulesWriter, brief

KINDS = ("plane", "ship", "storage tank", "tennis court", "large vehicle", "bridge", "overpass", "quay zeppelin", "bus")
COVERS = ("water", "forest", "building", "road", "bare land", "low vegetation", "agriculture", "impervious surface")
GATE = Gate(shared_lexicon().with_kinds([*KINDS, *COVERS]))


def boxes() -> st.SearchStrategy[tuple[float, float, float, float]]:
    corner = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
    return corner.map(lambda b: (b[0], b[1], min(1.0, b[0] + b[2]), min(1.0, b[1] + b[3])))


def things() -> st.SearchStrategy[Thing]:
    return st.builds(
        Thing,
        kind=st.sampled_from(KINDS),
        box=boxes(),
        bearing_deg=st.none() | st.floats(0, 180),
        color=st.sampled_from(("", "white", "red", "dark green")),
        cut=st.booleans(),
    )


@st.composite
def shares(draw: st.DrawFn) -> tuple[Share, ...]:
    kinds = draw(st.lists(st.sampled_from(COVERS), max_size=4, unique=True))
    out = []
    for kind in kinds:
        cells = tuple(draw(st.lists(st.floats(0, 1 / len(kinds)), min_size=9, max_size=9)))
        out.append(Share(kind, sum(cells) / 9, cells))
    return tuple(sorted(out, key=lambda s: -s.share))


CAPTIONS = st.sampled_from(
    (
        "many green trees are around a playground", "two planes are parked near a terminal building ",
        "It is a large piece of farmland .", "a river with dark water on the left", "some buildings, perhaps schools",
        "there are no houses", ".", "a a a a", "several white storage tanks are in the upper part of the picture",
    )
)  # fmt: skip
FACTS = st.builds(
    Facts,
    scene=st.none()
    | st.sampled_from(("airport", "dense residential area", "farmland", "storage tanks", "sea or lake")),
    captions=st.lists(CAPTIONS, max_size=5).map(tuple),
    things=st.lists(things(), max_size=14).map(tuple),
    things_complete=st.booleans(),
    shares=shares(),
    tags=st.lists(
        st.sampled_from((("landuse", "farmland"), ("building", "yes"), ("name", "x"), ("natural", "water"), ("a", ""))),
        max_size=3,
    ).map(tuple),
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(FACTS, st.integers(0, 3))
def test_whatever_the_facts_the_texts_pass_the_gate(facts: Facts, variant: int) -> None:
    writer, given_record = RulesWriter(GATE), record(facts)
    try:
        texts = writer(given_record, variant)
    except RulesFailed:
        said = bool(statements(facts)) or any(len(c.split()) > 3 for c in facts.captions)
        assert not said or facts.captions, "facts without captions can always be told"
        return
    assert GATE(texts, given_record) == ()
    assert tokens_of(texts.short) <= SHORT_TOKENS and tokens_of(texts.long) <= LONG_TOKENS
    for text in (texts.short, texts.long):
        assert text[0] == text[0].upper() and text.endswith(".")
        assert not re.search(r"\s{2}|\.\.|\s\.|\ba [aeio]\w|\{|\}", text.replace("a one", "")), text
    assert writer(given_record, variant) == texts, "the same record always reads the same"
    assert brief(given_record) == brief(given_record)


HARBOUR = Facts(
    scene="harbor",
    things=(
        *(Thing("ship", (0.1 + 0.1 * n, 0.1, 0.16 + 0.1 * n, 0.16)) for n in range(5)),
        Thing("crane", (0.7, 0.7, 0.8, 0.9), bearing_deg=3, color="red"),
    ),
    things_complete=True,
)


def test_statements_of_a_detection() -> None:
    told = {(s.form, s.kind, s.detail or s.place, s.count) for s in statements(HARBOUR)}
    assert ("scene", "harbor", "", 0) in told
    assert ("group", "ship", "N", 5) in told
    assert ("arrangement", "ship", "row", 5) in told
    assert ("heading", "crane", "down", 1) in told


def test_where_not_all_is_marked_nothing_is_counted() -> None:
    partly = Facts(things=HARBOUR.things, things_complete=False)
    assert {s.count for s in statements(partly)} == {0}
    texts = RulesWriter(GATE)(record(partly), 0)
    assert "five" not in texts.long.lower() and "ships" in texts.long.lower()


def test_statements_of_a_mask() -> None:
    facts = Facts(shares=(Share("water", 1 / 3, (0, 0, 1) * 3), Share("forest", 0.005, (0.045, *[0] * 8))))
    (told,) = statements(facts)
    assert (told.form, told.kind, told.place) == ("share", "water", "E")
    assert "third" in RulesWriter(GATE)(record(facts), 0).long


def test_variants_differ() -> None:
    writer = RulesWriter(GATE)
    assert len({writer(record(HARBOUR), v).long for v in range(8)}) > 4
    assert len({writer(record(HARBOUR, f"s/{n}"), 0).short for n in range(12)}) > 3
    assert RulesWriter(GATE, seed=1)(record(HARBOUR), 0) != writer(record(HARBOUR), 0)


def test_a_record_of_which_nothing_is_known_has_no_text() -> None:
    with pytest.raises(RulesFailed, match="some/picture"):
        RulesWriter(GATE)(record(Facts()), 0)


def test_words() -> None:
    assert [plural(n) for n in ("bus", "storage tanks", "city", "aircraft", "farmland", "overpass")] == [
        "buses", "storage tanks", "cities", "aircraft", "farmland", "overpasses",
    ]  # fmt: skip
    assert [a(n) for n in ("airport", "farmland", "storage tanks", "university", "sea or lake")] == [
        "an airport", "farmland", "storage tanks", "a university", "sea or lake",
    ]  # fmt: skip
    assert (counted(1, "bus"), counted(3, "bus"), counted(40, "ship")) == ("one bus", "three buses", "40 ships")
    assert (listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == ("a", "a and b", "a, b and c")
