"""An answer as files to take home: GeoTIFF, regions as GeoJSON, and a picture with its world file.

They are written where Gradio serves files from, each time into a folder whose name nobody can guess, and go when the
visitor makes new ones, leaves, or makes too many under other names.
"""

from __future__ import annotations

import atexit
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from app.fair_store import FairStore
from app.localize.service import Answer
from app.server.request_log import current_client
from app.server.upload_folder import own_folder
from lrsclip.localize.export import write_geojson, write_geotiff, write_png

_MAX_KEPT = 32  # visitors whose files are kept


class Downloads:
    """The files of each browser session; each client pushes out its own."""

    def __init__(self) -> None:
        self._folders: FairStore[Path] = FairStore(_MAX_KEPT)
        self._lock = Lock()
        atexit.register(self.clear)

    def write(self, session: str, answer: Answer, model: str) -> list[str]:
        """Write an answer's files in place of those that the session had.

        Args:
            session: whose they are.
            answer: what to write.
            model: name of the checkpoint that made the maps.

        Returns:
            Their paths.

        Raises:
            ExportError: the disk is full or may not be written to.
            PictureError: a region lies where its outline cannot be told in degrees.
        """
        folder = own_folder().new_place("file").parent
        try:
            written = [str(path) for path in write_files(folder, answer, model)]
        except BaseException:
            self._remove(folder)
            raise
        with self._lock:  # once they are there: a second call of the session may be writing too
            before = self._folders.pop(session)
            gone = self._folders.put(session, folder, current_client())
        own_folder().trim_made()
        for one in (*gone, *([before] if before is not None else ())):
            self._remove(one)
        return written

    def drop(self, session: str) -> None:
        """Remove a session's files."""
        with self._lock:
            folder = self._folders.pop(session)
        if folder is not None:
            self._remove(folder)

    def clear(self) -> None:
        """Remove all files."""
        with self._lock:
            folders, self._folders = self._folders.values(), FairStore(_MAX_KEPT)
        for folder in folders:
            self._remove(folder)

    @staticmethod
    def _remove(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)


def write_files(folder: Path, answer: Answer, model: str) -> list[Path]:
    """Write `heatmap.tif`, `regions.geojson` and `picture.zip` for each large map; names of the second end in -2.

    Args:
        folder: an empty one.
        answer: what to write.
        model: name of the checkpoint that made the maps.

    Returns:
        Paths of the files.
    """
    written = []
    low_cos, high_cos = answer.range_cos
    for number, finding in enumerate(answer.findings, 1):
        heatmap, more = finding.heatmap, "" if number == 1 else f"-{number}"
        place, text = heatmap.georeference, heatmap.text
        description = f"{text} (left out: {heatmap.exclude})" if heatmap.exclude else text
        tiff, shapes, packed = (folder / name for name in _names(more))
        write_geotiff(tiff, heatmap.cells, place, text=description, method=heatmap.method, model=model)
        write_geojson(shapes, finding.regions, place, description, facts={"method": heatmap.method, "model": model})
        with TemporaryDirectory() as scratch:
            picture = Path(scratch) / f"heatmap{more}.png"
            colors = answer.question.palette
            parts = write_png(picture, heatmap, place, palette=colors, low_cos=low_cos, high_cos=high_cos)
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for part in parts:
                    archive.write(part, part.name)
        written += [tiff, shapes, packed]
    return written


def _names(more: str) -> tuple[str, str, str]:
    return f"heatmap{more}.tif", f"regions{more}.geojson", f"picture{more}.zip"
