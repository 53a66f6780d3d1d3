"""Device and number type of the model: bfloat16 where the hardware is fast at it, float32 elsewhere."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from lrsclip.errors import LRSCLIPError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def pick_device(device: str | torch.device | None) -> torch.device:
    """Choose the device asked for, or a GPU if there is one.

    Raises:
        LRSCLIPError: the device asked for is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise LRSCLIPError(f"device {device!r} is not known; say cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise LRSCLIPError("device cuda was asked for, but torch sees no GPU; say cpu or mend the driver")
    if chosen.type not in ("cpu", "cuda"):
        raise LRSCLIPError(f"device {device!r} is not supported; say cpu or cuda")
    return chosen


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Convert `auto`, `fp32` or `bf16` to a torch type.

    Raises:
        LRSCLIPError: another word.
    """
    if precision == "auto":
        return torch.bfloat16 if fast_bf16(device) else torch.float32
    if precision not in _DTYPES:
        raise LRSCLIPError(f"precision {precision!r} is not known; say auto, fp32 or bf16")
    return _DTYPES[precision]


def fast_bf16(device: torch.device) -> bool:
    """Tell whether bfloat16 products run in hardware there (emulated ones are slower than float32)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    return _cpu_has_bf16()


def mixed_precision(device: torch.device, *, enabled: bool = True) -> torch.autocast:
    """Return a context in which products run in bfloat16 if the hardware is fast at it, in float32 elsewhere.

    Args:
        device: of the model.
        enabled: False for float32 everywhere.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled and fast_bf16(device))


@cache
def _cpu_has_bf16() -> bool:
    info = Path("/proc/cpuinfo")  # torch keeps its own check private
    flags = info.read_text() if info.is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags
