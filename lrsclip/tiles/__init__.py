"""Room of the tiles: sources of pictures, independent of the search over them.

A tile source lists tiles in a stable order and gives the facts and the picture of each one. There are folders of
picture files, rasters (`geotiff`), places on Earth (`place`), data sets (`hub`) and the rendered landscape
(`lrsclip.atlas`); `open_tiles` turns a user's address into a source.
"""

from lrsclip.io.decode import open_image
from lrsclip.tiles.base import (
    Fingerprinted,
    Partial,
    Planned,
    Preparable,
    Previewed,
    Tile,
    TileSource,
    preview_of,
    unwrapped,
)
from lrsclip.tiles.folder import FolderTiles
from lrsclip.tiles.registry import is_for_untrusted, open_tiles

__all__ = [
    "Fingerprinted",
    "FolderTiles",
    "Partial",
    "Planned",
    "Preparable",
    "Previewed",
    "Tile",
    "TileSource",
    "is_for_untrusted",
    "open_image",
    "open_tiles",
    "preview_of",
    "unwrapped",
]
