"""One step's gradients: in pieces and on several processes they are those of the whole batch on one process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from lrsclip.errors import TrainingError
from lrsclip.models.tokenizer import Tokenizer
from tests.helpers.corpora import made_up_corpus, small_model
from train.data.batches import Batch, BatchMaker
from train.distributed import World
from train.losses import DualTextLoss, dual_text_loss
from train.settings import Settings
from train.step import Objective, add_gradients

pytestmark = pytest.mark.slow

PICTURES = 12
PREPARED = made_up_corpus(PICTURES).prepared
RECIPES = {
    "lrsclip": Objective(long_weight=0.3, half=False),
    "longclip": Objective(long_weight=0.5, pca_components=3, half=False),
    "clip77": Objective(long_weight=0.0, half=False),
}


def batch_of(world: World, exact: bool = False) -> Batch:
    """This process' part of the only batch of a made-up corpus; two texts are the same, or all have a false twin."""
    corpus = made_up_corpus(PICTURES)
    twin = replace(corpus.train[1], captions=corpus.train[0].captions)
    settings = Settings.model_validate(
        {
            "model": "small",
            "trunk": "frozen",
            "stages": [{"context_length": 77, "epochs": 1, "long_weight": 0.5}],
            "batch_size": PICTURES,
            "learning_rate": 0.001,
            "weight_decay": 0.1,
            "warmup_steps": 0,
            "class_folder_share": 0.0,
            "recipe": "lrsclip-debias",
        }
    )
    records = [corpus.train[0], twin, *corpus.train[2:]]
    if exact:
        places = [" in the north-west" * (n % 2) for n in range(PICTURES)]
        parts = [("A field.", f"{n} barns stand{at}.", "A road.") for n, at in enumerate(places)]
        false = [((1, f"{n + 1} barns stand{at}."),) for n, at in enumerate(places)]
        records = [
            replace(r, captions=told, exact=True, false=wrong)
            for r, told, wrong in zip(records, parts, false, strict=True)
        ]
    maker = BatchMaker(records, list(range(PICTURES)), corpus.prepared, settings, world)
    return next(maker.epoch(0, 0, Tokenizer(77)))


def gradients(
    objective: Objective, world: World | None = None, dropout: float = 0.0, exact: bool = False
) -> tuple[DualTextLoss, dict[str, torch.Tensor]]:
    """The loss of the batch and every gradient by name."""
    world = world or World()
    model = small_model(dropout=dropout)
    model.visual.requires_grad_(True)
    loss = add_gradients(model.train(), batch_of(world, exact), PREPARED, objective, world)
    return loss, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Gradients agree to 1e-5 of the largest of each tensor."""
    assert one.keys() == other.keys()
    assert "logit_scale" in one
    for name, gradient in one.items():
        assert (gradient - other[name]).abs().max() <= 1e-5 * max(1e-2, float(gradient.abs().max())), name


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("pieces_of", [5, 1])
def test_pieces_give_the_whole_gradient(name: str, pieces_of: int) -> None:
    loss, whole = gradients(RECIPES[name])
    loss_in_pieces, in_pieces = gradients(replace(RECIPES[name], micro_batch=pieces_of))
    assert torch.allclose(loss.total, loss_in_pieces.total, atol=1e-5)
    assert_same(whole, in_pieces)
    assert any(name.startswith("visual.pool") for name in whole)
    assert any(name.startswith("text.transformer") for name in whole)


@pytest.mark.parametrize("pieces_of", [5, 1])
def test_pieces_give_the_whole_gradient_with_false_texts_and_pictures(pieces_of: int) -> None:
    batch = batch_of(World(), exact=True)
    assert batch.false is not None
    assert batch.false_rows is not None
    assert 0 < batch.has_false_rows.sum() < PICTURES  # some texts name no direction
    loss, whole = gradients(RECIPES["lrsclip"], exact=True)
    loss_in_pieces, in_pieces = gradients(replace(RECIPES["lrsclip"], micro_batch=pieces_of), exact=True)
    assert torch.allclose(loss.total, loss_in_pieces.total, atol=1e-5)
    assert_same(whole, in_pieces)


def test_whole_gradient_is_that_of_the_plain_loss() -> None:
    """Taken at the vectors and sent on by hand, the gradient is the one that autograd finds by itself."""
    objective, batch, model = RECIPES["longclip"], batch_of(World()), small_model().train()
    loss = dual_text_loss(
        model.encode_features(batch.rows.float()),
        model.encode_text(batch.long),
        model.encode_text(batch.short),
        model.scale,
        objective.long_weight,
        batch.true_long,
        batch.true_short,
        objective.pca_components,
    )
    loss.total.backward()
    found, by_step = gradients(objective)
    assert torch.allclose(found.total, loss.total, atol=1e-6)
    assert_same({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, by_step)
    assert batch.true_long.true.sum() > PICTURES  # the twins share their texts


def test_second_encoding_drops_what_the_first_one_did(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    model = small_model(dropout=0.5)
    model.convolutional.pool.inward.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach() == 0))
    add_gradients(model.train(), batch_of(World()), PREPARED, replace(RECIPES["lrsclip"], micro_batch=5), World())
    assert len(seen) == 6  # three pieces, twice
    for first, second in zip(seen[:3], seen[3:], strict=True):
        assert first.any()
        assert torch.equal(first, second)
    assert not torch.equal(seen[0], seen[1])


def _process(rank: int, meeting: str, out: str) -> None:
    """One of two processes: the gradients of each recipe, then a fault on one of them."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    world = World(rank, 2)
    results = {}
    for name, objective in RECIPES.items():
        for micro_batch in (None, 4):
            loss, found = gradients(replace(objective, micro_batch=micro_batch), world)
            results[f"{name} {micro_batch}"] = {"loss": loss.total.detach(), "gradients": found}
    torch.save(results, f"{out}/{rank}.pt")
    fault = "none"
    try:
        with world.together():
            if rank == 1:
                raise TrainingError("a picture of mine is broken")
    except TrainingError as error:
        fault = str(error)
    Path(out, f"{rank}.txt").write_text(fault)
    dist.destroy_process_group()


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    spawn(_process, args=(str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    alone = {name: gradients(objective) for name, objective in RECIPES.items()}
    for rank in (0, 1):
        results = torch.load(tmp_path / f"{rank}.pt")
        assert len(results) == 2 * len(RECIPES)
        for key, result in results.items():
            loss, expected = alone[key.split()[0]]
            assert torch.allclose(result["loss"], loss.total, atol=1e-5), key
            assert_same(expected, result["gradients"])
    assert "another process" in (tmp_path / "0.txt").read_text()
    assert (tmp_path / "1.txt").read_text() == "a picture of mine is broken"


def test_processes_share_a_batch_without_overlap() -> None:
    whole, parts = batch_of(World()), [batch_of(World(rank, 3)) for rank in range(3)]
    assert torch.equal(torch.cat([p.rows for p in parts]), whole.rows)
    assert torch.equal(torch.cat([p.short for p in parts]), whole.short)
    for part in parts:
        assert torch.equal(part.true_short.true, whole.true_short.true)
        assert len(part.rows) == len(part.long) == PICTURES // 3
    assert np.array_equal(whole.true_long.true.diagonal(), np.ones(PICTURES, dtype=bool))
