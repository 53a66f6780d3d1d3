"""Scenes for semantic localization: pictures, arrays and rasters of any size, read by windows."""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.decode import (
    DECODE_FAULTS,
    as_rgb,
    data_in,
    opened,
    orientation,
    summary_of,
    unreadable,
    upright,
    with_bands,
)
from lrsclip.io.georeference import GeoReference, georeference_of
from lrsclip.io.kinds import head_of, is_raster, kind_of
from lrsclip.io.look import UPRIGHT, stretch_ends
from lrsclip.io.picture_parts import check_tags
from lrsclip.io.plain_file import open_plain
from lrsclip.io.raster import read_whole, stretched
from lrsclip.io.raster_file import RASTER_FAULTS, check_sidecars, damaged, open_raster
from lrsclip.io.raster_limits import check_total, item_bytes, together
from lrsclip.io.tiff_tags import hides_its_size, largest_block_bytes
from lrsclip.localize.scene_kinds import Box, PictureScene, Place, RasterScene, Scene
from lrsclip.localize.windows import check_scene_size

__all__ = ["MAX_PICTURE_PX", "MAX_SCENE_PX", "Box", "Scene", "open_scene"]

MAX_SCENE_PX = 1_000_000_000  # for rasters, which are read by windows
MAX_PICTURE_PX = 175_000_000  # for pictures decoded whole: 700 MB in Pillow, which itself refuses from 178,956,970 on
_MAX_BLOCK_BYTES = 512 * 2**20  # of a block, which is decoded at once, however small the window
_MAX_STRANGERS_BLOCK_BYTES = 16 * 2**20  # four fit into GDAL's cache: so none is decoded again for each window
_BANDS_OF_A_WINDOW = 4  # three colors and a mask: of bands that are stored apart, a window decodes a block each
_MAX_WHOLE_PX = 40_000_000  # of a stranger's raster in larger blocks, which is decoded once
_SAMPLE_PX = 1024  # side of the decimated array that the stretch is taken from
_STRIP_PX = 512  # rows of an array stretched at once
_REMOTE = re.compile(r"/vsi|[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # Path makes one slash of two


def open_scene(
    scene: Image.Image | NDArray[Any] | str | os.PathLike[str] | Scene,
    *,
    bands: tuple[int, ...] | None = None,
    georeference: GeoReference | None = None,
    untrusted: bool = False,
) -> Scene:
    """Open a scene for reading by windows.

    Args:
        scene: a picture of any mode, which must stay as it is while the scene is in use; an array of (H, W), (H, W, 1),
            (H, W, 3) or (H, W, 4), whose fourth band is alpha, of uint8, uint16 or floats; the path of a file on this
            machine, of any kind that `open_image` reads; or a scene, which is returned. More than 8 bits are stretched.
            NaN and alpha 0 mean no data.
        bands: numbers (from 1) of a file's bands for red, green and blue, or of one for gray; the choice stands in
            the scene's `summary`.
        georeference: the place of a picture in memory; files have their own.
        untrusted: whether a stranger sent the file: JPEG 2000 is then not opened, and no file beside it is read.

    Raises:
        PictureError: it is none of these, not there, damaged, under 16 px on a side, or over the limit on pixels; or a
            band is not there.
    """
    if bands is not None and len(bands) not in (1, 3):
        raise PictureError(f"bands names {len(bands)} bands; name one, or three as in (4, 3, 2)")
    if isinstance(scene, str | os.PathLike):
        return _from_path(_local_file(scene), bands, untrusted)
    if bands is not None:
        raise PictureError("bands can be chosen of a file only; give its path, or pick the bands of the array")
    if isinstance(scene, Scene):
        return scene
    if isinstance(scene, Image.Image):
        return _from_picture(scene, "the scene", (georeference, ""))
    if isinstance(scene, np.ndarray):
        return _from_array(scene)
    raise PictureError(f"the scene is {type(scene).__name__}; give a PIL picture, an array, or the path of a file")


def _from_path(path: Path, bands: tuple[int, ...] | None, untrusted: bool) -> Scene:
    try:
        with open_plain(path) as file:
            head = head_of(file)
            check_tags(file)
    except OSError as error:
        raise damaged(path, error) from error
    kind = kind_of(head)
    deep = kind == "PNG" and is_raster(head)
    # Of a PNG, windows could only be read from its first row on.
    if (is_raster(head) and not deep) or not kind:
        return _from_raster(path, bands, untrusted)  # of no known kind, it raises the right error
    if not deep:
        return _from_picture_file(path, bands, (None, "") if untrusted else None)
    return _from_deep_picture(path, bands, untrusted)


def _from_raster(path: Path, bands: tuple[int, ...] | None, untrusted: bool) -> Scene:
    file = open_raster(path, untrusted=untrusted)
    try:
        place = file.use(lambda data: _place_of(path, data, untrusted))
        whole = file.use(lambda data: _needs_whole(path, data, untrusted))
        look = file.look(bands)
        if look.orientation != UPRIGHT:
            whole = file.use(lambda data: _check_turned(path, data, untrusted))
        if not whole:
            return RasterScene(file, look, place, untrusted)
        with closing(file):
            rgb, there = file.use(lambda data: read_whole(data, look))
        return _in_memory(path, rgb, there, place, look.summary)
    except RASTER_FAULTS as error:
        file.close()
        raise damaged(path, error) from error
    except TileSourceError as error:
        file.close()
        raise PictureError(str(error)) from error
    except PictureError:
        file.close()
        raise


def _from_deep_picture(path: Path, bands: tuple[int, ...] | None, untrusted: bool) -> Scene:
    """Read a PNG of 16 bits whole, at the place that a world file beside it gives."""
    try:
        with closing(open_raster(path, untrusted=untrusted)) as file:
            file.use(lambda data: _check_size(str(path), data.width, data.height, MAX_PICTURE_PX))
            look = file.look(bands)
            rgb, there = file.use(lambda data: read_whole(data, look))
    except RASTER_FAULTS as error:
        raise damaged(path, error) from error
    except TileSourceError as error:
        raise PictureError(str(error)) from error
    place = (None, "") if untrusted else _place_beside(path, look.orientation != UPRIGHT)
    return _in_memory(path, rgb, there, place, look.summary)


def _in_memory(path: Path, rgb: NDArray[np.uint8], there: NDArray[np.bool_], place: Place, summary: str) -> Scene:
    return PictureScene(str(path), Image.fromarray(rgb), None if there.all() else there, place, summary)


def _place_of(path: Path, data: rasterio.DatasetReader, untrusted: bool) -> Place:
    _check_size(str(path), data.width, data.height, MAX_SCENE_PX)
    return georeference_of(data, sidecar_crs=not untrusted)


def _from_picture_file(path: Path, bands: tuple[int, ...] | None, place: Place | None) -> Scene:
    """Read a file that Pillow decodes whole; with None, take its place from a world file beside it."""
    try:
        with opened(path) as stored:
            if place is None:
                _check_size(str(path), *stored.size, MAX_PICTURE_PX)
                stored.load()  # before the orientation is asked for, which reads on through damage
                place = _place_beside(path, orientation(stored) != 1)
            return _from_picture(stored, str(path), place, bands)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"{path} is over {_limit(MAX_PICTURE_PX)}") from error
    except DECODE_FAULTS as error:
        raise unreadable(str(path), error) from error


def _from_picture(
    picture: Image.Image, name: str, place: Place = (None, ""), bands: tuple[int, ...] | None = None
) -> PictureScene:
    _check_size(name, *picture.size, MAX_PICTURE_PX)
    try:
        picture.load()
        turned = upright(picture)
        there = data_in(turned)
        # No copy without need: a scene may fill 700 MB.
        rgb = turned if turned.mode == "RGB" and there is None else as_rgb(turned)
        if bands is not None:
            rgb = with_bands(rgb, len(turned.getbands()), bands, name)
        if there is not None:
            rgb.paste((0, 0, 0), mask=Image.fromarray(~there))
    except PictureError:
        raise
    except DECODE_FAULTS as error:
        raise unreadable(name, error) from error
    return PictureScene(name, rgb, there, place, summary_of(turned, bands))


def _from_array(values: NDArray[Any]) -> PictureScene:
    fits = values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (1, 3, 4))
    if not fits or not (values.dtype in (np.uint8, np.uint16) or values.dtype.kind == "f"):
        raise PictureError(
            f"the scene is an array of shape {values.shape} and type {values.dtype}; give (H, W), (H, W, 1), (H, W, 3) "
            "or (H, W, 4) of uint8, uint16 or floats"
        )
    if isinstance(values, np.ma.MaskedArray):
        raise PictureError("the scene is a masked array; fill it with NaN, or give the mask as a fourth band, 0 or 255")
    high, wide = values.shape[:2]
    _check_size("the scene", wide, high, MAX_PICTURE_PX)
    layers = values.reshape(high, wide, -1)
    if values.dtype == np.uint8:
        return _from_picture(Image.fromarray(layers[:, :, 0] if layers.shape[2] == 1 else layers), "the scene")
    there = np.isfinite(layers[:, :, :3]).any(axis=2)
    if layers.shape[2] == 4:
        there &= layers[:, :, 3] > 0  # False for NaN too
    if not there.any():
        raise PictureError("the scene is an array without a finite number that is not transparent; there is nothing")
    step = -(-max(high, wide) // _SAMPLE_PX)
    sample = layers[::step, ::step, :3].transpose(2, 0, 1)
    gaps = np.broadcast_to(~there[::step, ::step], sample.shape)
    ends = stretch_ends(np.ma.masked_array(sample, mask=gaps))
    rgb = np.empty((high, wide, 3), np.uint8)
    for top in range(0, high, _STRIP_PX):
        strip = layers[top : top + _STRIP_PX, :, :3].transpose(2, 0, 1)
        rgb[top : top + _STRIP_PX] = stretched(strip, ends).transpose(1, 2, 0)
    rgb[~there] = 0
    bands = "bands 1, 2, 3" if layers.shape[2] >= 3 else "band 1"
    summary = f"{bands}; stretched 2-98 %"
    return PictureScene("the scene", Image.fromarray(rgb), None if there.all() else there, summary=summary)


def _local_file(scene: str | os.PathLike[str]) -> Path:
    given = os.fspath(scene)
    try:
        path = Path(given).expanduser().absolute()
        if any(_REMOTE.match(text) for text in (given, str(path))):
            raise PictureError(f"{given!r} is no file on this machine; download it and give the path")
        if path.is_dir():
            raise PictureError(f"{given!r} is a folder; name one file in it")
        if not path.is_file():
            raise PictureError(f"there is no file {given!r}; check the path")
    except (OSError, RuntimeError, TypeError) as error:  # RuntimeError: ~ of nobody; TypeError: a path of bytes
        raise PictureError(f"{given!r} is no path of a file ({error}); check it") from error
    return path


def _place_beside(path: Path, turned: bool) -> Place:
    """Read the place of a picture from the world file beside it."""
    try:
        check_sidecars(path)
    except PictureError as error:
        return None, f"The place beside the picture is not read: {error}."
    try:
        with closing(open_raster(path)) as file:
            found, note = file.use(lambda data: georeference_of(data, sidecar_crs=True))
    except (PictureError, *RASTER_FAULTS):  # Pillow reports a fault of the file, if there is one
        return None, ""
    if found is not None and turned:
        return None, "The picture's camera tag turns it, so that its world file does not fit; save it upright."
    return found, note


def _check_size(name: str, width_px: int, height_px: int, limit_px: int) -> None:
    check_scene_size(width_px, height_px)
    if width_px * height_px > limit_px:
        raise PictureError(f"{name} is {width_px} x {height_px} px, over {_limit(limit_px)}")


def _limit(limit_px: int) -> str:
    if limit_px == MAX_SCENE_PX:
        return f"the limit of {MAX_SCENE_PX:,} pixels; cut it into parts"
    return (
        f"the limit of {MAX_PICTURE_PX:,} pixels for pictures; cut it into parts, or save it as a tiled GeoTIFF, "
        f"which may have {MAX_SCENE_PX:,}"
    )


def _check_turned(path: Path, data: rasterio.DatasetReader, untrusted: bool) -> bool:
    """Tell whether a raster that lies on its side is read whole: a row of it upright is a column of its file.

    Raises:
        PictureError: a stranger sent it, and it is too large for that.
    """
    px = data.width * data.height
    if untrusted and (px > _MAX_WHOLE_PX or hides_its_size(path)):
        raise PictureError(f"{path} is turned by a camera tag and too large for that; save it upright")
    return px <= MAX_PICTURE_PX


def _needs_whole(path: Path, data: rasterio.DatasetReader, untrusted: bool) -> bool:
    """Tell whether a raster must be decoded whole, because each window would decode nearly all of it again.

    Raises:
        PictureError: it would have to be, and is too large or of a kind that only GDAL reads.
    """
    blocks = zip(data.block_shapes, data.dtypes, strict=True)
    of_a_window = together(data, _BANDS_OF_A_WINDOW)
    block_bytes = max(shape[0] * shape[1] * of_a_window * item_bytes(kind) for shape, kind in blocks)
    if untrusted:
        check_total(path, str(path), path.stat().st_size, data)
        # A malicious file may hide its block size where GDAL does not show it.
        block_bytes = max(block_bytes, largest_block_bytes(path))
    if block_bytes <= (_MAX_STRANGERS_BLOCK_BYTES if untrusted else _MAX_BLOCK_BYTES):
        return False
    plain = together(data) <= _BANDS_OF_A_WINDOW and set(data.dtypes) == {"uint8"}
    if untrusted and plain and data.width * data.height <= _MAX_WHOLE_PX and not hides_its_size(path):
        return True
    raise PictureError(
        f"{path} is stored in blocks of {block_bytes / 2**20:,.0f} MB, too large to read by windows; save it tiled, "
        "as by gdal_translate -co TILED=YES"
    )
