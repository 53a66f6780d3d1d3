"""Words of direction: which are some, and what is true of a mirrored picture."""

from __future__ import annotations

import pytest

from train.data.directions import MIRRORS, may_be_mirrored, mirrored, names_direction


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A road on the left", True),
        ("A leftover crane", True),
        ("Northern shore", True),
        ("Topiary", True),
        ("A pond", False),
    ],
)
def test_direction_words_are_noticed_and_what_begins_like_one(text: str, expected: bool) -> None:
    assert names_direction(text) is expected  # too many only keep a picture upright


def test_texts_of_a_mirrored_picture_name_the_other_side() -> None:
    text = (
        "An airport seen from above. In the upper left corner lies a pond. The hangar is north of the pond, above it. "
        "A road runs from north to south through the northeastern part."
    )
    assert mirrored(text, True, False) == (
        "An airport seen from above. In the lower left corner lies a pond. The hangar is south of the pond, below it. "
        "A road runs from north to south through the southeastern part."
    )
    assert "upper right corner" in mirrored(text, False, True)
    assert "northwestern part" in mirrored(text, False, True)
    assert mirrored("North-west of it. At the top.", True, True) == "South-east of it. At the bottom."
    assert mirrored("The brightest beast stops at least.", True, True) == "The brightest beast stops at least."
    for north_south, east_west in MIRRORS.values():
        assert mirrored(mirrored(text, north_south, east_west), north_south, east_west) == text


@pytest.mark.parametrize(
    "text",
    [
        "A lower density estate stands right next to a road, on top of a hill.",
        "The Westminster style hall meets the wing at right angles.",
        "The North Sea and South Street were left out; a fountain stands on top.",
        "A right-angled roof with a right of way beside it.",
        "Much land is left bare, seen from above, below sea level.",
        "The rooftop and the hill top lie at the bottom of a valley.",
        "A road runs from west to east along the north-south railway.",
        "A top-down view of lower buildings; the clouds are above.",
        "Upper class houses with lower roofs than the church.",
    ],
)
def test_words_that_are_no_directions_stay(text: str) -> None:
    assert mirrored(text.replace("Upper class", "Upper-class"), True, True) == text.replace(
        "Upper class", "Upper-class"
    )


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("On the right next to the river.", "On the left next to the river."),
        ("The top left corner and the right-hand side.", "The bottom right corner and the left-hand side."),
        ("At the top of the picture lies a lake.", "At the bottom of the picture lies a lake."),
        ("The Southwestern part, southeast of it.", "The Northeastern part, northwest of it."),
        ("In the upper-right quadrant", "In the lower-left quadrant"),
        ("The leftmost, northernmost and topmost house", "The rightmost, southernmost and bottommost house"),
        ("A pond to the left of the barn, in the left half", "A pond to the right of the barn, in the right half"),
    ],
)
def test_directions_change_whatever_stands_around_them(text: str, turned: str) -> None:
    assert mirrored(text, True, True) == turned
    assert may_be_mirrored(text)


@pytest.mark.parametrize(
    "text",
    ["A road turns right.", "A bridge above the river.", "The upper reaches of a river.", "Topped off at the left"],
)
def test_what_could_be_either_keeps_its_picture_upright(text: str) -> None:
    assert may_be_mirrored(text) is (text == "Topped off at the left")
