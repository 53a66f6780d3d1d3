"""Decoders that write to stderr themselves: libtiff tells of every damaged row, a million lines for one file."""

from __future__ import annotations

import ctypes
from pathlib import Path

import PIL

_PLACES = ("../pillow.libs/libtiff*.so*", ".dylibs/libtiff*.dylib")  # in the wheels for Linux and macOS


def silence_libtiff() -> bool:
    """Take libtiff's handlers of errors and warnings away; a fault still becomes Pillow's error.

    Returns:
        Whether Pillow's own libtiff was found.
    """
    home, found = Path(PIL.__file__).parent, False
    for place in _PLACES:
        for file in home.glob(place):
            library = ctypes.CDLL(str(file))  # the one that is loaded already
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                handler = getattr(library, name)
                handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
                handler(None)
            found = True
    return found
