"""Coordinates in any usual notation to latitude and longitude: decimal, degrees and minutes, or a map's web address."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 300
_NUMBER = r"\d{1,3}(?:\.\d{1,15})?"
_ANGLE = re.compile(
    rf"""(?:(?P<before>[NSEW])\s*)?(?P<sign>[-+])?\s*(?P<degrees>{_NUMBER})\s*(?:°|deg|d)?\s*
    (?:(?P<minutes>\d{{1,2}}(?:\.\d{{1,15}})?)\s*(?:'(?!')|min|m)\s*)?
    (?:(?P<seconds>\d{{1,2}}(?:\.\d{{1,15}})?)\s*(?:"|''|sec|s)\s*)?(?(before)|(?P<after>[NSEW])?)""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_SIGNED = rf"[-+]?{_NUMBER}"
_IN_ADDRESSES = (
    re.compile(rf"geo:({_SIGNED}),({_SIGNED})"),
    re.compile(rf"/@({_SIGNED}),({_SIGNED}),"),  # Google's
    re.compile(rf"#map=\d{{1,2}}(?:\.\d+)?/({_SIGNED})/({_SIGNED})"),  # OpenStreetMap's
    re.compile(rf"[?&]mlat=({_SIGNED})&mlon=({_SIGNED})"),
    re.compile(rf"[?&](?:q|ll|query|center|cp)=({_SIGNED})(?:,|~|%2C)({_SIGNED})", re.IGNORECASE),
)
_COMMA_DECIMALS = re.compile(r"([-+]?\d{1,3}),(\d+)\s*[;\s/]\s*([-+]?\d{1,3}),(\d+)", re.ASCII)
_PLAIN = str.maketrans({
    "−": "-", "–": "-", "′": "'", "’": "'", "´": "'", "″": '"', "”": '"', "“": '"', "º": "°", "\u00a0": " ",  # noqa: RUF001
})  # fmt: skip


@dataclass(frozen=True)
class Position:
    """A place on Earth in degrees."""

    latitude: float
    longitude: float


def parse_position(text: str) -> Position | None:
    """Read a position: latitude first, unless letters (N, S, E, W) or the numbers themselves tell otherwise.

    Understood are 48.8566, 2.3522 and 48,8566 2,3522, degrees with minutes and seconds (48°51'24''N 2°21'8''E),
    geo:48.85,2.35, and web addresses of usual maps.

    Args:
        text: as a person types or pastes it.

    Returns:
        The position; None for a text that is none, or lies off the Earth.
    """
    plain = text.translate(_PLAIN).strip()
    if not plain or len(plain) > _LONGEST:
        return None
    for pattern in _IN_ADDRESSES:
        if found := pattern.search(plain):
            return _checked(float(found[1]), float(found[2]))
    if found := _COMMA_DECIMALS.fullmatch(plain):
        plain = f"{found[1]}.{found[2]}, {found[3]}.{found[4]}"
    first = _ANGLE.match(plain)
    if first is None or not first.group().strip():
        return None
    rest = plain[first.end() :].lstrip(" ,;/")
    second = _ANGLE.fullmatch(rest)
    if second is None:
        return None
    angles = [(_degrees(one), _letter(one)) for one in (first, second)]
    if any(value is None for value, _ in angles):
        return None
    (one, one_letter), (other, other_letter) = ((value or 0.0, letter) for value, letter in angles)
    if bool(one_letter) != bool(other_letter):
        return None
    if one_letter:
        axes = {"N": 0, "S": 0, "E": 1, "W": 1}
        if axes[one_letter] == axes[other_letter]:
            return None
        latitude, longitude = (one, other) if axes[one_letter] == 0 else (other, one)
        return _checked(latitude, longitude)
    return _checked(other, one) if abs(one) > 90 >= abs(other) else _checked(one, other)


def _letter(angle: re.Match[str]) -> str:
    return (angle["before"] or angle["after"] or "").upper()


def _degrees(angle: re.Match[str]) -> float | None:
    """Compute the value of an angle; None for minutes or seconds of 60 and more."""
    minutes, seconds = float(angle["minutes"] or 0), float(angle["seconds"] or 0)
    if minutes >= 60 or seconds >= 60:
        return None
    value = float(angle["degrees"]) + minutes / 60 + seconds / 3600
    return -value if (angle["sign"] == "-") != (_letter(angle) in ("S", "W")) else value


def _checked(latitude: float, longitude: float) -> Position | None:
    return Position(latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None
