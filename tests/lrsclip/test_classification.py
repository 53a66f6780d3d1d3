"""Classification as a program runs it: images of any kind, calibrated answers, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrsclip
from lrsclip import classification
from lrsclip.calibration.labels import MANIFEST_KEY, judge
from lrsclip.classification import ImageFile, classify, classify_each
from lrsclip.errors import PictureError, TextError
from lrsclip.zero_shot.classifier import class_prototypes
from lrsclip.zero_shot.templates import TemplateSet
from tests.helpers.app_parts import draw_tile

LABELS = ["a road", "a harbor", "storage tanks"]
IMAGES = [draw_tile("road", 0), draw_tile("harbour", 1), draw_tile("tanks", 2)]


@pytest.fixture(scope="module")
def bundle() -> lrsclip.LRSCLIP:
    return lrsclip.load("tiny")


def test_answers_are_calibrated_where_the_checkpoint_is(bundle: lrsclip.LRSCLIP) -> None:
    answers = classify(bundle, IMAGES, LABELS)
    assert answers == judge(bundle, IMAGES, class_prototypes(bundle, LABELS))
    assert all(answer.calibration is not None and answer.fits is not None for answer in answers)
    bare = classify(replace(bundle, manifest={}), IMAGES, LABELS)
    assert all(answer.calibration is None and answer.fits is None for answer in bare)
    assert [answer.label for answer in bare] == [answer.label for answer in answers]
    assert [answer.probability for answer in bare] != [answer.probability for answer in answers]


def test_the_best_label_comes_first_and_probabilities_are_shares(bundle: lrsclip.LRSCLIP) -> None:
    for answer in classify(bundle, IMAGES, LABELS, TemplateSet.named("skyscript")):
        assert (answer.label, answer.probability) == (answer.scores[0].label, answer.scores[0].probability)
        assert answer.probability == max(score.probability for score in answer.scores)
        assert sum(score.probability for score in answer.scores) == pytest.approx(1)


def test_images_are_pictures_paths_or_open_files(bundle: lrsclip.LRSCLIP, tmp_path: Path) -> None:
    path = tmp_path / "road.png"
    IMAGES[0].save(path)
    with path.open("rb") as file:
        answers = classify(bundle, [IMAGES[0], path, str(path), file], LABELS)
    assert MANIFEST_KEY in bundle.manifest and len(set(answers)) == 1


def test_a_picture_that_cannot_be_read_stands_in_its_place(
    bundle: lrsclip.LRSCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification, "_BATCH", 2)
    (tmp_path / "bad.png").write_text("no picture")
    IMAGES[0].save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:500])
    with Image.open(tmp_path / "cut.png") as cut:
        given: list[ImageFile] = [tmp_path / "bad.png", *IMAGES, cut]
        answers = list(classify_each(bundle, given, class_prototypes(bundle, LABELS)))
        assert [isinstance(answer, PictureError) for answer in answers] == [True, False, False, False, True]
        for answer, alone in zip(answers[1:4], classify(bundle, IMAGES, LABELS), strict=True):
            assert not isinstance(answer, PictureError) and answer.label == alone.label
            np.testing.assert_allclose(answer.probability, alone.probability, atol=0.02)
        assert "bad.png" in str(answers[0]) and "cut.png" in str(answers[4])
        with pytest.raises(PictureError, match=r"bad\.png"):
            classify(bundle, given, LABELS)


def test_few_images_are_in_memory_at_a_time(bundle: lrsclip.LRSCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "_BATCH_PX", 2 * IMAGES[0].width * IMAGES[0].height)
    taken = 0

    def given() -> Iterator[Image.Image]:
        nonlocal taken
        for image in IMAGES * 2:
            taken += 1
            yield image

    answers = classify_each(bundle, given(), class_prototypes(bundle, LABELS))
    next(answers)
    assert taken == 2
    next(answers), next(answers)
    assert taken == 4
    assert len(list(answers)) == 3


def test_one_thing_in_place_of_a_list_is_refused(bundle: lrsclip.LRSCLIP) -> None:
    for one in ("road.png", Path("road.png"), IMAGES[0]):
        with pytest.raises(PictureError, match="images come as a list"):
            classify(bundle, one, LABELS)  # type: ignore[arg-type]
    for labels, templates, what in (("road", ["{}"], "labels"), (LABELS, "a photo of {}", "templates")):
        with pytest.raises(TextError, match=f"{what} come as a list"):
            classify(bundle, IMAGES, labels, templates)
    with pytest.raises(TextError, match="is given twice"):
        classify(bundle, IMAGES, ["road", "road "])
    assert classify(bundle, [], LABELS) == []
