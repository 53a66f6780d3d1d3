"""Files of weights by what they hold, not by how they are called; what is none is refused with the reason.

Torch's own messages are never handed on: they recommend loading pickled code, and are written for a colored terminal.
"""

from __future__ import annotations

import io
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lrsclip.checkpoints.torch_zip import FAULTS, PickledCodeError, TorchZip
from lrsclip.errors import CheckpointDamagedError, CheckpointError
from lrsclip.io.plain_file import open_plain

_HEAD_BYTES = 512
_MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
_SAVED_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files begin that torch saved before version 1.6
_OTHERS = {
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF",
}
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


@dataclass(frozen=True)
class Weights:
    """The content of a file of weights.

    Attributes:
        content: what was saved: names with tensors, perhaps below other names.
        code: source text of a TorchScript program, which is only looked at; "" for every other file.
    """

    content: Any
    code: str = ""


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a safetensors file, a state dict that torch saved, or a TorchScript archive, whatever its name ends with.

    Args:
        path: a regular file.

    Returns:
        Its tensors, on the CPU; no code of the file is run.

    Raises:
        CheckpointError: it is something else, cut off, damaged, or pickled code.
    """
    path = Path(path)
    try:
        file = open_plain(path)
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read ({error.strerror or error}); check the path") from error
    with file, _own_words(path.name):
        kind = _kind(file.read(_HEAD_BYTES), path.name)
        file.seek(0)
        if kind == "safetensors":
            return Weights(load_file(path))
        if kind == "zip" and (archive := _archive(file, path.name)).is_script:
            return Weights(archive.content(numbers=True), archive.code)
        file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle protocol
            return Weights(torch.load(file, map_location="cpu", weights_only=True))


def peek_weights(file: BinaryIO, name: str) -> Weights | None:
    """Read the names, shapes and number types of a file of weights, and none of its numbers.

    Args:
        file: readable and seekable; a file on the Hub is asked for some hundred kilobytes.
        name: for the messages.

    Returns:
        Tensors on the meta device, or None where the file does not tell before it is read whole.

    Raises:
        CheckpointError: as in `read_weights`.
    """
    with _own_words(name):
        kind = _kind(file.read(_HEAD_BYTES), name)
        file.seek(0)
        if kind == "safetensors":
            return Weights(_safetensors_header(file))
        if kind == "zip":
            archive = _archive(file, name)
            return Weights(archive.content(numbers=False), archive.code)
    return None


def _kind(head: bytes, name: str) -> str:
    """Tell `zip`, `safetensors` and `old` (a state dict before torch 1.6) apart; refuse everything else."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER_BYTES:
        return "safetensors"
    if head.startswith(_SAVED_OLD):
        return "old"
    if not head:
        raise CheckpointError(f"{name} is empty; download it again")
    if text.startswith(b"<"):
        raise CheckpointError(
            f"{name} is a web page saved under this name, not weights: the site asked for a login or had moved the "
            "file; open its address in a browser and download the file itself"
        )
    if text.startswith(b"version https://git-lfs"):
        raise CheckpointError(
            f"{name} is Git LFS's note of where the weights are, not the weights; run 'git lfs pull' in its repository"
        )
    if re.match(rb"\x80[\x00-\x05]|\(d|\(l|c\w+\n", head):
        raise CheckpointError(
            f"{name} is a Python pickle that torch did not write; only state dicts are read, never pickled code: "
            "save it with torch.save(model.state_dict(), ...)"
        )
    other = next((what for start, what in _OTHERS.items() if head.startswith(start)), None)
    raise CheckpointError(
        f"{name} is {other or 'no file of weights'}; a checkpoint is a safetensors file or one that torch.save wrote"
    )


def _archive(file: BinaryIO, name: str) -> TorchZip:
    try:
        return TorchZip(file)
    except KeyError as error:
        raise CheckpointError(
            f"{name} is a ZIP archive, but not one that torch wrote; unpack it and pass the file of weights in it"
        ) from error


def _safetensors_header(file: BinaryIO) -> dict[str, torch.Tensor]:
    length = int.from_bytes(file.read(8), "little")
    header = json.load(io.BytesIO(file.read(length)))
    return {
        name: torch.empty(entry["shape"], dtype=_TYPES[entry["dtype"]], device="meta")
        for name, entry in header.items()
        if name != "__metadata__"
    }


@contextmanager
def _own_words(name: str) -> Iterator[None]:
    """Turn everything that reading a stranger's file raises into one sentence of ours."""
    try:
        yield
    except PickledCodeError as error:
        raise _pickled(name, str(error)) from None
    except (*FAULTS, SafetensorError) as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise _pickled(name, asked[1]) from None
        raise CheckpointDamagedError(f"{name} is cut off or damaged; download it again") from None


def _pickled(name: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{name} holds Python objects ({what}) beside its tensors; only state dicts are read, never pickled code: "
        "ask its author for the weights alone, saved with torch.save(model.state_dict(), ...)"
    )
