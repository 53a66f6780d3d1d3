"""Texts that would keep CLIP's cleaning busy for minutes, cut to what a reader sees; all others stay as they are.

ftfy takes one layer of `&amp;amp;...` off in each of its rounds, Python's number parser refuses `&#` with thousands of
digits, and the normalization of a letter with thousands of accents grows with the square of their number.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

_LAYERS, _DIGITS, _ACCENTS = 4, 8, 32
_AMPERSANDS = re.compile(rf"&(?:amp;){{{_LAYERS + 1},}}", re.IGNORECASE)
_LONG_NUMBER = re.compile(rf"&#x?[0-9a-f]{{{_DIGITS + 1},}};?", re.IGNORECASE)


def tame(text: str) -> str:
    """Cut endless layers of escapes, character numbers that are none, and accents beyond any letter's.

    Args:
        text: any; of a usual text the same object is returned.
    """
    if "&" in text:
        text = _LONG_NUMBER.sub(" ", _AMPERSANDS.sub("&" + _LAYERS * "amp;", text))
    if text.isascii():
        return text
    parts, changed = list[str](), False
    for is_accent, run in groupby(text, key=_is_accent):
        part = "".join(run)
        if is_accent and len(part) > _ACCENTS:
            part, changed = part[:_ACCENTS], True
        parts.append(part)
    return "".join(parts) if changed else text


def _is_accent(letter: str) -> bool:
    return unicodedata.combining(letter) != 0
