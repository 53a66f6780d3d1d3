"""Semantic localization: a heat-map of where in a scene a sentence is true.

The package can be called: `lrsclip.localize(bundle, scene, text)` is the function `localize` in it.
"""

import sys
from types import ModuleType
from typing import Unpack

from lrsclip.calibration.presence import Presence
from lrsclip.io.georeference import GeoReference
from lrsclip.localize.allowance import Allowance
from lrsclip.localize.embedding_cache import EmbeddedScene, WindowMemory
from lrsclip.localize.export import write_geojson, write_geotiff, write_png
from lrsclip.localize.localizer import Heatmap, How, Picture, ScoredWindow, embed_scene, localize, localize_all
from lrsclip.localize.regions import Region, Regions, find_regions
from lrsclip.localize.scene import Scene, open_scene
from lrsclip.localize.score_grid import CellMap, mean_over_windows
from lrsclip.localize.windows import automatic_scales, window_boxes
from lrsclip.protocols import DenseEncoders, Encoders, Method

__all__ = [
    "Allowance",
    "CellMap",
    "DenseEncoders",
    "EmbeddedScene",
    "Encoders",
    "GeoReference",
    "Heatmap",
    "Method",
    "Presence",
    "Region",
    "Regions",
    "Scene",
    "ScoredWindow",
    "WindowMemory",
    "automatic_scales",
    "embed_scene",
    "find_regions",
    "localize",
    "localize_all",
    "mean_over_windows",
    "open_scene",
    "window_boxes",
    "write_geojson",
    "write_geotiff",
    "write_png",
]


class _CallablePackage(ModuleType):
    """A package that is a function too: an import of it puts it where `lrsclip` would have the function."""

    def __call__(self, bundle: Encoders, scene: Picture, text: str, **how: Unpack[How]) -> Heatmap:
        return localize(bundle, scene, text, **how)

    __call__.__doc__ = localize.__doc__


sys.modules[__name__].__class__ = _CallablePackage
