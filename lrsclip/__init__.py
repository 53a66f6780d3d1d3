"""LRSCLIP: find and ground long descriptions in satellite and aerial imagery.

A sentence walks through these rooms: `models.tokenizer` (text to token ids), `models` (ids and pictures to vectors),
`index` (vectors to hits), `localize` (a scene to a heat-map). `load` hands out model, tokenizer and preprocessing
together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrsclip.checkpoints.factory import embedded_names, load, random_model
    from lrsclip.clip import LRSCLIP
    from lrsclip.errors import LRSCLIPError
    from lrsclip.models.tokenizer import TokenReport

__version__ = "0.2.0"  # read by pyproject.toml; where the project runs from its folder, nothing is installed to ask
__all__ = ["LRSCLIP", "LRSCLIPError", "TokenReport", "embedded_names", "load", "random_model"]
_ROOM = {
    "LRSCLIP": "clip",
    "LRSCLIPError": "errors",
    "TokenReport": "models.tokenizer",
    "embedded_names": "checkpoints.factory",
    "load": "checkpoints.factory",
    "random_model": "checkpoints.factory",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is: the processes that draw the atlas need no model, and torch takes seconds."""
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM[name]}"), name)
