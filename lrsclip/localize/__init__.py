"""Semantic localisation: a heat-map of where in a scene a sentence is true."""

from lrsclip.localize.cells import CellMap, mean_over_windows
from lrsclip.localize.engine import Encoders, Heatmap, ScoredWindow, localize
from lrsclip.localize.memory import WindowMemory
from lrsclip.localize.windows import automatic_scales, window_boxes

__all__ = [
    "CellMap",
    "Encoders",
    "Heatmap",
    "ScoredWindow",
    "WindowMemory",
    "automatic_scales",
    "localize",
    "mean_over_windows",
    "window_boxes",
]
