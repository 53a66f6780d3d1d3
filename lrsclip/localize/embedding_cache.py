"""Cache of the window embeddings of the last few scenes, so that a new sentence costs no picture encoding.

They stay in memory, and those of rasters on disk as well, so that tomorrow's sentence is answered at once too. A scene
that was given up half-way is kept as far as it came.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import threading
import zipfile
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.io.atomic import write_atomically
from lrsclip.io.user_cache import FIX, user_cache
from lrsclip.localize.windows import Boxes

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float32]

_STRIP_PX = 512  # rows hashed at once: a 10,000 px scene then needs 15 MB more, not 300


@dataclass(frozen=True)
class SceneKey:
    """The key of window embeddings: the pixels, the weights with their precision, and the layout of the windows."""

    scene_sha256: str
    model_sha256: str
    scales_px: tuple[int, ...]
    method: str = "windows"
    precision: str = ""

    @property
    def file_name(self) -> str:
        """File name, as unique as the key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest() + ".npz"


@dataclass(frozen=True, eq=False)
class EmbeddedScene:
    """A scene's boxes with their vectors, for any number of sentences.

    Attributes:
        boxes_px: (N, 4) int64 left, top, right, bottom.
        vectors: (N, D) float32, L2-normalized; fewer if the work was given up, those of the first boxes.
        reused: whether they were known already.
    """

    boxes_px: Boxes
    vectors: Floats
    reused: bool = False

    @property
    def complete(self) -> bool:
        """Whether every box has its vector."""
        return len(self.vectors) == len(self.boxes_px)

    @property
    def nbytes(self) -> int:
        """Memory of boxes and vectors in bytes."""
        return self.boxes_px.nbytes + self.vectors.nbytes


class WindowMemory:
    """The embeddings of the scenes used last, least recently used out first; safe to share between threads.

    Args:
        max_bytes: most bytes of all embeddings in memory; a scene of 10,000 x 10,000 px needs about 9 MB.
        folder: folder of those that outlive the process; None for `localize` in the user's cache.
        max_disk_bytes: most bytes of those.
    """

    def __init__(
        self,
        max_bytes: int = 128 * 2**20,
        folder: str | os.PathLike[str] | None = None,
        max_disk_bytes: int = 512 * 2**20,
    ) -> None:
        self._max_bytes, self._max_disk_bytes = max_bytes, max_disk_bytes
        self._folder = None if folder is None else Path(folder)
        self._kept: OrderedDict[SceneKey, EmbeddedScene] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Folder of the embeddings on disk."""
        return self._folder or user_cache() / "localize"

    def get(self, key: SceneKey, *, on_disk: bool = False) -> EmbeddedScene | None:
        """Look up a scene's embeddings under `key`; None where there are none.

        Args:
            key: the scene's.
            on_disk: look on disk too.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        embedded = self._from_disk(key) if on_disk else None
        if embedded is not None:
            self._keep(key, embedded)
        return embedded

    def put(self, key: SceneKey, embedded: EmbeddedScene, *, on_disk: bool = False) -> None:
        """Keep a scene's embeddings, on disk too if wished, and drop the oldest while there is too much."""
        self._keep(key, embedded)
        if on_disk:
            self._to_disk(key, embedded)

    def clear(self) -> None:
        """Forget the embeddings in memory; those on disk stay."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, key: SceneKey, embedded: EmbeddedScene) -> None:
        with self._lock:
            self._kept[key] = embedded
            self._kept.move_to_end(key)
            while sum(kept.nbytes for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)

    def _from_disk(self, key: SceneKey) -> EmbeddedScene | None:
        path = self.folder / key.file_name
        try:
            # opened here, because numpy leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                embedded = EmbeddedScene(stored["boxes_px"], stored["vectors"])
            path.touch()  # so that it is not the next to go
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # not there, or damaged: encode again
            return None
        sound = embedded.boxes_px.shape[1:] == (4,) and embedded.vectors.ndim == 2 and embedded.complete
        return embedded if sound else None

    def _to_disk(self, key: SceneKey, embedded: EmbeddedScene) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, boxes_px=embedded.boxes_px, vectors=embedded.vectors)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / key.file_name, buffer.getbuffer())
            newest_first = sorted(self.folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            sizes = np.cumsum([path.stat().st_size for path in newest_first])
            for path, size in zip(newest_first, sizes.tolist(), strict=True):
                if size > self._max_disk_bytes:
                    path.unlink(missing_ok=True)
        except OSError as error:  # a full or read-only disk costs time later, not the answer now
            log.warning("cannot keep a scene's embeddings in %s (%s); %s", self.folder, error, FIX)


def scene_sha256(scene: Image.Image) -> str:
    """Hash an RGB picture's size and pixels; two files with the same pixels agree."""
    digest = hashlib.sha256(f"{scene.mode}:{scene.width}x{scene.height}:".encode())
    for top in range(0, scene.height, _STRIP_PX):
        digest.update(scene.crop((0, top, scene.width, min(top + _STRIP_PX, scene.height))).tobytes())
    return digest.hexdigest()
