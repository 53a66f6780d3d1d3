"""The values of an event: each is checked against its component, before anything reads it.

A request written by hand bypasses the page: a slider's value may be a list, a file's path may be any, and a list may
come where the page sends a click. A value that passes here has the type, the range and the length that the component
promises; a file becomes an `Upload`, and nothing else is ever opened as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import Block
from gradio.state_holder import SessionState

from app.server.upload_folder import Upload, UploadFolder
from lrsclip.errors import LRSCLIPError, PictureError

LONGEST_TEXT = 200_000
"""Characters of any text; what reads it has a limit of its own, far below, and a better sentence for it."""
MAX_PICTURES, LONGEST_LIST = 32, 64
"""Pictures that are looked at in one call; values in any list of one."""
_MAX_FILES, _MAX_NUMBERS, _MAX_INDEX = 64, LONGEST_LIST, 100_000
_LARGEST = 1e12
_NUMERAL = re.compile(r"[-+]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})([eE][-+]?\d{1,2})?", re.ASCII)
_FILES = (gr.Image, gr.File)


class CallError(LRSCLIPError, ValueError):
    """A call with values of a wrong kind, too many of them, or too few."""


def check_function(function: BlockFunction) -> None:
    """Check when the app is built that every value of an event has a check here.

    Raises:
        RuntimeError: it reads a component of a kind that has no check, or lets Gradio open its files.
    """
    if function.fn is None:
        return
    for block in function.inputs:
        if _check_of(block) is None:
            raise RuntimeError(
                f"{function.name} reads a {type(block).__name__}; app/server/values.py has no check for it"
            )
        if isinstance(block, _FILES) and function.preprocess:
            raise RuntimeError(f"{function.name} lets Gradio open {block.label!r}; pass **UPLOAD to its event")


def checked_values(function: BlockFunction, values: Any, state: SessionState | None, folder: UploadFolder) -> list[Any]:
    """Check the values of a call and return them as its function may have them.

    Args:
        function: the function that is called.
        values: the values as sent, one for each of its inputs.
        state: of the session, which knows choices that were changed since; None for a call without one.
        folder: the folder whose files may be named.

    Raises:
        CallError: a value is none that its component can have; the message names it.
        PictureError: a file is none that was uploaded here.
    """
    if function.fn is None:
        raise CallError("this function runs in the browser alone; the server has nothing to answer")
    blocks = function.inputs
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(blocks):
        count = len(values) if isinstance(values, Sequence) and not isinstance(values, str) else "no"
        names = ", ".join(_name(block, number) for number, block in enumerate(blocks)) or "none"
        raise CallError(f"{count} values were sent for {len(blocks)} parameters ({names}); send one for each")
    return [
        _checked(block, _name(block, n), value, state, folder)
        for n, (block, value) in enumerate(zip(blocks, values, strict=True))
    ]


def checked_click(function: BlockFunction, sent: Any) -> dict[str, Any]:
    """Check the event data of a click: the number of the clicked picture, where the function wants it.

    Raises:
        CallError: it is no such number.
    """
    if not function.collects_event_data:
        return {}
    index = sent.get("index") if isinstance(sent, Mapping) else None
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < _MAX_INDEX:
        raise CallError('event_data has no index of a picture; send {"index": 0, "value": null} for the first')
    return {"index": index, "value": None, "selected": True}


def _name(block: Block, number: int) -> str:
    return str(getattr(block, "label", None) or f"value {number + 1}")


def _checked(block: Block, name: str, value: Any, state: SessionState | None, folder: UploadFolder) -> Any:
    if isinstance(block, gr.State):  # the session's own value counts, never the sender's
        return None
    check = _check_of(block)
    if check is None:
        raise CallError(f"{name} cannot be sent")
    if state is not None and block._id in state:
        block = state[block._id]
    return check(block, name, value, folder)


def _check_of(block: Block) -> Callable[[Any, str, Any, UploadFolder], Any] | None:
    return next((check for kind, check in _CHECKS if isinstance(block, kind)), None)


def _text(_block: Any, name: str, value: Any, _folder: UploadFolder) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise CallError(f"{name} is {_kind(value)}; give a text")
    if len(value) > LONGEST_TEXT:
        raise CallError(f"{name} has {len(value):,} characters; {LONGEST_TEXT:,} are the limit: shorten it")
    return value


def _number(block: Any, name: str, value: Any, _folder: UploadFolder) -> float | int | None:
    """Check a number against the component's ends; a numeral counts too, which some language models send."""
    low, high = getattr(block, "minimum", None), getattr(block, "maximum", None)
    low, high = -_LARGEST if low is None else low, _LARGEST if high is None else high
    accepted = f"a number from {low:g} to {high:g}" if high < _LARGEST else "a number"
    if value is None:  # an emptied box; a slider has no such state, and counts as it was at first
        return block.value if isinstance(block, gr.Slider) else None
    if isinstance(value, str) and _NUMERAL.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CallError(f"{name} is {_kind(value)}; give {accepted}")
    if not low <= value <= high:  # False for NaN too; an integer may be beyond every float
        raise CallError(f"{name} is {_shown(value)}; give {accepted}")
    return value


def _switch(_block: Any, name: str, value: Any, _folder: UploadFolder) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    if value in (0, 1) and isinstance(value, int | float):
        return bool(value)
    raise CallError(f"{name} is {_kind(value)}; give true or false")


def _choice(block: Any, name: str, value: Any, _folder: UploadFolder) -> str | int | float:
    choices = [choice for _, choice in block.choices]
    if isinstance(value, str | int | float) and value in choices:
        return value
    raise CallError(f"{name} is none of its choices; choose one of those shown")


def _numbers(_block: Any, name: str, value: Any, folder: UploadFolder) -> list[float | int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > _MAX_NUMBERS:
        raise CallError(f"{name} is {_kind(value)}; give a list of at most {_MAX_NUMBERS} numbers")
    numbers = [_number(None, f"number {n} of {name}", one, folder) for n, one in enumerate(value, 1)]
    if None in numbers:
        raise CallError(f"{name} has an empty place; give a list of numbers")
    return [number for number in numbers if number is not None]


def _file(_block: Any, name: str, value: Any, folder: UploadFolder) -> Upload | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise CallError(f"{name} is {_kind(value)}; upload the file and give what the upload answers")
    try:
        return folder.admit(value.get("path"), value.get("orig_name"))
    except PictureError as error:
        raise PictureError(f"{name}: {error}") from error


def _files(block: Any, name: str, value: Any, folder: UploadFolder) -> Upload | tuple[Upload, ...] | None:
    if block.file_count == "single":
        return _file(block, name, value, folder)
    sent = [value] if isinstance(value, Mapping) else value  # one alone, not in a list
    if sent is None:
        return None
    if not isinstance(sent, list) or len(sent) > _MAX_FILES:
        raise CallError(f"{name} is {_kind(value)}; give a list of at most {_MAX_FILES} files")
    files = [_file(block, f"file {n} of {name}", one, folder) for n, one in enumerate(sent, 1)]
    return tuple(file for file in files if file is not None)


def _state(_block: Any, _name: str, _value: Any, _folder: UploadFolder) -> None:
    return None


# gr.Number and gr.Slider have no base of their own; the first that fits counts.
_CHECKS: tuple[tuple[type, Callable[[Any, str, Any, UploadFolder], Any]], ...] = (
    (gr.State, _state),
    (gr.Textbox, _text),
    (gr.Slider, _number),
    (gr.Number, _number),
    (gr.Checkbox, _switch),
    (gr.Radio, _choice),
    (gr.Dropdown, _choice),
    (gr.JSON, _numbers),
    (gr.Image, _file),
    (gr.File, _files),
)
_KINDS = {str: "a text", bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object"}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def _shown(value: float) -> str:
    return f"{value:g}" if abs(value) < _LARGEST else "beyond all measure"
