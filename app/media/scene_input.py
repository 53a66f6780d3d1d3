"""Which scene stands in the scene box: a picture or raster that was uploaded, or a tile; opened by the library.

The box shows a picture that browsers can show. What is localized is the file behind it: a GeoTIFF with its place on
Earth, a tile with what is known of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from lrsclip.io.bands import bands_of
from lrsclip.localize import Allowance, Scene, open_scene
from lrsclip.localize.georeference import georeference_of_corners
from lrsclip.tiles.atlas import AtlasTiles
from lrsclip.tiles.base import summary_of_tile

_HELD_PX = 250_000_000
HELD = WeightedSemaphore(_HELD_PX)
"""Pixels of scenes that are open in memory at the same moment, some 4 bytes each; what is larger waits."""
_NOT_SHOWN = (".tif", ".tiff")  # by browsers
_KEPT_BEFORE = 8
_BANDS_INFO = "Of an upload, for red, green and blue, such as 4, 3, 2; or one for gray."
BANDS_OF_A_TILE = "a tile has the bands of its collection; open that one with ?bands=4,3,2 behind its address (Places)"


@dataclass(frozen=True)
class SceneRef:
    """Reference from the picture in the box to the file or tile behind it.

    Attributes:
        picture_path: of the picture; if the box shows another one, the reference does not count.
        upload: the file that was uploaded; None for a tile.
        spec: address of the tile's collection; empty for an upload.
        tile_id: the tile; empty for an upload.
        bands: bands of the upload that the picture shows; None for its usual ones.
        before: paths of pictures of the same upload in other bands, which a click may still have sent.
    """

    picture_path: str
    upload: Upload | None = None
    spec: str = ""
    tile_id: str = ""
    bands: tuple[int, ...] | None = None
    before: tuple[str, ...] = ()

    def is_of(self, picture: Upload | None) -> bool:
        """Tell whether the reference belongs to the picture in the box."""
        return picture is not None and str(picture.path) in (self.picture_path, *self.before)

    def shown_as(self, picture_path: str, bands: tuple[int, ...] | None) -> SceneRef:
        """Return the reference for another picture of the same upload."""
        before = (*self.before[-_KEPT_BEFORE:], self.picture_path)
        return replace(self, picture_path=picture_path, bands=bands, before=before)


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
    """The box; `ref` holds the `SceneRef` of its picture, and `bands` those of an upload that are to be shown.

    Events that read it must pass `preprocess=False`.
    """

    image: gr.Image
    ref: gr.State
    bands: gr.Textbox

    @classmethod
    def lay_out(cls, **settings: Any) -> SceneBox:
        """Put the box on the page, and refuse files in it that are no scene."""
        picture = gr.Image(
            sources=["upload", "clipboard"], type="pil", format="png", elem_classes="upload-frame", **settings
        )
        box = cls(picture, gr.State(None), bands_text(f"{settings.get('elem_id', 'scene')}-bands"))

        def checked(upload: Upload | None) -> dict[Block, Any]:
            return _checked(box, upload)

        def chosen(values: dict[Block, Any]) -> dict[Block, Any]:
            return _in_other_bands(box, values)

        box.image.upload(checked, box.image, box.parts, show_progress="hidden", **UPLOAD, **INTERNAL)
        gr.on(
            [box.bands.submit, box.bands.blur], chosen, set(box.parts), box.parts, show_progress="hidden",
            **UPLOAD, **INTERNAL,
        )  # fmt: skip
        return box

    @property
    def parts(self) -> list[Component]:
        """Components that events with the scene read, and that `with_tile` gives values for."""
        return [self.image, self.ref, self.bands]

    def with_tile(self, state: AppState, tile_id: str) -> dict[Block, Any]:
        """Return the values that put a tile into the box.

        Raises:
            TileSourceError: there is no such tile.
            PictureError: its file is gone or damaged.
        """
        path = _served(tile_picture(state, tile_id))
        ref = SceneRef(path, spec=state.source.spec, tile_id=tile_id)
        return {self.image: path, self.ref: ref, self.bands: told_bands(summary_of_tile(state.source, tile_id))}


@contextmanager
def opened(
    collections: Collections, picture: Upload | None, ref: SceneRef | None = None, bands: str = ""
) -> Iterator[OpenScene]:
    """Open the scene in a box for as long as the context lasts; errors inside it do not tell where the file lies.

    Args:
        collections: the app's.
        picture: the picture in the box, as the gate let it through.
        ref: the scene behind the picture, if it is known.
        bands: as typed: which of an upload are shown; "" for its usual ones.

    Raises:
        PictureError: there is no picture, the file is none, or the bands are not there.
        TileSourceError: the tile's collection was closed.
    """
    if ref is not None and ref.is_of(picture) and ref.tile_id:
        if bands_of(bands) is not None:
            raise PictureError(BANDS_OF_A_TILE)
        yield of_tile(collections.of(ref.spec), ref.tile_id)
    else:
        upload = ref.upload if ref is not None and ref.is_of(picture) else picture
        with opened_upload(upload, bands_of(bands)) as scene:
            yield scene


@contextmanager
def opened_upload(upload: Upload | None, bands: tuple[int, ...] | None = None) -> Iterator[OpenScene]:
    """Open an uploaded file as a scene, as `opened`.

    Raises:
        PictureError: there is no picture, the file is none, or the bands are not there.
    """
    path = given(upload).path
    with given(upload).open() as file:
        held_px = check_pixels(file)
    try:
        # One that is decoded whole stays in memory as long as it is open, and takes a few copies of itself to open.
        with HELD.of(held_px), _opened_in_turn(path, held_px, bands) as scene:
            scene.stop = STOP.get()
            limits = in_force()
            Allowance(limits.max_windows, limits.max_scene_px).check_size(scene.width_px, scene.height_px)
            yield OpenScene(scene)
    except PictureError as error:
        raise PictureError(str(error).replace(str(path), "the upload")) from error


@contextmanager
def _opened_in_turn(path: Path, held_px: int, bands: tuple[int, ...] | None) -> Iterator[Scene]:
    with DECODING.of(held_px):
        scene = open_scene(path, bands=bands, untrusted=True)
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
    scene = open_scene(picture, georeference=georeference_of_corners(corners, *picture.size))
    scene.summary = summary_of_tile(source, tile_id) or scene.summary
    return OpenScene(scene, px_m=px_m)


def _checked(box: SceneBox, upload: Upload | None) -> dict[Block, Any]:
    """Empty the box if the upload is no scene; show a raster, which browsers cannot, as PNG."""
    nothing: dict[Block, Any] = {box.image: None, box.ref: None, box.bands: told_bands("")}
    if upload is None:
        return nothing
    try:
        with opened_upload(upload) as opened_one:
            scene = opened_one.scene
            summary = scene.summary
            preview = scene.thumbnail(LARGE_PX) if needs_preview(upload, summary) else None
            if scene.place_note:
                gr.Info(scene.place_note)
    except PictureError as error:
        gr.Warning(sentence(error))
        return nothing
    if preview is None:
        return {box.ref: SceneRef(str(upload.path), upload=upload), box.bands: told_bands(summary)}
    path = _served(shrunk(preview, LARGE_PX))
    return {box.image: path, box.ref: SceneRef(path, upload=upload), box.bands: told_bands(summary)}


def _in_other_bands(box: SceneBox, values: dict[Block, Any]) -> dict[Block, Any]:
    """Show an upload in the bands that were typed; leave the box as it is where that cannot be."""
    ref = values[box.ref]
    same: dict[Block, Any] = {box.bands: gr.skip()}
    if ref is None or not ref.is_of(values[box.image]):
        return same
    try:
        bands = bands_of(values[box.bands] or "")
        if bands == ref.bands:
            return same
        if ref.upload is None:
            raise PictureError(BANDS_OF_A_TILE)
        with opened_upload(ref.upload, bands) as opened_one:
            summary, preview = opened_one.scene.summary, opened_one.scene.thumbnail(LARGE_PX)
    except PictureError as error:
        gr.Warning(sentence(error))
        return same
    path = _served(shrunk(preview, LARGE_PX))
    return {box.image: path, box.ref: ref.shown_as(path, bands), box.bands: gr.Textbox(info=_shown(summary))}


def bands_text(elem_id: str) -> gr.Textbox:
    """Build the box in which bands are chosen; its small print says which are shown."""
    return gr.Textbox(label="Bands", placeholder="automatic", info=_BANDS_INFO, max_lines=1, elem_id=elem_id)


def told_bands(summary: str) -> Any:
    """Return the bands' box for another picture: empty, with what the picture shows in its small print."""
    return gr.Textbox("", info=_shown(summary))


def needs_preview(upload: Upload, summary: str) -> bool:
    """Tell whether a browser would show a file otherwise than it is read here, or not at all."""
    return upload.path.suffix.lower() in _NOT_SHOWN or "stretched" in summary


def _shown(summary: str) -> str:
    return f"Shown: {summary}." if summary else _BANDS_INFO


def _served(picture: Image.Image) -> str:
    """Write a picture to a file that Gradio serves and removes in time; so its path is known before it is shown."""
    return str(keep(picture, own_folder()))
