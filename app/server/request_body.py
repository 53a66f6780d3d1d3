"""The JSON of a call, read strictly and written anew: Gradio gets the checked fields, and nothing beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NoReturn

from app.server.routes import Body

_DEEPEST, _LONGEST_NUMERAL = 24, 300
_MAX_PARTS = 20_000  # of a call of the page, which hands whole tables back
MAX_PROGRAM_PARTS = 256
"""Parts of a call over plain HTTP or MCP: 32 pictures and a list of 64 numbers leave most of them free."""
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_EVENT = re.compile(r"[0-9a-f-]{1,64}", re.ASCII)


class BodyError(ValueError):
    """A body that is no call; `status` is its HTTP status."""

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status


def read_call(body: bytes, kind: Body, functions: Collection[int], name: str | None) -> bytes:
    """Check the body of a call.

    Args:
        body: as it was sent.
        kind: kind of body, which decides its fields.
        functions: numbers of the app's functions.
        name: of the function, where the path says it.

    Returns:
        The same call as JSON, with the fields that are meant to be there alone, and no half characters.

    Raises:
        BodyError: it is no such call; the message names the field.
    """
    sent = _parsed(body)
    if kind == "named_call":
        return _written(sent)
    call: dict[str, Any] = {}
    if kind == "cancel":
        call = {"session_hash": _session(sent, True), "fn_index": _number(sent, "fn_index", functions, True)}
        if not isinstance(event := sent.get("event_id"), str) or not _EVENT.fullmatch(event):
            raise BodyError("event_id is no name of a call; give what the call was answered with")
        return _written(call | {"event_id": event})
    if not isinstance(data := sent.get("data"), list):
        raise BodyError("data is no list; give the values of the call's parameters, in their order")
    call = {"data": data, "session_hash": _session(sent, kind == "join" and name is None)}
    if kind == "join":
        call["fn_index"] = _number(sent, "fn_index", functions, name is None)
        call["event_data"] = sent.get("event_data")
    return _written({field: value for field, value in call.items() if value is not None})


def check_json(body: bytes, max_parts: int = MAX_PROGRAM_PARTS) -> Any:
    """Parse JSON that takes little time to read, here and in every schema that looks at it later.

    Args:
        body: as it was sent.
        max_parts: values and names that it may have.

    Returns:
        The parsed value, without half characters.

    Raises:
        BodyError: it is none, or has too many parts.
    """
    try:
        text = body.decode("utf-8-sig", "surrogatepass")  # in UTF-16 marks would hide from the count below
        if _marks(text, 4 * max_parts) > max_parts:  # counted first, because reading them takes seconds
            raise BodyError(f"the body has more than {max_parts:,} parts", 400)
        sent = json.loads(text, parse_constant=_no_number, parse_int=_whole, parse_float=_decimal)
    except BodyError:
        raise
    except (ValueError, RecursionError) as error:
        raise BodyError("the body is no JSON in UTF-8", 400) from error
    return _cleaned(sent, [max_parts], max_parts)


def _marks(text: str, max_quotes: int) -> int:
    """Count the commas and brackets between the strings of a JSON text, each of which begins a part.

    Args:
        text: the text; up to its first fault, at which reading it ends, the count is right.
        max_quotes: with more quotation marks than these no string is looked for, and all commas count.
    """
    marks = sum(map(text.count, ",[{"))
    if marks <= max_quotes // 4:
        return marks
    bare = text.replace("\\\\", "").replace('\\"', "")
    if bare.count('"') > max_quotes:
        return marks
    between = bare.split('"')[::2]
    return sum(part.count(mark) for part in between for mark in ",[{")


def _parsed(body: bytes) -> dict[str, Any]:
    clean = check_json(body, _MAX_PARTS)
    if not isinstance(clean, dict):
        raise BodyError("the body is no JSON object; give an object with the call's fields", 400)
    return clean


def _no_number(name: str) -> NoReturn:
    raise BodyError(f"the body holds {name}, which JSON does not have; leave the value out or give null", 400)


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMERAL:
        raise BodyError(f"the body holds a number of {len(digits):,} digits; {_LONGEST_NUMERAL} are the limit", 400)
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise BodyError("the body holds a number that is too large", 400)
    return value


def _cleaned(value: Any, left: list[int], most: int, depth: int = 0) -> Any:
    left[0] -= 1
    if depth > _DEEPEST or left[0] < 0:
        raise BodyError(f"the body has more than {most:,} parts, or more than {_DEEPEST} inside each other", 400)
    if isinstance(value, str):  # half a character of UTF-16 is none
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    inner = partial(_cleaned, left=left, most=most, depth=depth + 1)
    if isinstance(value, list):
        return [inner(one) for one in value]
    if isinstance(value, dict):
        return {inner(key): inner(one) for key, one in value.items()}
    return value


def _session(sent: Mapping[str, Any], wanted: bool) -> str | None:
    session = sent.get("session_hash")
    if session is None and not wanted:
        return None
    if not isinstance(session, str) or not _SESSION.fullmatch(session):
        raise BodyError("session_hash is no name of a session; give up to 64 letters and digits")
    return session


def _number(sent: Mapping[str, Any], field: str, known: Collection[int], wanted: bool) -> int | None:
    number = sent.get(field)
    if number is None and not wanted:
        return None
    if isinstance(number, bool) or not isinstance(number, int):
        raise BodyError(f"{field} is no whole number")
    if number not in known:
        raise BodyError(
            f"{field} is {number if abs(number) < 10**9 else 'far too large'}; there is none of that number", 404
        )
    return number


def _written(call: Mapping[str, Any]) -> bytes:
    return json.dumps(call, ensure_ascii=False, allow_nan=False).encode("utf-8")
