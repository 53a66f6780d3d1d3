"""The gate, measured on texts with planted errors, and on what it must never let through."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from train.data.records import Facts, Share, SourceRecord, Thing
from train.data_engine.gate.gate import Gate
from train.data_engine.lexicon.lexicon import shared_lexicon
from train.data_engine.texts import FINDING_KINDS, Texts

HERE = Path(__file__).parent
FACTS = TypeAdapter(Facts)


def record(facts: Facts, key: str = "some/picture") -> SourceRecord:
    return SourceRecord(key, "some", "", "train", None, facts=facts)


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HERE / name).read_text(encoding="utf-8"))["cases"]
    return found


def judged(name: str) -> tuple[int, int, Counter[str], Counter[str]]:
    """Good texts, false alarms among them, planted errors by kind, and those of them that were rejected."""
    given = cases(name)
    kinds = {t["kind"] for c in given for part in ("things", "shares") for t in c["facts"].get(part, [])}
    gate = Gate(shared_lexicon().with_kinds(sorted(kinds)))
    good = alarms = 0
    planted, caught = Counter[str](), Counter[str]()
    for case in given:
        of = record(FACTS.validate_python(case["facts"]), case["name"])
        for text in case["good"]:
            good += 1
            alarms += bool(gate(Texts(text["short"], text["long"]), of))
        for text in case["bad"]:
            planted[text["kind"]] += 1
            caught[text["kind"]] += bool(gate(Texts(text["short"], text["long"]), of))
    return good, alarms, planted, caught


@pytest.mark.parametrize(
    ("name", "least_planted", "precision", "recall"),
    [("gate_dev.json", 450, 0.96, 0.92), ("gate_test.json", 300, 0.92, 0.90)],
)
def test_planted_errors_are_caught(name: str, least_planted: int, precision: float, recall: float) -> None:
    """`gate_dev` is what the gate was made with; nobody who worked on the gate had read `gate_test`."""
    good, alarms, planted, caught = judged(name)
    share = {kind: caught[kind] / planted[kind] for kind in planted}
    print(f"{name}: {good} good, {alarms} false alarms; caught: {share}")  # pytest -s shows it
    assert set(planted) == set(FINDING_KINDS)
    assert planted.total() >= least_planted and min(planted.values()) >= 20
    assert caught.total() / (caught.total() + alarms) >= precision
    assert caught.total() / planted.total() >= recall
    assert all(share[kind] == 1 for kind in ("refusal", "too long", "too short"))
    assert min(share.values()) >= 0.7


TANKS = Facts(
    things=(
        Thing("storage tank", (0.1, 0.1, 0.2, 0.2), color="white"),
        Thing("storage tank", (0.1, 0.3, 0.2, 0.4), color="white"),
        Thing("ship", (0.7, 0.7, 0.9, 0.9)),
    ),
    things_complete=True,
)
LAND = Facts(
    shares=(
        Share("water", 0.3, (0, 0, 0.9, 0, 0, 0.9, 0, 0, 0.9)),
        Share("forest", 0.6, (0.9, 0.9, 0, 0.9, 0.9, 0, 0.9, 0.9, 0)),
    )
)
SAID = Facts(
    scene="airport", captions=("Four white planes are parked near a terminal.", "There are some cars on the left.")
)


@pytest.mark.parametrize(
    ("facts", "long", "kind"),
    [
        (TANKS, "Two white storage tanks stand in the upper left and a vessel lies in the lower right.", None),
        (TANKS, "Two tanks stand west of a ship, and there are no further ships in the picture.", None),
        (TANKS, "The pair of tanks is in the north-west; the lower left corner holds no tanks at all.", None),
        (TANKS, "From above one sees storage tanks on the left, and one can see a ship as well.", None),
        (TANKS, "One tank stands in the upper left corner, and a single ship lies in the lower right.", "wrong count"),
        (TANKS, "Three white storage tanks stand in the upper left and a ship lies in the lower right.", "wrong count"),
        (TANKS, "Two storage tanks stand in the lower right and a ship lies there as well, nearby.", "wrong place"),
        (TANKS, "Two tanks stand to the east of the only ship that this whole picture shows.", "wrong place"),
        (TANKS, "Two red storage tanks stand in the upper left and a ship lies in the lower right.", "wrong color"),
        (TANKS, "Two storage tanks stand in the upper left beside one long runway, in bright light.", "unknown object"),
        (TANKS, "There are no ships in this picture, only a pair of storage tanks on the left.", "wrong count"),
        (TANKS, "Several ships lie in the lower right, far from the two tanks in the upper left.", "wrong count"),
        (TANKS, "Two tanks and three zeppelins can be seen in this picture from above.", "unknown object"),
        (LAND, "Woodland covers about 60 percent, and a body of water fills the eastern side.", None),
        (LAND, "Forest covers 20 percent of the picture, and water lies in the east of it.", "wrong count"),
        (LAND, "Water fills the western half of the picture, with a forest right beside it.", "wrong place"),
        (SAID, "Four white airplanes stand near the terminal of an airport, with cars to the left.", None),
        (SAID, "Five airplanes stand near the terminal of an airport, with some cars close by.", "wrong count"),
        (SAID, "Some cars are on the right of the airport, where four planes are parked.", "wrong place"),
        (SAID, "Four blue planes are parked near the terminal of an airport with some cars.", "wrong color"),
    ],
)
def test_claims(facts: Facts, long: str, kind: str | None) -> None:
    found = Gate()(Texts("An aerial view", long), record(facts))
    assert [f.kind for f in found if f.where == "long"] == ([kind] if kind else []), found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I'm sorry, but I cannot view the image you sent, so I have nothing to say about it.", "refusal"),
        ("Here is the description: two storage tanks stand in the upper left of it.", "boilerplate"),
        ("Two storage tanks stand there, possibly indicating a thriving community of people.", "boilerplate"),
        ("**Two storage tanks** stand in the upper left, with a ship in the lower right.", "boilerplate"),
        ("Two tanks stand in the upper left. Two tanks stand in the upper left. A ship.", "repetition"),
        ("Two tanks.", "too short"),
        ("Two tanks stand here. " + " ".join(f"That much is clear to line {n}." for n in range(60)), "too long"),
    ],
)
def test_form(text: str, kind: str) -> None:
    found = {f.kind for f in Gate()(Texts("An aerial view of two tanks", text), record(TANKS))}
    assert kind in found


def test_a_finding_tells_the_writer_what_to_mend() -> None:
    (found,) = Gate()(
        Texts("Three storage tanks", "Two tanks stand in the upper left corner of the picture."), record(TANKS)
    )
    assert (found.kind, found.where, found.what) == ("wrong count", "short", "storage tanks")
    assert found.why == "The facts list two storage tanks."


def test_a_class_of_a_source_is_looked_for_as_well() -> None:
    odd = Facts(things=(Thing("quay zeppelin", (0.1, 0.1, 0.2, 0.2)),), things_complete=True)
    text = Texts("A quay zeppelin", "One quay zeppelin is in the upper left of this picture.")
    gate = Gate(shared_lexicon().with_kinds(["quay zeppelin"]))
    assert gate(text, record(odd)) == ()
    assert [f.kind for f in gate(text, record(TANKS))] == ["unknown object"] * 2
