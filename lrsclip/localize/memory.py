"""What was encoded lately: the window embeddings of a few scenes, so that a new sentence costs no picture encoding."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]

_STRIP_PX = 512  # rows hashed at once: a 10,000 px scene then needs 15 MB more, not 300


@dataclass(frozen=True)
class SceneKey:
    """What window embeddings depend on: the pixels, the weights and the window sizes."""

    scene_sha256: str
    model_sha256: str
    scales_px: tuple[int, ...]


class WindowMemory:
    """The embeddings of the scenes used last, least recently used out first; safe to share between threads.

    Args:
        max_bytes: how much all embeddings together may take; a scene of 10,000 x 10,000 px needs about 9 MB.
    """

    def __init__(self, max_bytes: int = 128 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[SceneKey, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: SceneKey) -> Floats | None:
        """The (N, D) embeddings kept under `key`, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: SceneKey, vectors: Floats) -> None:
        """Keep (N, D) embeddings, and drop the oldest while there is too much."""
        with self._lock:
            self._kept[key] = vectors
            self._kept.move_to_end(key)
            while sum(kept.nbytes for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


def scene_sha256(scene: Image.Image) -> str:
    """Hash of an RGB picture's size and pixels; two files with the same pixels agree."""
    digest = hashlib.sha256(f"{scene.mode}:{scene.width}x{scene.height}:".encode())
    for top in range(0, scene.height, _STRIP_PX):
        digest.update(scene.crop((0, top, scene.width, min(top + _STRIP_PX, scene.height))).tobytes())
    return digest.hexdigest()
