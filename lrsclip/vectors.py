"""Vectors of a model, without the model: of length one, and computed in which numbers. Nothing here brings torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_MIN_LENGTH = 1e-12  # so that a vector of zeros stays one


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """L2-normalize vectors (..., D) to float32; stored as float16 in an index, they are a little longer or shorter."""
    exact = vectors.astype(np.float32)
    exact /= np.maximum(np.linalg.norm(exact, axis=-1, keepdims=True), _MIN_LENGTH)
    return exact


def precision_of(bundle: object) -> str:
    """Name the number type that a model computes in, which its vectors depend on; "" where it has none."""
    return str(getattr(bundle, "dtype", ""))
