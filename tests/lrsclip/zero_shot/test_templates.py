"""Template sets: what is in them, and that each is averaged as its authors do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lrsclip
from lrsclip.errors import TextError
from lrsclip.zero_shot import templates as prompts
from lrsclip.zero_shot.classifier import class_prototypes
from lrsclip.zero_shot.templates import TemplateSet, template_set_names


class TwoTexts:
    """Encoders that know two texts: one to the right and long, one upward and short."""

    logit_scale = 1.0

    def encode_text(self, texts: list[str], *, normalize: bool = True) -> np.ndarray:
        raw = np.array([{"a road": [3.0, 0.0], "the road": [0.0, 1.0]}[text] for text in texts], np.float32)
        return raw / np.linalg.norm(raw, axis=1, keepdims=True) if normalize else raw

    def encode_image(self, pictures: list[Image.Image]) -> np.ndarray:
        raise AssertionError("templates are texts; no picture is to be encoded")


def test_rs5m_is_35_phrasings_with_3_nouns() -> None:
    given = TemplateSet.named("rs5m")
    assert len(given.templates) == len(set(given.templates)) == 105
    assert all(template.count("{}") == 1 and template.endswith("{}.") for template in given.templates)
    for noun in ("a remote sensing image of", "an aerial image of", "a satellite image of"):
        assert sum(template.startswith(noun) for template in given.templates) == 15
    assert sum("aerial image" in template for template in given.templates) == 35
    assert "a jpeg corrupted aerial image of the {}." in given.templates
    assert given.averaged == "before normalizing"


def test_skyscript_is_two() -> None:
    given = TemplateSet.named("skyscript")
    assert given.templates == ("a satellite photo of {}.", "a satellite image of {}")
    assert given.averaged == "after normalizing"


def test_the_average_is_taken_as_the_set_says() -> None:
    phrasings = ("a {}", "the {}")
    before = TemplateSet("x", "", "before normalizing", phrasings)
    after = TemplateSet("x", "", "after normalizing", phrasings)
    model = TwoTexts()
    long_way = np.array([3, 1]) / math.sqrt(10)  # the mean of (3, 0) and (0, 1), brought to length one
    assert class_prototypes(model, ["road"], before).vectors[0] == pytest.approx(long_way)
    assert class_prototypes(model, ["road"], after).vectors[0] == pytest.approx(np.full(2, math.sqrt(0.5)))
    assert class_prototypes(model, ["road"], phrasings).vectors[0] == pytest.approx(np.full(2, math.sqrt(0.5)))


def test_features_before_normalizing_are_the_same_directions() -> None:
    bundle = lrsclip.random_model()
    unit, raw = bundle.encode_text(["a road", "sea"]), bundle.encode_text(["a road", "sea"], normalize=False)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.01
    np.testing.assert_allclose(raw / lengths, unit, atol=1e-6)


def test_unknown_and_broken_sets_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TextError, match=r"'nosuch'; there are: rs5m, skyscript"):
        TemplateSet.named("nosuch")
    monkeypatch.setattr(prompts, "TEMPLATE_DIR", tmp_path)
    for text in ("{", "[]", json.dumps({"source": "", "averaged": "never", "phrasings": []})):
        (tmp_path / "mine.json").write_text(text)
        assert template_set_names() == ["mine"]
        with pytest.raises(TextError, match=r"mine\.json is no template set"):
            TemplateSet.named("mine")
