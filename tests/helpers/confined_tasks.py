"""Tasks for processes of their own: well-behaved ones, and those that a hostile file would make of a decoder."""

from __future__ import annotations

import os
import time
from typing import Any

from lrsclip.errors import PictureError


def turn_round(request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    return {"times": request["times"], "pid": os.getpid()}, content[::-1] * int(request["times"])


def take_memory(request: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    return {}, bytes(bytearray(int(request["bytes"]))[:1])


def sleep_long(request: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    time.sleep(float(request["seconds"]))
    return {}, b""


def refuse(_request: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    raise PictureError("cannot read it: it is <odd>")


def die(_request: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    os.abort()


def fail(_request: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    raise ZeroDivisionError
