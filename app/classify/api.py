"""The endpoints /classify and /classify_many."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.classify.label_sets import FIRST_SET
from app.classify.service import Row, judge_many, judge_one
from app.collections import AppState
from app.media.images import tile_picture, upload_box, uploaded
from app.server.api_snippets import file_named
from app.server.endpoint import publish
from app.server.events import UPLOAD
from app.server.upload_folder import Upload
from lrsclip.calibration.labels import Classification
from lrsclip.errors import PictureError
from lrsclip.zero_shot.classifier import DEFAULT_TEMPLATES


def add_classify(state: AppState) -> None:
    """Add /classify and /classify_many."""
    usual, phrasings = FIRST_SET.text, "\n".join(DEFAULT_TEMPLATES)

    def classify(
        picture: Upload | None = None, labels: str = usual, templates: str = phrasings, tile_id: str = ""
    ) -> list[dict[str, Any]]:
        """Score a picture, or a tile of the collection, against class names.

        Args:
            picture: The picture to classify; leave it out to use a tile.
            labels: Class names, one a line.
            templates: Phrasings with {} where the class name goes, one a line.
            tile_id: A tile as /search names it, in place of a picture.

        Returns:
            A list of objects with label, score_cos and probability (calibrated where the checkpoint is), best first.
        """
        if picture is None and not tile_id:
            raise PictureError("there is neither picture nor tile_id; give one of them")
        image = tile_picture(state, tile_id) if tile_id else uploaded(picture)
        return _scores(judge_one(state, image, labels, templates))

    def classify_many(
        pictures: tuple[Upload, ...] | None = None, labels: str = usual, templates: str = phrasings
    ) -> list[dict[str, Any]]:
        """Score up to 32 pictures against class names; a file that is no picture does not lose the others.

        Args:
            pictures: The pictures to classify.
            labels: Class names, one a line.
            templates: Phrasings with {} where the class name goes, one a line.

        Returns:
            An object for each picture, in order: file, problem (empty if it was read), calibrated, fits (false: no
            label fits well; null if the checkpoint cannot tell), and scores as /classify returns them.
        """
        return [_row(row) for row in judge_many(state, pictures, labels, templates)]

    picture = upload_box(label="picture", visible=False)
    labels = gr.Textbox(usual, label="labels", visible=False)
    templates = gr.Textbox(phrasings, label="templates", visible=False)
    tile_id = gr.Textbox("", label="tile_id", visible=False)
    words = {"labels": "harbor\nforest\nstadium"}
    tile = {"tile_id": next(iter(state.tile_ids()), "")}
    publish(classify, [picture, labels, templates, tile_id], words | tile, **UPLOAD)
    pictures = gr.File(label="pictures", file_count="multiple", visible=False)
    files = {"pictures": [file_named("picture.jpg")]}
    publish(classify_many, [pictures, labels, templates], files | words, **UPLOAD)


def _scores(judged: Classification) -> list[dict[str, Any]]:
    return [{"label": s.label, "score_cos": s.score_cos, "probability": s.probability} for s in judged.scores]


def _row(row: Row) -> dict[str, Any]:
    judged = row.judged
    return {
        "file": row.file,
        "problem": row.problem,
        "calibrated": bool(judged and judged.calibration),
        "fits": judged.fits if judged else None,
        "scores": _scores(judged) if judged else [],
    }
