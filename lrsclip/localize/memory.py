"""What was encoded lately: the window embeddings of a few scenes, so that a new sentence costs no picture encoding.

They stay in memory, and those of rasters on disk as well, so that tomorrow's sentence is answered at once too. A scene
that was given up half-way is kept as far as it came.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lrsclip.files import write_atomically
from lrsclip.user_cache import user_cache

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float32]

_STRIP_PX = 512  # rows hashed at once: a 10,000 px scene then needs 15 MB more, not 300


@dataclass(frozen=True)
class SceneKey:
    """What window embeddings depend on: the pixels, the weights with their precision, and how windows are laid."""

    scene_sha256: str
    model_sha256: str
    scales_px: tuple[int, ...]
    method: str = "windows"
    precision: str = ""

    @property
    def file_name(self) -> str:
        """A name that is as unique as the key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest() + ".npy"


class WindowMemory:
    """The embeddings of the scenes used last, least recently used out first; safe to share between threads.

    Args:
        max_bytes: how much all embeddings together may take; a scene of 10,000 x 10,000 px needs about 9 MB.
        folder: where those that are to outlive the process lie; None for `localize` in the user's cache.
        max_disk_bytes: how much those may take.
    """

    def __init__(
        self, max_bytes: int = 128 * 2**20, folder: Path | None = None, max_disk_bytes: int = 512 * 2**20
    ) -> None:
        self._max_bytes, self._max_disk_bytes = max_bytes, max_disk_bytes
        self._folder = folder
        self._kept: OrderedDict[SceneKey, Floats] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where embeddings lie on disk."""
        return self._folder or user_cache() / "localize"

    def get(self, key: SceneKey, *, on_disk: bool = False) -> Floats | None:
        """The (N, D) embeddings kept under `key`, or None; fewer than the scene has windows if it was given up.

        Args:
            key: of the scene.
            on_disk: look on disk too.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        vectors = self._from_disk(key) if on_disk else None
        if vectors is not None:
            self._keep(key, vectors)
        return vectors

    def put(self, key: SceneKey, vectors: Floats, *, on_disk: bool = False) -> None:
        """Keep (N, D) embeddings, on disk too if wished, and drop the oldest while there is too much."""
        self._keep(key, vectors)
        if on_disk:
            self._to_disk(key, vectors)

    def clear(self) -> None:
        """Forget what is in memory; what lies on disk stays."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, key: SceneKey, vectors: Floats) -> None:
        with self._lock:
            self._kept[key] = vectors
            self._kept.move_to_end(key)
            while sum(kept.nbytes for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)

    def _from_disk(self, key: SceneKey) -> Floats | None:
        path = self.folder / key.file_name
        try:
            vectors: Floats = np.load(path, allow_pickle=False)
            path.touch()  # so that it is not the next to go
        except (OSError, ValueError, EOFError):  # not there, or damaged: both mean encoding again
            return None
        return vectors if vectors.ndim == 2 and vectors.dtype == np.float32 else None

    def _to_disk(self, key: SceneKey, vectors: Floats) -> None:
        buffer = io.BytesIO()
        np.save(buffer, vectors, allow_pickle=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / key.file_name, buffer.getbuffer())
            newest_first = sorted(self.folder.glob("*.npy"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            sizes = np.cumsum([path.stat().st_size for path in newest_first])
            for path, size in zip(newest_first, sizes.tolist(), strict=True):
                if size > self._max_disk_bytes:
                    path.unlink(missing_ok=True)
        except OSError as error:  # a full or read-only disk costs time later, not the answer now
            log.warning("cannot keep a scene's embeddings in %s (%s)", self.folder, error)


def scene_sha256(scene: Image.Image) -> str:
    """Hash of an RGB picture's size and pixels; two files with the same pixels agree."""
    digest = hashlib.sha256(f"{scene.mode}:{scene.width}x{scene.height}:".encode())
    for top in range(0, scene.height, _STRIP_PX):
        digest.update(scene.crop((0, top, scene.width, min(top + _STRIP_PX, scene.height))).tobytes())
    return digest.hexdigest()
