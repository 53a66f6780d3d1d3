"""The Classify page's work: lists typed by hand to class names and templates, and prototypes kept between pictures."""

from __future__ import annotations

from PIL import Image

from app.state import AppState, Recent
from lrsclip.classify import ClassScore, Prototypes, class_prototypes, classify_with
from lrsclip.errors import TextError

MAX_LABELS = 500
MAX_TEMPLATES = 20

# The 30 scene classes of RSICD (and AID), in words.
RSICD_LABELS = (
    "airport", "bare land", "baseball field", "beach", "bridge", "city center", "church", "commercial area",
    "dense residential area", "desert", "farmland", "forest", "industrial area", "meadow", "medium residential area",
    "mountain", "park", "parking lot", "playground", "pond", "port", "railway station", "resort", "river", "school",
    "sparse residential area", "square", "stadium", "storage tanks", "viaduct",
)  # fmt: skip

_PROTOTYPES: Recent[Prototypes] = Recent(16)


def lines_of(text: str) -> tuple[str, ...]:
    """The lines of a box that have something in them, stripped."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def score_classes(state: AppState, picture: Image.Image, labels: str, templates: str) -> list[ClassScore]:
    """Score one picture against class names.

    Args:
        state: the app's.
        picture: what to classify.
        labels: class names, one a line.
        templates: phrasings with {}, one a line.

    Returns:
        One score per class, best first.

    Raises:
        TextError: no or too many names or templates, a name twice, or a template without {}.
        PictureError: the picture cannot be encoded.
    """
    names, phrasings = lines_of(labels), lines_of(templates)
    for what, given, most in (("class names", names, MAX_LABELS), ("templates", phrasings, MAX_TEMPLATES)):
        if len(given) > most:
            raise TextError(f"{len(given)} {what}; give at most {most}")
    prototypes = _PROTOTYPES.get(
        (state.bundle.sha256, names, phrasings), lambda: class_prototypes(state.bundle, names, phrasings)
    )
    return classify_with(state.bundle, [picture], prototypes)[0]
