"""Readers of localization annotations: AIR-SLT's polygons, CHOICE's boxes, masks and captions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrsclip.errors import DataError
from lrsclip.io.decode import DECODE_FAULTS, opened
from lrsclip.metrics.selo import Mask, Polygon, region_mask, target_circle
from train.data.readers import PICTURE_SUFFIXES

ANNOTATIONS = "annotations/anno.json"
SCENES = "imgs"
MASK_LEVEL = 127  # a mask's gray above it is inside; the files hold 0 and 255
# A question names its target and the answer's format; only the target is a phrase for the text tower.
_ASKED = re.compile(
    r"output the coordinates of (?P<box>.+?) in the image\b|mask of (?P<mask>.+?)(?: in this image)?\s*\.?\s*$"
)
_OPTION = re.compile(r"^([A-Z])\.\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class SceneQuery:
    """A sentence, its scene, and the regions of the scene in which it is true.

    Attributes:
        number: its place in the annotations, from 0.
        caption: the sentence, without line ends.
        scene: the picture file.
        polygons: one (V, 2) outline in px per target.
    """

    number: int
    caption: str
    scene: Path
    polygons: tuple[Polygon, ...]


@dataclass(frozen=True, eq=False)
class Grounding:
    """A phrase and the thing in a picture that it names, as a box or as a mask.

    Attributes:
        picture: the picture file.
        phrase: the question's target, such as "the storage tank".
        corners: (4, 2) x and y as fractions of width and height, or None.
        mask: the mask file, or None.
    """

    picture: Path
    phrase: str
    corners: npt.NDArray[np.float64] | None = None
    mask: Path | None = None

    def target(self, width_px: int, height_px: int) -> Mask:
        """Return the (height_px, width_px) bool mask of the target.

        Raises:
            DataError: the mask is broken, empty or of another size than the picture.
        """
        if self.corners is not None:
            return region_mask([self.corners * (width_px, height_px)], width_px, height_px)
        try:
            with opened(str(self.mask)) as stored:
                inside: Mask = np.asarray(stored.convert("L")) > MASK_LEVEL
        except DECODE_FAULTS as error:
            raise DataError(f"{self.mask} cannot be read ({error}); fetch it again") from error
        if inside.shape != (height_px, width_px) or not inside.any():
            raise DataError(f"{self.mask} is empty or not of {self.picture.name}'s {width_px} x {height_px} px")
        return inside


@dataclass(frozen=True)
class CaptionChoice:
    """A picture, the captions to choose from, and the number of the right one."""

    picture: Path
    captions: tuple[str, ...]
    right: int


def read_scene_queries(folder: Path) -> list[SceneQuery]:
    """Read `annotations/anno.json` of the AIR-SLT layout: a list of {caption, jpg_name, points}.

    The scenes themselves may be missing; `missing_scenes` says which.

    Raises:
        DataError: the file is missing, not JSON, not of this layout, or a query has no sentence or no usable polygon.
    """
    path = folder / ANNOTATIONS
    queries = []
    for number, row in enumerate(_rows(path)):
        where = f"query {number} of {path}"
        caption, name, points = (_field(row, key, kind, where) for key, kind in _QUERY_FIELDS)
        if not caption.strip():
            raise DataError(f"{where} has an empty caption; remove the query")
        if not points:
            raise DataError(f"{where} has no polygon; remove the query or mark its target")
        polygons = tuple(_polygon(outline, where) for outline in points)
        queries.append(SceneQuery(number, " ".join(caption.split()), folder / SCENES / name, polygons))
    return queries


_QUERY_FIELDS: tuple[tuple[str, type], ...] = (("caption", str), ("jpg_name", str), ("points", list))


def missing_scenes(queries: list[SceneQuery]) -> list[Path]:
    """List the scene files that queries name and that are not there, each once, in order."""
    return [path for path in dict.fromkeys(query.scene for query in queries) if not path.is_file()]


def read_boxes(folder: Path) -> list[Grounding]:
    """Read CHOICE's `visual_grounding` folder.

    Raises:
        DataError: missing or broken JSON, another layout, or a picture that is not there.
    """
    path, items = folder / f"{folder.name}.json", []
    for number, row in enumerate(_rows(path)):
        where = f"entry {number} of {path}"
        corners = _points(_field(row, "answer", list, where), where)
        if len(corners) != 4 or corners.min() < 0 or corners.max() > 1:
            raise DataError(f"{where} has no box of four corners as fractions of width and height")
        items.append(Grounding(_picture(folder, row, where), _phrase(row, where), corners=corners))
    return items


def read_masks(folder: Path) -> list[Grounding]:
    """Read CHOICE's `referring_expression_segmentation` folder.

    Raises:
        DataError: missing or broken JSON, another layout, or a picture or mask that is not there.
    """
    path, items = folder / f"{folder.name}.json", []
    for number, row in enumerate(_rows(path)):
        where = f"entry {number} of {path}"
        mask = _present(folder / "masks", _field(row, "mask_path", str, where), where)
        items.append(Grounding(_picture(folder, row, where), _phrase(row, where), mask=mask))
    return items


def read_caption_choices(folder: Path) -> list[CaptionChoice]:
    """Read CHOICE's `image_caption` folder.

    Raises:
        DataError: missing or broken JSON, another layout, or a picture that is not there.
    """
    path, items = folder / f"{folder.name}.json", []
    for number, row in enumerate(_rows(path)):
        where = f"entry {number} of {path}"
        options = _OPTION.findall(_field(row, "question", str, where))
        letters, captions = [letter for letter, _ in options], tuple(text.strip() for _, text in options)
        answer = _field(row, "answer", str, where).strip()
        if len(captions) < 2 or letters.count(answer) != 1:
            raise DataError(f"{where} has no lines A., B., ... of which {answer!r} is one")
        items.append(CaptionChoice(_picture(folder, row, where), captions, letters.index(answer)))
    return items


def _rows(path: Path) -> list[Any]:
    """Read a JSON list with something in it."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; put the data set's annotations at that path") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor JSON
        raise DataError(f"{path} cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path} is not a list of entries; is it another data set's file?")
    return rows


def _field(row: Any, key: str, kind: type, where: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind):
        raise DataError(f"{where} has no {key} that is a {kind.__name__}; is it of another layout?")
    return value


def _points(value: Any, where: str) -> npt.NDArray[np.float64]:
    """Convert an outline to a (V, 2) array of finite numbers."""
    try:
        points = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} has an outline that is no list of [x, y]; mend or remove it") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise DataError(f"{where} has an outline that is no list of [x, y]; mend or remove it")
    return points


def _polygon(value: Any, where: str) -> Polygon:
    points = _points(value, where)
    if len(points) < 3:
        raise DataError(f"{where} has a polygon of {len(points)} points; it needs three or more")
    if np.abs(points).max() > np.iinfo(np.int16).max * 2:
        raise DataError(f"{where} has a polygon with points beyond any picture; give them in px")
    try:
        target_circle(points)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    return points


def _phrase(row: Any, where: str) -> str:
    found = _ASKED.search(_field(row, "question", str, where))
    if found is None:
        raise DataError(f"{where} asks for neither coordinates nor a mask; is it of another task?")
    return (found["box"] or found["mask"]).replace("-", " ").strip()


def _picture(folder: Path, row: Any, where: str) -> Path:
    return _present(folder / "images", _field(row, "image_path", str, where), where)


def _present(folder: Path, named: str, where: str) -> Path:
    """Find the file with that name, or with another picture suffix: annotations may say .png where a .jpg lies."""
    wished = folder / Path(named).name
    for path in (wished, *(wished.with_suffix(suffix) for suffix in sorted(PICTURE_SUFFIXES))):
        if path.is_file():
            return path
    raise DataError(f"{wished} is named by {where} but is not there; is the download complete?")
