"""What is shown answers what stands in the boxes, or is dimmed: the script `stale.js` compares the two in the browser.

A run gives the page a new mark beside its answer. The script remembers the boxes as they were when the run began; once
they differ from that, the answer is one to an earlier question and is shown as such, also where the new one was
refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from app.ui.render import render

_NUMBERS = count(1)


@dataclass(frozen=True)
class _Answer:
    """An answer on the page, by the ids of its parts.

    Attributes:
        shown: parts that are dimmed.
        button: begins the run.
        boxes: what the run reads.
    """

    shown: tuple[str, ...]
    button: str
    boxes: tuple[str, ...]


ANSWERS = {
    "classify": _Answer(("bars",), "classify-button", ("classify-picture", "labels", "templates")),
    "classify-all": _Answer(("classified",), "classify-all-button", ("classify-files", "labels", "templates")),
    "localize": _Answer(
        ("map", "files"), "localize-button", ("scene", "sentence", "compare", "scene-exclude", "by-clause", "method",
        "scales", "threshold", "palette"),
    ),
    "learn": _Answer(
        ("learn-stage", "learn-table"), "learn-run",
        ("learn-text", "learn-mode", "learn-by", "learn-kind", "learn-true", "learn-false", "learn-again"),
    ),
    "batch": _Answer(
        ("batch-table", "batch-download"), "batch-button", ("batch-file", "exclude", "area", "least", "hide"),
    ),
}  # fmt: skip


def lay_out(answer: str) -> gr.HTML:
    """Put the mark of one of `ANSWERS` on the page, which a run gives the value of `mark`."""
    return gr.HTML(_rendered(answer, 0), elem_classes="if-any")


def mark(answer: str) -> Markup:
    """Render the mark of an answer that is new."""
    return _rendered(answer, next(_NUMBERS))


def no_answer(answer: str) -> Markup:
    """Render the mark where there is no answer any more."""
    return _rendered(answer, 0)


def _rendered(answer: str, number: int) -> Markup:
    assert answer in ANSWERS
    return render("ui/answered.html", answer=answer, number=number)


SCRIPT = Path(__file__).with_name("stale.js")


def watched() -> dict[str, dict[str, Any]]:
    """Return for the script which parts and boxes belong to which answer."""
    return {name: asdict(one) for name, one in ANSWERS.items()}
