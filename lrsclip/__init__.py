"""LRSCLIP: find and ground long descriptions in satellite and aerial imagery.

The names below are the public ones, described with examples in docs/api.md: `load` returns a model, `open_tiles`
and `build_index` make tiles searchable, and `search`, `classify` and `localize` ask. A sentence walks through these
packages: `models.tokenizer` (text to token ids), `models` (ids and pictures to vectors), `index` (vectors to hits),
`localize` (a scene to a heat-map).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrsclip.calibration.labels import Classification
    from lrsclip.checkpoints.factory import embedded_names, load, random_model
    from lrsclip.classification import classify
    from lrsclip.clip import LRSCLIP
    from lrsclip.errors import (
        AddressError,
        Busy,
        Cancelled,
        CheckpointDamagedError,
        CheckpointError,
        DataError,
        ExportError,
        FetchError,
        IndexArgumentError,
        IndexDamagedError,
        IndexMismatchError,
        LRSCLIPError,
        PictureError,
        TextError,
        TileSourceError,
        TrainingError,
        UnknownModelError,
    )
    from lrsclip.index.build import build_index
    from lrsclip.index.index import TileIndex
    from lrsclip.io.decode import open_image
    from lrsclip.localize.localizer import Heatmap, localize, localize_all
    from lrsclip.models.tokenizer import TokenReport
    from lrsclip.retrieval import Query, SearchResult, search
    from lrsclip.tiles.registry import open_tiles

__version__ = "0.2.0"  # read by pyproject.toml; where the project runs from its folder, nothing is installed to ask
_NAMES = {
    "calibration.labels": ("Classification",),
    "checkpoints.factory": ("embedded_names", "load", "random_model"),
    "classification": ("classify",),
    "clip": ("LRSCLIP",),
    "errors": (
        "AddressError",
        "Busy",
        "Cancelled",
        "CheckpointDamagedError",
        "CheckpointError",
        "DataError",
        "ExportError",
        "FetchError",
        "IndexArgumentError",
        "IndexDamagedError",
        "IndexMismatchError",
        "LRSCLIPError",
        "PictureError",
        "TextError",
        "TileSourceError",
        "TrainingError",
        "UnknownModelError",
    ),
    "index.build": ("build_index",),
    "index.index": ("TileIndex",),
    "io.decode": ("open_image",),
    "localize.localizer": ("Heatmap", "localize_all"),
    "models.tokenizer": ("TokenReport",),
    "retrieval": ("Query", "SearchResult", "search"),
    "tiles.registry": ("open_tiles",),
}
_MODULE = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}
__all__ = [
    "LRSCLIP",
    "AddressError",
    "Busy",
    "Cancelled",
    "CheckpointDamagedError",
    "CheckpointError",
    "Classification",
    "DataError",
    "ExportError",
    "FetchError",
    "Heatmap",
    "IndexArgumentError",
    "IndexDamagedError",
    "IndexMismatchError",
    "LRSCLIPError",
    "PictureError",
    "Query",
    "SearchResult",
    "TextError",
    "TileIndex",
    "TileSourceError",
    "TokenReport",
    "TrainingError",
    "UnknownModelError",
    "build_index",
    "classify",
    "embedded_names",
    "load",
    "localize",
    "localize_all",
    "open_image",
    "open_tiles",
    "random_model",
    "search",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: drawing the atlas needs no model, and torch takes seconds."""
    if name == "localize":  # the package, which can be called; see its docstring
        return import_module(f"{__name__}.localize")
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
