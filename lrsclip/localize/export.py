"""A heat-map as files: GeoTIFF and PNG for a GIS, its regions as GeoJSON.

Texts of users (the sentence above all) go into these files as data alone.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from pyproj import CRS
from pyproj.enums import WktVersion
from pyproj.exceptions import CRSError
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.windows import Window

from lrsclip.errors import ExportError, PictureError
from lrsclip.io.atomic import write_atomically
from lrsclip.io.georeference import GeoReference
from lrsclip.localize.colormap import Drawable, Palette, overlay
from lrsclip.localize.regions import Regions
from lrsclip.localize.score_grid import CellMap, Floats

LONGEST_PNG_PX = 4096  # the map is smooth; a larger picture would only take longer to write and to show
_BLOCK_PX = 512  # side of a tile of the GeoTIFF; so many rows are expanded at once,
_STRETCH_PX = 32 * _BLOCK_PX  # and so much of them: 34 MB
_EDGE_PARTS = 64  # pieces of a region's longest side
_DEGREE_DIGITS = 9  # a tenth of a millimeter
_PIXEL_NOTE = (
    "The scene has no place on Earth. Coordinates are pixels of the scene, x to the right and y up, so that row 10 is "
    "at y = -10; they lie over the PNG of the heat-map with its world file, in a project without a coordinate system."
)


def write_geotiff(
    path: str | os.PathLike[str],
    cells: CellMap,
    georeference: GeoReference | None,
    *,
    text: str,
    method: str,
    model: str,
) -> None:
    """Write the map itself, at the scene's full size: float32 cosines, NaN where there is no data.

    NaN is also the file's nodata value: QGIS and GDAL leave it out by that, and readers of the bare numbers cannot take
    it for a score. Without a place on Earth the file is a plain TIFF.

    Args:
        path: the file to write; one that is there is replaced.
        cells: the map.
        georeference: the scene's place on Earth, if it has one.
        text: the sentence.
        method: method that made the map.
        model: name of the model.

    Raises:
        ExportError: the folder is not there or cannot be written to.
    """
    height_px, width_px = int(cells.row_edges_px[-1]), int(cells.column_edges_px[-1])
    place: dict[str, Any] = {}
    if georeference is not None:
        place = {"crs": rasterio.CRS.from_wkt(georeference.crs_wkt), "transform": Affine(*georeference.transform)}
    with MemoryFile() as memory:  # compressed the map is small, for it is even on every cell
        with memory.open(
            driver="GTiff",
            width=width_px,
            height=height_px,
            count=1,
            dtype="float32",
            nodata=float("nan"),
            tiled=True,
            blockxsize=_BLOCK_PX,
            blockysize=_BLOCK_PX,
            compress="deflate",
            predictor=3,
            bigtiff="if_safer",
            **place,
        ) as data:
            for top_px in range(0, height_px, _BLOCK_PX):
                for left_px in range(0, width_px, _STRETCH_PX):  # a low scene may be half a million px wide
                    part = _part(cells, top_px, left_px)
                    data.write(part, 1, window=Window(left_px, top_px, part.shape[1], part.shape[0]))
            data.set_band_description(1, f"cosine with: {_plain(text)}")
            data.update_tags(text=_plain(text), method=_plain(method), model=_plain(model))
        _write(Path(path), memory.getbuffer())


def regions_geojson(
    regions: Regions, georeference: GeoReference | None, text: str, *, facts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Convert regions to a GeoJSON feature collection (RFC 7946), best first.

    Each feature has the properties mean_cos, peak_cos, area_px, area_m2, threshold_cos and text. Without a place on
    Earth coordinates are pixels (x, -y), and a member "crs_note" says so.

    Args:
        regions: the regions.
        georeference: the scene's place on Earth, if it has one.
        text: the sentence.
        facts: more properties of every feature, such as the model.

    Raises:
        PictureError: a region reaches where the scene's projection has no place on Earth.
    """
    shared = {"threshold_cos": regions.threshold_cos, "text": _plain(text)}
    shared |= {name: _plain(fact) for name, fact in (facts or {}).items()}
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(_geometry(region.outline, georeference)),
            "properties": {
                "mean_cos": region.mean_cos,
                "peak_cos": region.peak_cos,
                "area_px": region.area_px,
                "area_m2": region.area_m2,
                **shared,
            },
        }
        for region in regions.regions
    ]
    collection: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    return collection if georeference is not None else {**collection, "crs_note": _PIXEL_NOTE}


def write_geojson(
    path: str | os.PathLike[str],
    regions: Regions,
    georeference: GeoReference | None,
    text: str,
    *,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write `regions_geojson` to a file; one that is there is replaced.

    Raises:
        PictureError: as `regions_geojson`.
        ExportError: the folder is not there or cannot be written to.
    """
    collection = regions_geojson(regions, georeference, text, facts=facts)
    _write(Path(path), json.dumps(collection, ensure_ascii=False, allow_nan=False).encode("utf-8"))


def write_png(
    path: str | os.PathLike[str],
    heatmap: Drawable,
    georeference: GeoReference | None,
    *,
    palette: Palette = "viridis",
    low_cos: float | None = None,
    high_cos: float | None = None,
    longest_px: int = LONGEST_PNG_PX,
) -> tuple[Path, ...]:
    """Write the colored map as RGBA, with a world file and, where the scene has a place on Earth, its projection.

    Beside NAME.png stand NAME.pgw (the place of the pixels; without a place on Earth px of the scene, y up), NAME.prj
    (the projection as Esri writes it) and NAME.png.aux.xml (the same for GDAL and QGIS, which read no .prj there).

    Args:
        path: the picture to write, ending in .png; files that are there are replaced.
        heatmap: the map.
        georeference: the scene's place on Earth, if it has one.
        palette: name of the colors.
        low_cos: the score of the first color; None for the map's lowest.
        high_cos: the score of the last color; None for the map's highest.
        longest_px: the picture is made smaller than the scene if that is longer.

    Returns:
        The files written, the picture first.

    Raises:
        PictureError: `low_cos` lies above `high_cos`.
        ExportError: the name does not end in .png, or the folder is not there or cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ExportError(f"{path.name} would be a PNG by another name; end it in .png, as the world file goes by that")
    picture = overlay(heatmap, palette=palette, low_cos=low_cos, high_cos=high_cos, longest_px=longest_px)
    packed = io.BytesIO()
    picture.convert("RGBA").save(packed, "PNG")
    to_scene_px = Affine.scale(heatmap.width_px / picture.width, heatmap.height_px / picture.height)
    placed = Affine.scale(1, -1) if georeference is None else Affine(*georeference.transform)
    beside: dict[Path, str | None] = {
        path.with_suffix(".pgw"): _world_file(placed @ to_scene_px),
        path.with_suffix(".prj"): None if georeference is None else _esri_wkt(georeference.crs_wkt),
        path.with_name(f"{path.name}.aux.xml"): None if georeference is None else _gdal_facts(georeference.crs_wkt),
    }
    # The picture comes last: once it exists, all files that belong to it do.
    for name, content in beside.items():
        if content is None:
            _remove(name)  # of an earlier map: it would give this one a place on Earth that it has not
        else:
            _write(name, content.encode("utf-8"))
    _write(path, packed.getvalue())
    return (path, *(name for name, content in beside.items() if content is not None))


def _part(cells: CellMap, top_px: int, left_px: int) -> Floats:
    """Expand a part of the map to full size, (512, 16384) float32; less at the map's lower and right edges."""
    rows_px = np.arange(top_px, min(top_px + _BLOCK_PX, int(cells.row_edges_px[-1])))
    columns_px = np.arange(left_px, min(left_px + _STRETCH_PX, int(cells.column_edges_px[-1])))
    rows = np.searchsorted(cells.row_edges_px, rows_px, side="right") - 1
    columns = np.searchsorted(cells.column_edges_px, columns_px, side="right") - 1
    return cells.values_cos[np.ix_(rows, columns)]


def _geometry(outline: shapely.Polygon, georeference: GeoReference | None) -> shapely.Polygon | shapely.MultiPolygon:
    """Convert an outline to degrees, or to px with y up; outer rings counter-clockwise, as RFC 7946 demands."""
    if georeference is None:
        return shapely.orient_polygons(shapely.transform(outline, lambda corners_px: corners_px * (1, -1)))

    def in_degrees(corners_px: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack(georeference.lonlat(corners_px[:, 0], corners_px[:, 1]), axis=1).round(_DEGREE_DIGITS)

    west_px, north_px, east_px, south_px = outline.bounds
    # An edge that is straight in the scene is bent in degrees.
    dense = shapely.segmentize(outline, max(east_px - west_px, south_px - north_px) / _EDGE_PARTS)
    placed = shapely.transform(dense, in_degrees)
    longitudes = shapely.get_coordinates(placed.exterior)[:, 0]
    if not np.isfinite(shapely.get_coordinates(placed)).all():
        raise PictureError("a region has no place on Earth; cut the scene to where its projection holds")
    if np.abs(np.diff(longitudes)).max() > 180:
        placed = _cut_at_date_line(placed)
    return shapely.orient_polygons(placed)


def _cut_at_date_line(outline: shapely.Polygon) -> shapely.MultiPolygon:
    """Cut an outline over the date line into parts on either side of it: RFC 7946 allows none across."""
    eastwards = shapely.transform(outline, lambda corners: np.stack([corners[:, 0] % 360, corners[:, 1]], axis=1))
    if not eastwards.is_valid:
        raise PictureError("a region lies round a pole, which no GeoJSON can tell; write a GeoTIFF")
    beside = shapely.intersection(eastwards, shapely.box(0, -90, 180, 90))
    beyond = shapely.intersection(eastwards, shapely.box(180, -90, 360, 90))
    moved = shapely.transform(beyond, lambda corners: corners - (360, 0))
    parts = shapely.get_parts(shapely.get_parts([beside, moved]))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon"])  # no lines on the date line


def _world_file(transform: Affine) -> str:
    """Write the six lines of a world file: pixel size and turn, then the center of the upper left pixel."""
    x, y = transform @ (0.5, 0.5)
    return "".join(f"{v!r}\n" for v in (transform.a, transform.d, transform.b, transform.e, x, y))


def _esri_wkt(crs_wkt: str) -> str | None:
    """Write a coordinate system in Esri's WKT; None for the few that Esri has no words for."""
    try:
        return CRS.from_wkt(crs_wkt).to_wkt(WktVersion.WKT1_ESRI)
    except CRSError:
        return None


def _gdal_facts(crs_wkt: str) -> str:
    return f"<PAMDataset>\n  <SRS>{escape(crs_wkt)}</SRS>\n</PAMDataset>\n"


def _plain(text: str) -> str:
    """Replace control characters and halves of characters by spaces: XML or UTF-8 cannot hold them."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _write(path: Path, content: bytes | memoryview) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise _refused(path, error) from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OSError) -> ExportError:
    if not path.parent.is_dir():
        return ExportError(f"there is no folder {path.parent}; make it, or choose another")
    return ExportError(
        f"cannot write {path} ({error.strerror or error}); choose a folder that you may write to, with room left"
    )
