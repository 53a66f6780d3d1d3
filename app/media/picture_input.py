"""Which picture stands in a picture box with a choice of bands: the file that was uploaded, not what is shown of it.

A browser shows neither TIFFs nor all of 16 bits. So the box shows a picture of the file, and the file stays behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component
from PIL import Image

from app.collections import AppState
from app.media.images import keep, smaller, tile_picture, uploaded_as
from app.media.scene_input import BANDS_OF_A_TILE, SceneRef, bands_text, needs_preview, told_bands
from app.server.events import INTERNAL, UPLOAD, sentence
from app.server.upload_folder import Upload, own_folder
from lrsclip.errors import PictureError
from lrsclip.io.bands import bands_of
from lrsclip.tiles.base import summary_of_tile


@dataclass(frozen=True)
class PictureBox:
    """The box; `ref` holds the `SceneRef` of an upload, and `bands` those that are to be shown.

    Events that read it must pass `preprocess=False`.
    """

    image: gr.Image
    ref: gr.State
    bands: gr.Textbox

    @classmethod
    def lay_out(cls, elem_id: str, **settings: Any) -> PictureBox:
        """Put the box on the page, and refuse files in it that are no picture."""
        picture = gr.Image(
            sources=["upload", "clipboard"], type="pil", format="png", elem_classes="upload-frame", elem_id=elem_id,
            **settings,
        )  # fmt: skip
        box = cls(picture, gr.State(None), bands_text(f"{elem_id}-bands"))

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
        """Components that events with the picture read, and that `with_tile` gives values for."""
        return [self.image, self.ref, self.bands]

    def with_tile(self, state: AppState, tile_id: str) -> dict[Block, Any]:
        """Return the values that put a tile into the box.

        Raises:
            TileSourceError: there is no such tile.
            PictureError: its file is gone or damaged.
        """
        shown = told_bands(summary_of_tile(state.source, tile_id))
        return {self.image: tile_picture(state, tile_id), self.ref: None, self.bands: shown}

    def read(self, values: dict[Block, Any]) -> tuple[Image.Image, str]:
        """Read the picture in the box, and say which bands of it are shown.

        Args:
            values: of `parts`, by component.

        Raises:
            PictureError: there is no picture, the file is none, or the bands are not there.
        """
        picture, ref, bands = values[self.image], values[self.ref], bands_of(values[self.bands] or "")
        if ref is not None and ref.is_of(picture):
            return uploaded_as(ref.upload, bands)
        if bands is not None and picture is not None:
            raise PictureError(BANDS_OF_A_TILE)
        return uploaded_as(picture, None)


def _checked(box: PictureBox, upload: Upload | None) -> dict[Block, Any]:
    """Empty the box if the upload is no picture; show as PNG what browsers show otherwise, or not at all."""
    nothing: dict[Block, Any] = {box.image: None, box.ref: None, box.bands: told_bands("")}
    if upload is None:
        return nothing
    try:
        picture, summary = uploaded_as(upload, None)
    except PictureError as error:
        gr.Warning(sentence(error))
        return nothing
    if not needs_preview(upload, summary):
        return {box.ref: SceneRef(str(upload.path), upload=upload), box.bands: told_bands(summary)}
    path = str(keep(smaller(picture), own_folder()))
    return {box.image: path, box.ref: SceneRef(path, upload=upload), box.bands: told_bands(summary)}


def _in_other_bands(box: PictureBox, values: dict[Block, Any]) -> dict[Block, Any]:
    """Show an upload in the bands that were typed; leave the box as it is where that cannot be."""
    ref = values[box.ref]
    same: dict[Block, Any] = {box.bands: gr.skip()}
    if ref is None or not ref.is_of(values[box.image]):
        return same
    try:
        if (bands := bands_of(values[box.bands] or "")) == ref.bands:
            return same
        picture, summary = uploaded_as(ref.upload, bands)
    except PictureError as error:
        gr.Warning(sentence(error))
        return same
    again = ref.shown_as(str(keep(smaller(picture), own_folder())), bands)
    return {box.image: again.picture_path, box.ref: again, box.bands: gr.Textbox(info=f"Shown: {summary}.")}
