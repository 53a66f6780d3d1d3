"""Coordinates as people type and paste them."""

# ruff: noqa: RUF001  (as people type)
from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lrsclip.tiles.coordinates import Position, parse_position

PARIS = (48.8566, 2.3522)


@pytest.mark.parametrize(
    "text",
    [
        "48.8566, 2.3522", "48.8566,2.3522", " 48.8566  2.3522 ", "48.8566; 2.3522", "48.8566/2.3522", "48,8566 2,3522",
        "48,8566; 2,3522", "48.8566N 2.3522E", "48.8566° N, 2.3522° E", "N48.8566 E2.3522", "N 48.8566°, E 2.3522°",
        "2.3522E 48.8566N", "48°51'23.76\"N 2°21'7.92\"E", "48°51′23.76″ N, 2°21′7.92″ E",
        "48° 51' 23.76'' n 2° 21' 7.92'' e",
        "N 48° 51.396' E 2° 21.132'", "48d51m23.76sN 2d21m7.92sE", "+48.8566, +2.3522", "geo:48.8566,2.3522",
        "geo:48.8566,2.3522?z=12", "https://www.google.com/maps/@48.8566,2.3522,15z",
        "https://www.google.com/maps/place/Paris/@48.8566,2.3522,12z/data=!3m1", "https://www.openstreetmap.org/#map=12/48.8566/2.3522",
        "https://www.openstreetmap.org/?mlat=48.8566&mlon=2.3522", "https://maps.apple.com/?ll=48.8566,2.3522&z=10",
        "https://www.bing.com/maps?cp=48.8566~2.3522&lvl=11",
    ],
)  # fmt: skip
def test_every_usual_notation_is_understood(text: str) -> None:
    found = parse_position(text)
    assert found is not None
    assert (found.latitude, found.longitude) == pytest.approx(PARIS, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("-33.86, 151.21", (-33.86, 151.21)), ("33.86S 151.21E", (-33.86, 151.21)), ("S33.86 W70.5", (-33.86, -70.5)),
        ("−33.86, −70.5", (-33.86, -70.5)),  # a true minus
        ("151.21, -33.86", (-33.86, 151.21)),  # no latitude goes beyond 90
        ("0, 0", (0.0, 0.0)), ("90 180", (90.0, 180.0)), ("12°30'S 77°2'W", (-12.5, -77 - 2 / 60)),
    ],
)  # fmt: skip
def test_south_and_west_are_negative(text: str, position: tuple[float, float]) -> None:
    found = parse_position(text)
    assert found is not None
    assert (found.latitude, found.longitude) == pytest.approx(position)


@pytest.mark.parametrize(
    "text",
    [
        "", "Paris", "48.8566", "48.8566 N", "91, 181", "48.8566N 2.3522N", "48.8566N, 2.3522", "48°61'N 2°21'E",
        "N48N 2E", "1, 2, 3", "place:48.8566,2.3522,1km@17", "48.8566, 2.3522, 1km", "10 Downing Street", "1e3, 2",
        "nan, nan", "٤٨, ٢", "1" * 400,
    ],
)  # fmt: skip
def test_what_is_no_position_is_none(text: str) -> None:
    assert parse_position(text) is None


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_decimals_are_read_as_they_are_written(latitude: float, longitude: float) -> None:
    found = parse_position(f"{latitude:.7f}, {longitude:.7f}")
    assert found is not None
    if abs(latitude) <= 90 and not abs(latitude) > 90:
        assert (found.latitude, found.longitude) == pytest.approx((latitude, longitude), abs=1e-6)


@given(st.text(max_size=80))
@example("°" * 200)
@example("1 " * 150)
@example("1'" * 150)
def test_any_text_is_read_or_not_and_never_an_error(text: str) -> None:
    assert isinstance(parse_position(text), Position | None)
