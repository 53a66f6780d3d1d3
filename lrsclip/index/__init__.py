"""Room of the index: tiles to vectors on disk, and vectors to hits.

`build_index` makes or updates one, `TileIndex` searches it; `python -m lrsclip.index` does both from a shell.
"""

from lrsclip.errors import IndexArgumentError
from lrsclip.index.build import build_index, default_cache_dir
from lrsclip.index.filters import Area, SearchFilter, parse_area
from lrsclip.index.index import Hit, TileIndex
from lrsclip.index.schema import Manifest, ModelMark, Skipped
from lrsclip.index.storage import read_manifest

__all__ = [
    "Area",
    "Hit",
    "IndexArgumentError",
    "Manifest",
    "ModelMark",
    "SearchFilter",
    "Skipped",
    "TileIndex",
    "build_index",
    "default_cache_dir",
    "parse_area",
    "read_manifest",
]
