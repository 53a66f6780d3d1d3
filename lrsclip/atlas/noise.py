"""Chance that depends on a place and a seed only, so that any part of a region can be made alone, in any order."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

TEXTURE_PX = 1024
"""Side of a repeating texture in its own pixels."""


def rng_at(seed: int, name: str, *place: int) -> np.random.Generator:
    """Seed a generator for one thing at one place (whole numbers)."""
    return np.random.default_rng([seed & 0xFFFFFFFF, zlib.crc32(name.encode()), *(p & 0xFFFFFFFF for p in place)])


def field(
    seed: int, name: str, x: NDArray[np.float64], y: NDArray[np.float64], size_m: float, octaves: int = 3
) -> Field:
    """Compute smooth noise in 0..1 over the endless plane at x, y (one shape), with lumps of about `size_m` meters."""
    key = np.uint32(zlib.crc32(f"{seed} {name}".encode()))
    total = np.zeros(np.shape(x), np.float32)
    weight = 0.0
    for octave in range(octaves):
        step = size_m / 2**octave
        total += np.float32(0.5**octave) * _lattice(
            key + np.uint32(octave * 7919), np.asarray(x) / step, np.asarray(y) / step
        )
        weight += 0.5**octave
    return total / np.float32(weight)


def _lattice(key: np.uint32, x: NDArray[np.float64], y: NDArray[np.float64]) -> Field:
    left, top = np.floor(x), np.floor(y)
    u, v = _smooth(x - left), _smooth(y - top)
    i, j = np.asarray(left, np.int64), np.asarray(top, np.int64)
    near = _hashed(key, i, j) * (1 - u) + _hashed(key, i + 1, j) * u
    far = _hashed(key, i, j + 1) * (1 - u) + _hashed(key, i + 1, j + 1) * u
    mixed: Field = np.asarray(near * (1 - v) + far * v, np.float32)
    return mixed


def _smooth(within: NDArray[np.float64]) -> Field:
    """Ease 0..1 with flat ends, so that neighboring cells join without an edge."""
    share = within.astype(np.float32)
    smooth: Field = share * share * share * (share * (share * 6 - 15) + 10)
    return smooth


def _hashed(key: np.uint32, i: NDArray[np.int64], j: NDArray[np.int64]) -> Field:
    mixed = (i.astype(np.uint32) * np.uint32(0x9E3779B1)) ^ (j.astype(np.uint32) * np.uint32(0x85EBCA77)) ^ key
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        mixed = (mixed ^ (mixed >> np.uint32(shift))) * np.uint32(factor)
    mixed ^= mixed >> np.uint32(16)
    hashed: Field = (mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)
    return hashed


@lru_cache(maxsize=32)
def texture(name: str, lump_px: float, roughness: float = 1.0) -> Field:
    """Make a repeating texture (TEXTURE_PX, TEXTURE_PX), mean 0 and deviation 1, with lumps of up to about `lump_px`.

    Args:
        name: another name gives another texture of the same kind.
        lump_px: size of the largest lumps in pixels.
        roughness: 0 keeps only those, 1 has each finer scale at half the strength, as natural ground has.
    """
    white = rng_at(0, f"texture {name}").standard_normal((TEXTURE_PX, TEXTURE_PX)).astype(np.float32)
    frequency = np.hypot(np.fft.fftfreq(TEXTURE_PX)[:, None], np.fft.rfftfreq(TEXTURE_PX)[None, :])
    cut = 1 / lump_px
    fall = 2.6 - roughness
    gain = np.where(frequency < cut, (frequency / cut) ** 2, (np.maximum(frequency, 1e-9) / cut) ** -fall)
    gain[0, 0] = 0
    shaped = np.fft.irfft2(np.fft.rfft2(white) * gain, s=white.shape).astype(np.float32)
    made: Field = shaped / shaped.std()
    made.setflags(write=False)
    return made
