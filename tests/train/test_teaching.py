"""The teacher's vectors beside the contrastive loss: drawn by step, learned from, the same in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from lrsclip.errors import DataError, TrainingError
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from tests.helpers.corpora import small_model
from train.fit import teaching
from train.settings import Settings
from train.teaching import Lesson, Teaching, lesson_loss, packed

TEXTS = [f"a field with {n} barns" for n in range(40)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    vectors = F.normalize(torch.randn(len(TEXTS), 48, generator=torch.manual_seed(0)), dim=1)
    save_file(packed(TEXTS, vectors), tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


def test_a_step_draws_the_same_texts_again_and_others_at_another(file: Path) -> None:
    taught = Teaching(file, 8, 0.5, seed=3)
    one, again, other = taught.lesson(0, 1), taught.lesson(0, 1), taught.lesson(1, 1)
    assert len(taught) == len(TEXTS) and one.weight == 0.5
    assert torch.equal(one.tokens, again.tokens) and not torch.equal(one.tokens, other.tokens)
    assert torch.allclose(one.vectors.norm(dim=1), torch.ones(8), atol=1e-3)


def test_learning_from_it_brings_the_tower_to_its_teacher(file: Path) -> None:
    config = ModelConfig.named("tiny").with_context(77)
    text = config.text.model_copy(update={"width": 48, "layers": 1, "heads": 4, "embed_rank": 16})
    model = seeded_model(config.model_copy(update={"text": text}), 0)
    lesson = Teaching(file, 32, 1.0, seed=0).lesson(0, 0)
    optimizer = torch.optim.AdamW(model.text.parameters(), lr=3e-3)
    before = float(lesson_loss(model, lesson).detach())
    for _ in range(30):
        optimizer.zero_grad()
        lesson_loss(model, lesson).backward()
        optimizer.step()
    assert float(lesson_loss(model, lesson).detach()) < before - 0.3
    assert all(p.grad is None for p in model.text.proj.parameters()), "the projection is the pictures' own"


def test_what_does_not_fit_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"kind .sentence. has a teacher"):
        lesson_loss(small_model(), Lesson(torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 4), 1.0))
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    for path in (tmp_path / "bad.safetensors", tmp_path / "nosuch"):
        with pytest.raises(DataError, match=r"teacher_vectors"):
            Teaching(path, 1, 1.0, 0)
    plain = Settings.read("tiny")
    assert teaching(plain, None) is None
    with pytest.raises(DataError, match="go together"):
        teaching(plain, file)
    with pytest.raises(DataError, match="go together"):
        teaching(plain.model_copy(update={"teach_weight": 0.5}), None)
