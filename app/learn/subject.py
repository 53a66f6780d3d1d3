"""What the Learn page speaks of: a tile of the collection, or a picture that the class brought."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.collections import AppState
from app.media.images import shrunk, tile_picture
from app.server.concurrency import LruCache
from lrsclip.io.encode import encoded
from lrsclip.tiles.atlas import AtlasTiles

OWN_NAME = "your own picture"
_VECTORS: LruCache[NDArray[np.float32]] = LruCache(64)
_KEPT_PX = 512  # a visitor's session keeps it; the page shows no more


@dataclass(frozen=True, eq=False)
class OwnPicture:
    """A picture that is ranked among the tiles of a collection as if it were one of them; `content` is a WebP file."""

    content: bytes

    @classmethod
    def of(cls, picture: Image.Image) -> OwnPicture:
        """Keep a picture, made smaller, for as long as a visitor stays."""
        return cls(encoded(shrunk(picture, _KEPT_PX), "WEBP", quality=90))


Subject = str | OwnPicture
"""A tile by its id, or a picture of one's own."""


def name_of(subject: Subject) -> str:
    """Name it for people."""
    return OWN_NAME if isinstance(subject, OwnPicture) else subject


def picture_of(state: AppState, subject: Subject) -> Image.Image:
    """Read its picture, RGB.

    Raises:
        TileSourceError: there is no such tile.
        PictureError: the tile's picture is gone.
    """
    if isinstance(subject, OwnPicture):
        return Image.open(io.BytesIO(subject.content), formats=("WEBP",)).convert("RGB")
    return tile_picture(state, subject)


def vector_of(state: AppState, subject: Subject) -> NDArray[np.float32]:
    """Return the vector of its picture, (D,), of length 1.

    Raises:
        TileSourceError: there is no such tile.
    """
    if isinstance(subject, OwnPicture):
        key = state.bundle.name, subject.content  # all texts of a run are held against it
        return _VECTORS.get(key, lambda: _encoded(state, subject))
    return state.index.vector(subject)


def _encoded(state: AppState, own: OwnPicture) -> NDArray[np.float32]:
    return np.asarray(state.bundle.encode_image([picture_of(state, own)])[0], np.float32)


def text_of_tile(state: AppState, subject: Subject) -> str:
    """Return the description that is known: the atlas's own, or the caption of a tile; "" where there is none.

    Raises:
        TileSourceError: there is no such tile.
    """
    if isinstance(subject, OwnPicture):
        return ""
    tile, source = state.index.tile(subject), atlas_of(state, subject)
    return source.texts(subject).long if source is not None else tile.caption or ""


def atlas_of(state: AppState, subject: Subject) -> AtlasTiles | None:
    """Return the atlas if the subject is one of its tiles, so that more is known of it than a caption."""
    if isinstance(subject, OwnPicture) or not isinstance(state.source, AtlasTiles):
        return None
    return state.source if state.index.source_spec(subject) == state.source.spec else None
