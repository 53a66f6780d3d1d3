"""Readers of localization annotations: AIR-SLT's polygons, CHOICE's boxes, masks and captions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lrsclip.errors import DataError
from lrsclip.io.caption_json import read_json
from lrsclip.io.decode import DECODE_FAULTS, opened
from lrsclip.metrics.selo import Mask, Polygon, region_mask, target_circle
from train.data.faults import Faults
from train.data.names import PICTURE_SUFFIXES

_Read = TypeVar("_Read")
ANNOTATIONS = "annotations/anno.json"
SCENES = "imgs"
MASK_LEVEL = 127  # a mask's gray above it is inside; the files hold 0 and 255
# A question names its target and the answer's format; only the target is a phrase for the text tower.
_ASKED = re.compile(
    r"output the coordinates of (?P<box>.+?) in the image\b|mask of (?P<mask>.+?)(?: in this image)?\s*\.?\s*$"
)
_OPTION = re.compile(r"^([A-Z])\.\s*(.+)$", re.MULTILINE)


class MissingPicture(DataError):
    """An annotation names a picture or a mask that is not there."""


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
        """Return where the thing is, (height_px, width_px) bool.

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

    A query without a sentence or a usable polygon is a fault. The scenes themselves may be missing.

    Raises:
        DataError: the file is missing, not JSON or not of this layout, or no query can be read.
    """

    def one(row: Any, where: str, number: int) -> SceneQuery:
        caption, name, points = (_field(row, key, kind, where) for key, kind in _QUERY_FIELDS)
        if not caption.strip():
            raise DataError(f"{where} has an empty caption; remove the query")
        if not points:
            raise DataError(f"{where} has no polygon; remove the query or mark its target")
        polygons = tuple(_polygon(outline, where) for outline in points)
        return SceneQuery(number, " ".join(caption.split()), folder / SCENES / name, polygons)

    return _read_rows(folder / ANNOTATIONS, "query", one)


_QUERY_FIELDS: tuple[tuple[str, type], ...] = (("caption", str), ("jpg_name", str), ("points", list))


def read_boxes(folder: Path) -> list[Grounding]:
    """Read CHOICE's `visual_grounding` folder; a broken entry and one without its picture are faults.

    Raises:
        DataError: missing or broken JSON, or no entry can be read.
    """

    def one(row: Any, where: str, _number: int) -> Grounding:
        corners = _points(_field(row, "answer", list, where), where)
        if len(corners) != 4 or corners.min() < 0 or corners.max() > 1:
            raise DataError(f"{where} has no box of four corners as fractions of width and height")
        return Grounding(_picture(folder, row, where), _phrase(row, where), corners=corners)

    return _read_rows(folder / f"{folder.name}.json", "entry", one)


def read_masks(folder: Path) -> list[Grounding]:
    """Read CHOICE's `referring_expression_segmentation` folder; faults as in `read_boxes`, and masks that are missing.

    Raises:
        DataError: missing or broken JSON, or no entry can be read.
    """

    def one(row: Any, where: str, _number: int) -> Grounding:
        mask = _present(folder / "masks", _field(row, "mask_path", str, where), where)
        return Grounding(_picture(folder, row, where), _phrase(row, where), mask=mask)

    return _read_rows(folder / f"{folder.name}.json", "entry", one)


def read_caption_choices(folder: Path) -> list[CaptionChoice]:
    """Read CHOICE's `image_caption` folder; faults as in `read_boxes`.

    Raises:
        DataError: missing or broken JSON, or no entry can be read.
    """

    def one(row: Any, where: str, _number: int) -> CaptionChoice:
        options = _OPTION.findall(_field(row, "question", str, where))
        letters, captions = [letter for letter, _ in options], tuple(text.strip() for _, text in options)
        answer = _field(row, "answer", str, where).strip()
        if len(captions) < 2 or letters.count(answer) != 1:
            raise DataError(f"{where} has no lines A., B., ... of which {answer!r} is one")
        return CaptionChoice(_picture(folder, row, where), captions, letters.index(answer))

    return _read_rows(folder / f"{folder.name}.json", "entry", one)


def _read_rows(path: Path, what: str, one: Callable[[Any, str, int], _Read]) -> list[_Read]:
    """Read a JSON list row by row; a row that cannot be read is a fault, and the rest goes on.

    Args:
        path: the file.
        what: a row is called.
        one: reads a row, given where it stands and its number.

    Raises:
        DataError: there is no list, or none of its rows can be read.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path} is not a list of entries; is it another data set's file?")
    faults, found, why = Faults(), list[_Read](), ""
    for number, row in enumerate(rows):
        try:
            found.append(one(row, f"{what} {number} of {path}", number))
        except DataError as error:
            why = why or str(error)
            faults.add("picture missing" if isinstance(error, MissingPicture) else "broken row", str(error))
    faults.log_total(str(path))
    if not found:
        raise DataError(f"{path} has no {what} that can be read: {why}")
    return found


def _field(row: Any, key: str, kind: type, where: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind):
        raise DataError(f"{where} has no {key} that is a {kind.__name__}; is it of another layout?")
    return value


def _points(value: Any, where: str) -> npt.NDArray[np.float64]:
    """Return (V, 2) finite numbers."""
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
    """Return the file with that name, or with another picture suffix: annotations say .png where a .jpg lies."""
    wished = folder / Path(named).name
    for path in (wished, *(wished.with_suffix(suffix) for suffix in sorted(PICTURE_SUFFIXES))):
        if path.is_file():
            return path
    raise MissingPicture(f"{wished} is named by {where} but is not there; is the download complete?")
