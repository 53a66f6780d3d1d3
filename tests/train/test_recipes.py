"""Recipes: their texts, their padding, their losses, and which of them a run may go on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lrsclip.errors import TrainingError
from lrsclip.models.text_tower import encode_by_length
from lrsclip.models.tokenizer import Tokenizer
from tests.helpers.corpora import small_model
from train.data.batches import pad_in_front
from train.data.records import Record
from train.data.text_pairs import Wording, compose, sentences_of
from train.evaluation.pca import rebuilt_from_components
from train.losses import dual_text_loss, info_nce
from train.recipes import Curriculum, Recipe, recipe_names
from train.settings import Settings

BASE: dict[str, Any] = {
    "model": "tiny-causal",
    "trunk": "frozen",
    "stages": [
        {"context_length": 77, "epochs": 2, "long_weight": 0.5},
        {"context_length": 248, "epochs": 4, "long_weight": 0.25},
    ],
    "batch_size": 64,
    "learning_rate": 0.001,
    "weight_decay": 0.1,
    "warmup_steps": 2,
    "class_folder_share": 0.0,
}


def test_every_recipe_spends_the_same_epochs() -> None:
    base = Settings.model_validate(BASE)
    assert recipe_names() == ["clip77", "clip77-long", "longclip", "lrsclip", "lrsclip-curriculum", "lrsclip-debias"]
    for name in recipe_names():
        own = base.with_recipe(name)
        assert own.recipe.name == name
        assert own.epochs == base.epochs == 6
        assert {s.context_length for s in own.stages} == ({77} if name.startswith("clip77") else {77, 248})
        assert own.model_dump(exclude={"recipe", "stages"}) == base.model_dump(exclude={"recipe", "stages"})


def test_weights_of_the_recipes() -> None:
    weight = {name: Recipe.named(name).weight_at(0.5, of_stage=0.25) for name in recipe_names()}
    assert weight == {
        "clip77": 0.0,
        "clip77-long": 1.0,
        "longclip": 0.5,
        "lrsclip": 0.25,
        "lrsclip-curriculum": pytest.approx(0.6),
        "lrsclip-debias": 0.25,
    }


def test_curriculum_by_hand() -> None:
    weight = Curriculum()
    assert [weight.at(p) for p in (0, 0.1, 0.2, 0.5, 0.8, 1.0)] == pytest.approx([1, 1, 1, 0.6, 0.2, 0.2])
    assert weight.at(0.35) == pytest.approx(0.2 + 0.8 * (1 + np.cos(np.pi / 4)) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "nosuch"}, r"no recipe 'nosuch'; there are: clip77, "),
        ({"recipe": "clip77"}, "does not stretch"),
        ({"recipe": "longclip", "batch_size": 32}, "keep all of a batch of 32"),
        ({"recipe": {"name": "x", "long_weight": {"hold_until": 0.9}}}, "must come before"),
        ({"recipe": {"name": "../x"}}, "recipe: name:"),
        ({"color_jitter": 0.2}, "needs .trunk.: .trained."),
        ({"micro_batch": 0}, "micro_batch"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(BASE | change))
    with pytest.raises(TrainingError, match=message):
        Settings.read(str(file))


def test_unknown_recipe_is_named() -> None:
    with pytest.raises(TrainingError, match="there are: clip77"):
        Settings.model_validate(BASE).with_recipe("nosuch")


def test_what_a_run_may_go_on_with() -> None:
    begun = Settings.model_validate(BASE)
    written = begun.model_dump_json()
    cures = {"learning_rate": 0.0001, "micro_batch": 8, "hold_on_device": False}
    assert Settings.model_validate(BASE | cures).continues(written)
    for other in ({"weight_decay": 0.2}, {"batch_size": 128}, {"seed": 1}, {"recipe": "longclip"}):
        assert not Settings.model_validate(BASE | other).continues(written)
    assert begun.continues(json.dumps(BASE))  # a run from before the recipes
    assert not begun.continues("{}")


def record(count: int) -> Record:
    """A record of so many sentences."""
    return Record("x", Path("x.jpg"), "train", tuple(f"Thing {n}" for n in range(count)))


@settings(deadline=None)
@given(count=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_subset_leaves_out_the_first_sentence(count: int, seed: int) -> None:
    pair = compose(record(count), np.random.default_rng(seed), Wording(short_text="subset"))
    long, short = (text.removesuffix(".").split(". ") for text in (pair.long, pair.short))
    assert sorted(long) == sorted(s.removesuffix(".") for s in sentences_of(record(count)))
    assert len(set(short)) == len(short) >= 1
    assert set(short) <= set(long[1:] or long)


def test_subset_varies_in_size_and_order() -> None:
    drawn = {compose(record(3), np.random.default_rng(s), Wording(short_text="subset")).short for s in range(200)}
    assert len(drawn) == 3 + 6  # each sentence alone, each ordered pair


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(3, 20), min_size=1, max_size=5),
    spare=st.integers(0, 40),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_front_padding_moves_the_text_as_a_whole(lengths: list[int], spare: int, share: float, seed: int) -> None:
    tokens = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = torch.tensor([49406, *range(1, length - 1), 49407])
    context = max(lengths) + spare
    moved = pad_in_front(tokens, context, share, np.random.default_rng(seed))
    assert moved.shape[1] <= context
    assert moved[:, -1].max() == 49407  # cut behind the text that ends last
    for old, new, length in zip(tokens, moved, lengths, strict=True):
        front = int(new.argmax()) + 1 - length
        assert 0 <= front <= share * (context - length)
        assert torch.equal(new[front : front + length], old[:length])
        assert new.count_nonzero() == old.count_nonzero()


def test_front_padding_reaches_the_whole_context() -> None:
    tokens = Tokenizer(77)(["a road"] * 2000)
    ends = pad_in_front(tokens, 77, 1.0, np.random.default_rng(0)).argmax(dim=1)
    assert set(ends.tolist()) == set(range(3, 77))
    assert torch.equal(pad_in_front(tokens, 77, 0.0, np.random.default_rng(0)), tokens)


@torch.no_grad()
def test_padded_texts_are_encoded_at_their_own_end() -> None:
    tower = small_model().text.eval()
    tokens = Tokenizer(77)(["a road", "two planes near a long terminal", "a pond", "rows of trees by a river"])
    moved = pad_in_front(tokens, 77, 1.0, np.random.default_rng(3))
    padded = F.pad(moved, (0, 77 - moved.shape[1]))
    together = encode_by_length(tower, moved, chunk=2)
    alone = torch.cat([tower(row[None]) for row in padded])
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together, encode_by_length(tower, tokens, chunk=2), atol=1e-3)  # positions do count


def test_pca_by_hand() -> None:
    points = torch.tensor([[1.0, 2.1], [2.0, 1.9], [3.0, 2.1], [4.0, 1.9]])  # nearly on the line y = 2
    rebuilt = rebuilt_from_components(points, 1)
    slope = -0.0398088  # tan(phi), tan(2 phi) = 2 * -0.2 / (5 - 0.04)
    along = (points - torch.tensor([2.5, 2.0])) @ torch.tensor([1.0, slope]) / (1 + slope**2)
    expected = torch.tensor([2.5, 2.0]) + along[:, None] * torch.tensor([1.0, slope])
    assert torch.allclose(rebuilt, expected, atol=1e-3)


def test_pca_is_the_published_one() -> None:
    x = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    mean = x.mean(dim=0)
    _, _, directions = torch.linalg.svd(x - mean, full_matrices=False)
    for kept in (1, 5, 12):
        expected = (x - mean) @ directions[:kept].T @ directions[:kept] + mean
        assert torch.allclose(rebuilt_from_components(x, kept), expected, atol=1e-5)
    assert torch.allclose(rebuilt_from_components(x, 12), x, atol=1e-5)


def test_pca_gradient() -> None:
    x = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rebuilt_from_components(x, 2), (x,))
    few = torch.randn(4, 16, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weight = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    (rebuilt_from_components(few, 8) * weight).sum().backward()  # fewer directions than asked for: nothing is dropped
    assert few.grad is not None
    assert torch.allclose(few.grad, weight, atol=1e-5)


def test_loss_with_pca_and_with_one_branch() -> None:
    image, long, short = (
        F.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(i)), dim=1) for i in range(3)
    )
    scale = torch.tensor(5.0)
    coarse = dual_text_loss(image, long, short, scale, 0.5, pca_components=2)
    assert torch.allclose(coarse.long, info_nce(image, long, scale))
    assert torch.allclose(coarse.short, info_nce(rebuilt_from_components(image, 2), short, scale))
    only_long = dual_text_loss(image, long, None, scale, 1.0)
    assert torch.equal(only_long.total, info_nce(image, long, scale))
    assert only_long.short.isnan()
    only_short = dual_text_loss(image, None, short, scale, 0.0)
    assert torch.equal(only_short.total, info_nce(image, short, scale))
