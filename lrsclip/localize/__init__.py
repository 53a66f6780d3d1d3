"""Semantic localisation: a heat-map of where in a scene a sentence is true."""

from lrsclip.localize.cells import CellMap, mean_over_windows
from lrsclip.localize.engine import EmbeddedScene, Heatmap, ScoredWindow, embed_scene, localize, localize_all
from lrsclip.localize.georeference import GeoReference
from lrsclip.localize.memory import WindowMemory
from lrsclip.localize.parts import DenseEncoders, Encoders, Method
from lrsclip.localize.scene import Scene, open_scene
from lrsclip.localize.windows import automatic_scales, window_boxes

__all__ = [
    "CellMap",
    "DenseEncoders",
    "EmbeddedScene",
    "Encoders",
    "GeoReference",
    "Heatmap",
    "Method",
    "Scene",
    "ScoredWindow",
    "WindowMemory",
    "automatic_scales",
    "embed_scene",
    "localize",
    "localize_all",
    "mean_over_windows",
    "open_scene",
    "window_boxes",
]
