"""Changes to pixels: what each does, and that a step's changes depend on the seed and the step alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from lrsclip.models.tokenizer import Tokenizer
from tests.helpers.corpora import made_up_corpus
from train.data.augment import augmented, cropped, draw_changes, recolored
from train.data.batches import Batch, BatchMaker
from train.data.feature_cache import Prepared
from train.data.rows import Rows
from train.distributed import World
from train.settings import Settings


def test_crop_by_hand() -> None:
    """The right lower quarter of a 4 x 4 ramp, stretched to 4 x 4: half a pixel in on each side, steps of a half."""
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    out = cropped(ramp, torch.tensor([[0.5, 0.5, 0.5]]))
    assert torch.allclose(out[0, 0, 0], torch.tensor([1.75, 2.25, 2.75, 3.0]))
    down = cropped(ramp.transpose(2, 3), torch.tensor([[0.5, 0.0, 0.5]]))
    assert torch.allclose(down[0, 0, :, 0], torch.tensor([1.75, 2.25, 2.75, 3.0]))
    assert torch.allclose(cropped(ramp, torch.tensor([[1.0, 0.0, 0.0]])), ramp, atol=1e-6)


def test_colors_by_hand() -> None:
    pixels = torch.tensor([[100.0, 50.0], [100.0, 150.0], [100.0, 200.0]])[None, :, :, None]  # gray; a blue

    def changed(brightness: float, contrast: float, saturation: float) -> torch.Tensor:
        return recolored(pixels, torch.tensor([[brightness, contrast, saturation]]))[0, :, :, 0]

    assert torch.allclose(changed(1, 1, 1), pixels[0, :, :, 0])
    assert torch.equal(changed(1.5, 1, 1)[:, 1], torch.tensor([75.0, 225.0, 255.0]))  # held at white
    gray = 0.299 * 50 + 0.587 * 150 + 0.114 * 200
    assert torch.allclose(changed(1, 1, 0)[:, 1], torch.full((3,), gray))
    assert torch.allclose(changed(1, 0, 1), torch.full((3, 2), (100 + gray) / 2))


def test_drawn_changes_stay_in_bounds() -> None:
    changes = draw_changes(500, np.random.default_rng(0), 0.6, 0.2)
    assert changes is not None
    side, corner = changes.crops[:, 0], changes.crops[:, 1:]
    assert 0.6 <= float((side**2).min()) < 0.62
    assert float((side**2).max()) <= 1
    assert float(corner.min()) >= 0
    assert float((corner + side[:, None]).max()) <= 1 + 1e-6
    assert 0.8 <= float(changes.colors.min()) < 0.81
    assert 1.19 < float(changes.colors.max()) <= 1.2
    assert draw_changes(500, np.random.default_rng(0), 1.0, 0.0) is None
    assert augmented(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), changes[10:14]).shape == (4, 3, 8, 8)


def batches(first_step: int, world: World | None = None) -> list[Batch]:
    """The batches of an epoch of pixels from some step on."""
    corpus = made_up_corpus(24, pixels=True)
    settings = Settings.model_validate(
        {
            "model": "small",
            "trunk": "trained",
            "stages": [{"context_length": 77, "epochs": 1, "long_weight": 0.5}],
            "batch_size": 8,
            "learning_rate": 0.001,
            "weight_decay": 0.1,
            "warmup_steps": 0,
            "class_folder_share": 0.0,
            "crop_scale_min": 0.6,
            "color_jitter": 0.2,
        }
    )
    maker = BatchMaker(corpus.train, list(range(24)), corpus.prepared, settings, world)
    return list(maker.epoch(0, first_step, Tokenizer(77)))


def test_a_step_changes_pictures_the_same_after_a_resume() -> None:
    begun, resumed = batches(0), batches(2)
    assert len(begun) == 3
    for batch in (*begun, *resumed):
        assert batch.changes is not None
    assert begun[0].changes is not None
    assert begun[2].changes is not None
    assert resumed[0].changes is not None
    assert torch.equal(begun[2].changes.crops, resumed[0].changes.crops)
    assert torch.equal(begun[2].changes.colors, resumed[0].changes.colors)
    assert not torch.equal(begun[0].changes.crops, begun[2].changes.crops)
    second = batches(2, World(1, 2))[0]
    assert second.changes is not None
    assert torch.equal(second.changes.crops, begun[2].changes.crops[4:])  # each process has its own pictures' changes


def test_held_pictures_are_those_on_disk() -> None:
    for pixels in (True, False):
        corpus = made_up_corpus(10, pixels=pixels)
        row_of = [9, 7, 5, 3, 1, 0, 2, 4]
        device = torch.device("cpu")
        random = partial(np.random.default_rng, 0)
        held, mapped = (Rows(corpus.prepared, [(row,) for row in row_of], device, hold) for hold in (True, None))
        assert held.held
        assert not mapped.held  # only on a GPU without being asked
        assert held.size_bytes == 8 * (3 * 32 * 32 if pixels else 2 * 4 * 1024)
        wanted = np.array([7, 0, 0, 3])
        assert held.take(wanted, random()).dtype == mapped.take(wanted, random()).dtype
        assert torch.equal(held.take(wanted, random()), mapped.take(wanted, random()))
        assert np.array_equal(held.take(wanted, random()).numpy(), corpus.prepared.rows[[4, 9, 9, 3]])


def test_each_showing_takes_one_of_a_pictures_views() -> None:
    rows = np.arange(10, dtype=np.uint8)[:, None, None, None]
    views = [(0, 5, 6), (1,), (2, 7)]
    taker = Rows(Prepared(rows, is_features=False), views, torch.device("cpu"), hold=None)
    held = Rows(Prepared(rows, is_features=False), views, torch.device("cpu"), hold=True)
    seen: list[set[int]] = [set(), set(), set()]
    for seed in range(40):
        taken = taker.take(np.array([0, 1, 2]), np.random.default_rng(seed)).flatten().tolist()
        assert taken == held.take(np.array([0, 1, 2]), np.random.default_rng(seed)).flatten().tolist()
        for place, row in enumerate(taken):
            seen[place].add(row)
    assert seen == [{0, 5, 6}, {1}, {2, 7}]
