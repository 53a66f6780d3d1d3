"""Typed numbers: one strict reading for addresses, options and forms.

Python's own `int` and `float` take more than anybody means: `4_000_000`, digits of other scripts, `nan`, and texts of
any length. The number that is checked here is the one used afterwards, so no limit can be read in two ways.
"""

from __future__ import annotations

import argparse
import math
import re

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"[-+]?([0-9]{1,15}(\.[0-9]{0,20})?|\.[0-9]{1,20})(e[-+]?[0-9]{1,2})?", re.IGNORECASE)


def whole_of(text: str) -> int | None:
    """Parse a whole number in plain digits, fifteen at most, with or without a minus; None if the text is none."""
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal_of(text: str) -> float | None:
    """Parse a finite number in plain digits such as -0.5 or 1e-05; None if the text is none."""
    value = float(text) if _DECIMAL.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def clipped(text: str, most: int = 60) -> str:
    """Quote a text for an error, cut where it is long."""
    return repr(text if len(text) <= most else f"{text[:most]}...")


def whole_argument(text: str) -> int:
    """Parse a command's argument with `whole_of`.

    Raises:
        argparse.ArgumentTypeError: the text is no whole number.
    """
    if (value := whole_of(text)) is None:
        raise argparse.ArgumentTypeError(f"{clipped(text)} is no whole number; give plain digits, such as 64")
    return value


def decimal_argument(text: str) -> float:
    """Parse a command's argument with `decimal_of`.

    Raises:
        argparse.ArgumentTypeError: the text is no number.
    """
    if (value := decimal_of(text)) is None:
        raise argparse.ArgumentTypeError(f"{clipped(text)} is no number; give plain digits, such as -95.4")
    return value
