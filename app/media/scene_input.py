"""Which scene stands in the scene box: a picture or raster that was uploaded, or a tile; opened by the library.

The box shows a picture that browsers can show. What is localized is the file behind it: a GeoTIFF with its place on
Earth, a tile with what is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component
from PIL import Image

from app.collections import AppState, Collections
from app.media.images import DECODING, LARGE_PX, check_pixels, given, keep, shrunk, tile_picture
from app.server.concurrency import WeightedSemaphore
from app.server.encoder_queue import STOP
from app.server.events import INTERNAL, UPLOAD, sentence
from app.server.settings import in_force
from app.server.upload_folder import Upload, own_folder
from lrsclip.errors import PictureError
from lrsclip.localize import Allowance, Scene, open_scene
from lrsclip.localize.georeference import georeference_of_corners
from lrsclip.tiles.atlas import AtlasTiles

_HELD_PX = 250_000_000
HELD = WeightedSemaphore(_HELD_PX)
"""Pixels of scenes that are open in memory at the same moment, some 4 bytes each; what is larger waits."""
_NOT_SHOWN = (".tif", ".tiff")  # by browsers


@dataclass(frozen=True)
class SceneRef:
    """Reference from the picture in the box to the file or tile behind it.

    Attributes:
        picture_path: of the picture; if the box shows another one, the reference does not count.
        upload: the file that was uploaded; None for a tile.
        spec: address of the tile's collection; empty for an upload.
        tile_id: the tile; empty for an upload.
    """

    picture_path: str
    upload: Upload | None = None
    spec: str = ""
    tile_id: str = ""


@dataclass(frozen=True, eq=False)
class OpenScene:
    """A scene with what is known of it.

    Attributes:
        scene: open for reading.
        truth: what is in it, as `TileTruth.geojson` has it; None where nobody knows.
        px_m: side of a pixel on the ground in meters, where that is known without a place.
    """

    scene: Scene
    truth: Mapping[str, Any] | None = None
    px_m: float | None = None


@dataclass(frozen=True)
class SceneBox:
    """The box; `ref` holds the `SceneRef` of its picture. Events that read it must pass `preprocess=False`."""

    image: gr.Image
    ref: gr.State

    @classmethod
    def lay_out(cls, **settings: Any) -> SceneBox:
        """Put the box on the page, and refuse files in it that are no scene."""
        picture = gr.Image(
            sources=["upload", "clipboard"], type="pil", format="png", elem_classes="upload-frame", **settings
        )
        box = cls(picture, gr.State(None))

        def checked(upload: Upload | None) -> dict[Block, Any]:
            return _checked(box, upload)

        box.image.upload(checked, box.image, box.parts, show_progress="hidden", **UPLOAD, **INTERNAL)
        return box

    @property
    def parts(self) -> list[Component]:
        """Components that events with the scene read, and that `with_tile` gives values for."""
        return [self.image, self.ref]

    def with_tile(self, state: AppState, tile_id: str) -> dict[Block, Any]:
        """Return the values that put a tile into the box.

        Raises:
            TileSourceError: there is no such tile.
            PictureError: its file is gone or damaged.
        """
        path = _served(tile_picture(state, tile_id))
        return {self.image: path, self.ref: SceneRef(path, spec=state.source.spec, tile_id=tile_id)}


@contextmanager
def opened(collections: Collections, picture: Upload | None, ref: SceneRef | None = None) -> Iterator[OpenScene]:
    """Open the scene in a box for as long as the context lasts; errors inside it do not tell where the file lies.

    Args:
        collections: the app's.
        picture: the picture in the box, as the gate let it through.
        ref: the scene behind the picture, if it is known.

    Raises:
        PictureError: there is no picture, or the file is none.
        TileSourceError: the tile's collection was closed.
    """
    if ref is None or picture is None or ref.picture_path != str(picture.path):
        with opened_upload(picture) as scene:
            yield scene
    elif ref.tile_id:
        yield of_tile(collections.of(ref.spec), ref.tile_id)
    else:
        with opened_upload(ref.upload) as scene:
            yield scene


@contextmanager
def opened_upload(upload: Upload | None) -> Iterator[OpenScene]:
    """Open an uploaded file as a scene, as `opened`.

    Raises:
        PictureError: there is no picture, or the file is none.
    """
    path = given(upload).path
    with given(upload).open() as file:
        held_px = check_pixels(file)
    try:
        # One that is decoded whole stays in memory as long as it is open, and takes a few copies of itself to open.
        with HELD.of(held_px), _opened_in_turn(path, held_px) as scene:
            scene.stop = STOP.get()
            limits = in_force()
            Allowance(limits.max_windows, limits.max_scene_px).check_size(scene.width_px, scene.height_px)
            yield OpenScene(scene)
    except PictureError as error:
        raise PictureError(str(error).replace(str(path), "the upload")) from error


@contextmanager
def _opened_in_turn(path: Path, held_px: int) -> Iterator[Scene]:
    with DECODING.of(held_px):
        scene = open_scene(path, untrusted=True)
    with scene:
        yield scene


def of_tile(state: AppState, tile_id: str) -> OpenScene:
    """Open a tile as a scene: at its place on Earth if its source knows it; on the rendered landscape with its truth.

    Raises:
        TileSourceError: there is no such tile.
        PictureError: its file is gone or damaged.
    """
    picture, source, ground_m = tile_picture(state, tile_id), state.source, state.index.tile(tile_id).ground_m
    px_m = None if ground_m is None else ground_m / picture.width
    if isinstance(source, AtlasTiles):  # in mid-ocean, where nothing is: it is shown in pixels
        return OpenScene(open_scene(picture), source.truth(tile_id).geojson(), px_m)
    corners = source.tile(tile_id).footprint_lonlat or ()
    return OpenScene(open_scene(picture, georeference=georeference_of_corners(corners, *picture.size)), px_m=px_m)


def _checked(box: SceneBox, upload: Upload | None) -> dict[Block, Any]:
    """Empty the box if the upload is no scene; show a raster, which browsers cannot, as PNG."""
    nothing: dict[Block, Any] = {box.image: None, box.ref: None}
    if upload is None:
        return nothing
    try:
        with opened_upload(upload) as opened_one:
            scene = opened_one.scene
            preview = scene.thumbnail(LARGE_PX) if upload.path.suffix.lower() in _NOT_SHOWN else None
            if scene.place_note:
                gr.Info(scene.place_note)
    except PictureError as error:
        gr.Warning(sentence(error))
        return nothing
    if preview is None:
        return {box.ref: SceneRef(str(upload.path), upload=upload)}
    path = _served(shrunk(preview, LARGE_PX))
    return {box.image: path, box.ref: SceneRef(path, upload=upload)}


def _served(picture: Image.Image) -> str:
    """Write a picture to a file that Gradio serves and removes in time; so its path is known before it is shown."""
    return str(keep(picture, own_folder()))
