"""The endpoint /classify."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.api_parts import publish
from app.classify import RSICD_LABELS, score_classes
from app.events import UPLOAD
from app.pictures import upload_box, uploaded
from app.state import AppState
from lrsclip.classify import DEFAULT_TEMPLATES


def add_classify(state: AppState) -> None:
    """Add /classify."""

    def classify(picture: dict[str, Any], labels: str, templates: str) -> list[dict[str, Any]]:
        """Score a picture against class names.

        Args:
            picture: The picture to classify.
            labels: Class names, one a line.
            templates: Phrasings with {} where the class name goes, one a line.

        Returns:
            A list of objects with label, score_cos and probability, best first.
        """
        scores = score_classes(state, uploaded(picture), labels, templates)
        return [{"label": s.label, "score_cos": s.score_cos, "probability": s.probability} for s in scores]

    picture = upload_box(label="picture", visible=False)
    labels = gr.Textbox("\n".join(RSICD_LABELS), label="labels", visible=False)
    templates = gr.Textbox("\n".join(DEFAULT_TEMPLATES), label="templates", visible=False)
    publish(classify, [picture, labels, templates], **UPLOAD)
