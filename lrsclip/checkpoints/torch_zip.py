"""The ZIP files that torch writes, read with nothing in them run: names, shapes, tensors.

OpenAI published its CLIPs as TorchScript, programs with their weights. `torch.jit.load` would compile the program and
run parts of it; here only the pickle of its attributes is read, by an unpickler that knows tensors and inert objects.
The same unpickler reads a state dict without its numbers, which is enough to judge a file before it is fetched.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

import torch
from torch import Tensor

MAX_PICKLE_BYTES, MAX_CODE_BYTES = 64 * 2**20, 16 * 2**20
_MAX_DEPTH = 32  # of modules in modules
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# What reading damaged or hostile pickles and ZIP files raises, besides what is raised on purpose.
FAULTS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


class PickledCodeError(Exception):
    """A pickle that asks for a function or class other than a tensor's parts; holds the name."""


class Module:
    """An object of a TorchScript program: its attributes, and none of its code."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        """Take the attributes over, where they come as a dictionary."""
        self.attributes = state if isinstance(state, dict) else {}


class _Inert:
    """Stands in for what torch keeps beside tensors: types, sizes, devices."""

    def __init__(self, *_: Any) -> None:
        return

    def __setstate__(self, _: Any) -> None:
        return


class TorchZip:
    """An open ZIP file of torch's.

    Args:
        file: readable and seekable, such as a local file or one on the Hub that is read by ranges of bytes.

    Raises:
        zipfile.BadZipFile: cut off, or no ZIP file.
        KeyError: a ZIP file of something else.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._zip = zipfile.ZipFile(file)
        names = self._zip.namelist()
        roots = [name.removesuffix("data.pkl") for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise KeyError("data.pkl")
        self._root = roots[0]
        self.is_script = f"{self._root}constants.pkl" in names

    @property
    def code(self) -> str:
        """Source text of a TorchScript program, in one piece; "" for a state dict."""
        prefix, parts, left = f"{self._root}code/", [], MAX_CODE_BYTES
        for info in self._zip.infolist():
            if self.is_script and info.filename.startswith(prefix) and info.filename.endswith(".py"):
                left -= info.file_size
                if left < 0:
                    raise ValueError("more code than any CLIP has")
                parts.append(self._zip.read(info).decode("utf-8", "replace"))
        return "\n".join(parts)

    def content(self, *, numbers: bool) -> Any:
        """Unpickle the file.

        Args:
            numbers: read the tensors' values; False for tensors on the meta device, with shapes and types alone.

        Returns:
            For TorchScript names with tensors, otherwise whatever was saved.

        Raises:
            PickledCodeError: it asks for functions or classes beyond tensors.
            Exception: one of `FAULTS`, where it is damaged.
        """
        info = self._zip.getinfo(f"{self._root}data.pkl")
        if info.file_size > MAX_PICKLE_BYTES:
            raise ValueError("more names than any CLIP has")
        with self._zip.open(info) as file:
            read = _Unpickler(file, self._storage if numbers else _without_numbers).load()
        return _named_tensors(read) if self.is_script else read

    def _storage(self, key: str, dtype: torch.dtype, count: int) -> Tensor:
        info = self._zip.getinfo(f"{self._root}data/{key}")
        # Torch stores numbers as they are. A compressed part, which could unpack to anything, is none of its own.
        if info.compress_type != zipfile.ZIP_STORED or info.file_size < count * dtype.itemsize:
            raise ValueError(f"data/{key} is not as long as its tensor")
        return torch.frombuffer(bytearray(self._zip.read(info)), dtype=dtype, count=count) if count else _empty(dtype)


def _empty(dtype: torch.dtype) -> Tensor:
    return torch.empty(0, dtype=dtype)


def _without_numbers(_: str, dtype: torch.dtype, count: int) -> Tensor:
    return torch.empty(count, dtype=dtype, device="meta")


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """Lay a view over a storage; more elements than it has would be a tensor repeated without end."""
    count = 1
    for length in size:
        count *= length
    if count > storage.numel() or offset < 0:
        raise ValueError("a tensor is larger than its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Tensor, *_: Any) -> Tensor:
    return data


# The Python unpickler and not the one in C: that one reserves memory for as many entries as a pickle claims to have.
class _Unpickler(pickle._Unpickler):
    """Knows tensors; everything else of torch's becomes inert, and what is not of torch is refused."""

    def __init__(self, file: Any, storage: Callable[[str, torch.dtype, int], Tensor]) -> None:
        super().__init__(file)
        self._make, self._made = storage, dict[str, Tensor]()

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        root = module.partition(".")[0]
        if root == "__torch__":
            return Module
        if root in ("torch", "collections"):
            return _Inert
        raise PickledCodeError(f"{module}.{name}".removeprefix("__builtin__.").removeprefix("builtins."))

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, _, count = pid
        if not isinstance(dtype, torch.dtype):
            raise ValueError("a storage of no known number type")
        if key not in self._made:
            self._made[key] = self._make(str(key), dtype, int(count))
        return self._made[key]


def _named_tensors(module: Any) -> dict[str, Tensor]:
    """Collect the tensors of a module and those inside it under their dotted names, as `state_dict` would."""
    found, waiting = dict[str, Tensor](), [("", module)]
    while waiting:
        prefix, one = waiting.pop()
        if not isinstance(one, Module) or prefix.count(".") > _MAX_DEPTH:
            raise ValueError("no tree of modules")
        for name, value in one.attributes.items():
            if isinstance(value, Tensor):
                found[f"{prefix}{name}"] = value
            elif isinstance(value, Module):
                waiting.append((f"{prefix}{name}.", value))
    return found
