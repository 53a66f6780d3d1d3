"""Where a batch's pictures come from: the memory map on disk, or the device's own memory; each in several views."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from train.data.feature_cache import Prepared

_FREE_SHARE = 0.5  # of the GPU's free memory; the rest is the model's
_CHUNK = 1024


class Rows:
    """Prepared pictures by record number."""

    def __init__(
        self, prepared: Prepared, row_of: list[tuple[int, ...]], device: torch.device, hold: bool | None
    ) -> None:
        """Take the rows as they lie, or all at once onto the device.

        Args:
            prepared: all pictures.
            row_of: the rows of `prepared` that belong to each record: one for each of its views.
            device: where they are wanted.
            hold: whether to hold them there; None: on a GPU where they take no more than half of its free memory.
        """
        self._prepared, self._row_of = prepared, np.array([row for rows in row_of for row in rows], dtype=np.int64)
        self._views = np.array([len(rows) for rows in row_of], dtype=np.int64)
        self._first = np.concatenate([[0], np.cumsum(self._views)[:-1]]) if row_of else self._views
        self._held: Tensor | None = None
        if hold is None:
            hold = device.type == "cuda" and self.size_bytes <= _FREE_SHARE * torch.cuda.mem_get_info(device)[0]
        if hold:
            self._held = torch.empty(self._shape, dtype=self._dtype, device=device)
            for start in range(0, len(self._row_of), _CHUNK):
                part = prepared.rows[self._row_of[start : start + _CHUNK]]
                self._held[start : start + _CHUNK] = torch.from_numpy(part)

    @property
    def held(self) -> bool:
        """Whether the pictures lie in the device's memory."""
        return self._held is not None

    @property
    def size_bytes(self) -> int:
        """What the records' pictures take in all their views."""
        return int(np.prod(self._shape)) * self._prepared.rows.itemsize

    @property
    def _shape(self) -> tuple[int, ...]:
        return (len(self._row_of), *self._prepared.rows.shape[1:])

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float16 if self._prepared.is_features else torch.uint8

    def take(self, records: np.ndarray, random: np.random.Generator) -> Tensor:
        """Return the pictures of some records, in that order, on the device if they are held there.

        Args:
            records: their numbers.
            random: decides which view of each is taken.
        """
        places = self._first[records] + random.integers(self._views[records])
        if self._held is not None:
            return self._held[torch.from_numpy(places).to(self._held.device)]
        return torch.from_numpy(np.stack([self._prepared.rows[self._row_of[place]] for place in places]))
