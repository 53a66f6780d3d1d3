"""Localization that is stopped or turned away keeps what is done, and goes on from there."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

import lrsclip
from lrsclip.errors import Busy, Cancelled
from lrsclip.localize import WindowMemory, localize, open_scene
from tests.helpers.localize_parts import Counting, Floats, noise


@pytest.fixture(scope="module")
def model() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


def test_stop_ends_the_work_before_the_next_batch(model: lrsclip.LRSCLIP) -> None:
    counting, stop, memory = Counting(model), threading.Event(), WindowMemory()
    with pytest.raises(Cancelled, match="after 4 of"):
        localize(
            counting,
            noise(64, 64),
            "x",
            scales_px=(16,),
            batch_size=4,
            progress=lambda *_: stop.set(),
            stop=stop,
            memory=memory,
        )
    assert counting.encoded == [4]
    counting.encoded.clear()
    whole = localize(counting, noise(64, 64), "y", scales_px=(16,), batch_size=4, memory=memory)
    assert sum(counting.encoded) == whole.windows - 4  # what was finished is not encoded again
    fresh = localize(model, noise(64, 64), "y", scales_px=(16,), batch_size=4, memory=WindowMemory())
    np.testing.assert_allclose(whole.scores_cos, fresh.scores_cos, atol=1e-5)


def test_work_given_up_in_other_steps_is_begun_anew(model: lrsclip.LRSCLIP) -> None:
    stop, memory = threading.Event(), WindowMemory()
    with pytest.raises(Cancelled):
        localize(
            model, noise(64, 64), "x", scales_px=(16,), batch_size=5, stop=stop, memory=memory,
            progress=lambda *_: stop.set(),
        )  # fmt: skip
    whole = localize(model, noise(64, 64), "x", scales_px=(16,), batch_size=4, memory=memory)
    fresh = localize(model, noise(64, 64), "x", scales_px=(16,), batch_size=4, memory=WindowMemory())
    np.testing.assert_allclose(whole.scores_cos, fresh.scores_cos, atol=1e-5)


@dataclass
class OftenBusy(Counting):
    """A shared model with too many visitors: each third call is turned away."""

    calls: int = 0

    def encode_image(self, pictures: list[Image.Image]) -> Floats:
        self.calls += 1
        if self.calls % 3 == 0:
            raise Busy("try again in a moment")
        return super().encode_image(pictures)


def test_who_is_turned_away_goes_on_from_there(model: lrsclip.LRSCLIP) -> None:
    busy, memory = OftenBusy(model), WindowMemory()
    with pytest.raises(Busy, match="try again"):
        localize(busy, noise(64, 64), "x", scales_px=(16,), batch_size=4, memory=memory)
    assert busy.encoded == [4, 4]
    whole = localize(model, noise(64, 64), "x", scales_px=(16,), batch_size=4, memory=WindowMemory())
    counting = Counting(model)
    again = localize(counting, noise(64, 64), "x", scales_px=(16,), batch_size=4, memory=memory)
    assert sum(counting.encoded) == whole.windows - 8
    np.testing.assert_allclose(again.scores_cos, whole.scores_cos, atol=1e-5)


def test_a_batch_whose_caller_has_gone_is_not_read_to_its_end(model: lrsclip.LRSCLIP) -> None:
    stop, read = threading.Event(), 0
    with open_scene(noise(64, 64)) as scene:
        scene.stop, one = stop, scene._read

        def noted(*args: Any) -> Any:
            nonlocal read
            read += 1
            stop.set()
            return one(*args)

        cast(Any, scene)._read = noted
        with pytest.raises(Cancelled):
            localize(model, scene, "x", scales_px=(16,), batch_size=64, memory=WindowMemory())
    assert read == 1
