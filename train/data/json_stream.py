"""Large JSON read as a stream: the entries of its top-level lists one by one, whatever the size of the file."""

from __future__ import annotations

import io
import json
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from lrsclip.errors import DataError
from lrsclip.io.plain_file import open_plain

_CHUNK = 2**20  # characters read at once
_MAX_ENTRY = 2**26  # characters of one entry; more are no entry but a file that is broken
_LONGEST_REST = 4  # characters that may still belong to a number, as in "1e+5"
_SPACES = " \t\n\r"


def stream_lists(path: Path, wanted: Container[str]) -> Iterator[tuple[str, int, Any]]:
    """Read the entries of top-level lists of a JSON object; all else in it is passed over.

    Args:
        path: the file.
        wanted: keys of the lists.

    Yields:
        Key, number of the entry from 0, and the entry; before the first entry of a list, its key, -1 and None.

    Raises:
        DataError: the file is missing, is no JSON object in UTF-8, or breaks off; entries before that were yielded.
    """
    try:
        with open_plain(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
            yield from _lists(_Buffer(file), wanted)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; fetch the data set's JSON or mend the path") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); fetch it again") from error


class _Buffer:
    """The part of a JSON text that is looked at."""

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._passed = 0  # characters before the buffer
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACES:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def expect(self, marks: str) -> str:
        """Take the next character.

        Raises:
            ValueError: it is none of these.
        """
        if not (mark := self.peek()) or mark not in marks:
            where = f"at character {self._passed + self._at:,}"
            raise ValueError(f"{mark!r} {where} instead of {' or '.join(marks)}" if mark else f"it breaks off {where}")
        self._at += 1
        return mark

    def value(self) -> Any:
        """Take the next value.

        Raises:
            ValueError: there is none.
        """
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except ValueError as error:
                if len(self._text) - self._at > _MAX_ENTRY or not self._more():
                    raise ValueError(f"no value at character {self._passed + self._at:,}, or it breaks off") from error
                continue
            if len(self._text) - end < _LONGEST_REST and self._more():  # a number may go on
                continue
            self._at = end
            return value

    def _more(self) -> bool:
        """Read on, as much again as there is; False at the end."""
        rest = self._text[self._at :]
        if self._ended or not (read := self._file.read(max(_CHUNK, len(rest)))):
            self._ended = True
            return False
        self._passed, self._text, self._at = self._passed + self._at, rest + read, 0
        return True


def _lists(text: _Buffer, wanted: Container[str]) -> Iterator[tuple[str, int, Any]]:
    text.expect("{")
    mark = ","
    while mark == ",":
        if text.peek() == "}":
            mark = text.expect("}")
            break
        if text.peek() != '"':
            text.expect('"')
        key = text.value()
        text.expect(":")
        if text.peek() == "[":
            for number, entry in _entries(text):
                if key in wanted:
                    yield key, number, entry
        else:
            text.value()
        mark = text.expect(",}")
    if text.peek():
        raise ValueError("there is more after its end")


def _entries(text: _Buffer) -> Iterator[tuple[int, Any]]:
    text.expect("[")
    yield -1, None
    if text.peek() == "]":
        text.expect("]")
        return
    number, mark = 0, ","
    while mark == ",":
        yield number, text.value()
        number, mark = number + 1, text.expect(",]")
