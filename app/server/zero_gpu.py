"""Hugging Face ZeroGPU: a GPU that is lent for single calls, and only if its package is here.

Imported before torch, because `spaces` has to be. Elsewhere than on ZeroGPU this module does nothing.

There, the work of a decorated function runs in a process of its own that was forked from this one: it finds the model
in this module, and takes and returns values that can be sent between processes. So the line of `encoder_queue` is left
out; ZeroGPU keeps one of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from lrsclip import LRSCLIP

Function = TypeVar("Function", bound=Callable[..., Any])
_LEND_S = 30
_MODEL: list[Any] = []


def on_zero_gpu() -> bool:
    """Return whether this is a ZeroGPU Space with its package."""
    return bool(os.environ.get("SPACES_ZERO_GPU")) and find_spec("spaces") is not None


_SPACES: Any = import_module("spaces") if on_zero_gpu() else None


def with_gpu(function: Function) -> Function:
    """Borrow a GPU while the function runs; elsewhere return the function itself."""
    if _SPACES is None:
        return function
    lent: Function = _SPACES.GPU(duration=_LEND_S)(function)
    return lent


@with_gpu
def _run(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    answer = getattr(_MODEL[0], name)(*args, **options)
    return answer.cpu() if hasattr(answer, "cpu") else answer


def lent_model(bundle: LRSCLIP, max_characters: int) -> LRSCLIP:
    """Wrap a model so that its towers run where a GPU is lent, one loan a call.

    The map of `map_scene` lies on the CPU: the main process must not touch the GPU. `pool_windows` brings it back.

    Args:
        bundle: the model.
        max_characters: of one text, as `app.server.queued_model.SharedModel` has it.
    """
    from app.server.queued_model import check_length  # not above: it brings torch
    from lrsclip import LRSCLIP

    @dataclass(frozen=True)
    class LentModel(LRSCLIP):
        def describe_tokens(self, text: str) -> Any:
            check_length([text], max_characters)
            return super().describe_tokens(text)

        def encode_text(self, texts: list[str], *, normalize: bool = True) -> Any:
            check_length(texts, max_characters)
            return _run("encode_text", (texts,), {"normalize": normalize})

        def encode_image(self, pictures: list[Any]) -> Any:
            return _run("encode_image", (pictures,), {})

        def map_scene(self, rgb: Any) -> Any:
            return _run("map_scene", (rgb,), {})

        def pool_windows(self, features: Any, boxes: Any) -> Any:
            return _run("pool_windows", (features, boxes), {})

        def encode_patches(self, pictures: list[Any]) -> Any:
            return _run("encode_patches", (pictures,), {})

    _MODEL[:] = [bundle]
    return LentModel(**{one.name: getattr(bundle, one.name) for one in fields(LRSCLIP)})
