"""The sentence tower: padding does not matter, KPS keeps short texts, a teacher's layers say here what they said."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from torch import nn

from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from lrsclip.models.kps import stretch_positions
from lrsclip.models.sentence_tower import SentenceTower, text_mask
from lrsclip.models.tokenizer import Tokenizer

TEXTS = ["a river", "wow ! a bridge ! over the river", "many planes are parked near a long terminal building " * 3]


@pytest.fixture(scope="module")
def tower() -> SentenceTower:
    tower = seeded_model(ModelConfig.named("tiny").with_context(77), seed=0).text
    assert isinstance(tower, SentenceTower)
    return tower.eval()


def test_the_mask_holds_a_text_and_nothing_else() -> None:
    #            pad  start  a   "!"  end  pad
    tokens = torch.tensor([[0, 49406, 320, 0, 49407, 0], [49406, 320, 0, 0, 320, 49407]])
    assert text_mask(tokens).tolist() == [[False, True, True, True, True, False], [True] * 6]


@torch.no_grad()
def test_what_stands_behind_a_text_does_not_matter(tower: SentenceTower) -> None:
    tokens = Tokenizer(77)(TEXTS)
    alone = torch.cat([tower(Tokenizer(77)([text])) for text in TEXTS])
    noisy = F.pad(tokens, (0, 77 - tokens.shape[1]))
    noisy[~text_mask(noisy)] = 5  # what no tokenizer writes, and what the mask must hide
    noisy[:, 0] = 49406
    assert torch.allclose(tower(tokens), alone, atol=1e-5)
    assert torch.allclose(tower(noisy), alone, atol=1e-5)


def test_training_and_inference_agree(tower: SentenceTower) -> None:
    tokens = Tokenizer(77)(TEXTS)
    with torch.inference_mode():
        fast = tower(tokens)
    assert torch.allclose(tower(tokens), fast, atol=1e-5)


@torch.no_grad()
def test_a_stretched_tower_reads_a_short_text_as_before() -> None:
    model = seeded_model(ModelConfig.named("tiny").with_context(77), seed=0).eval()
    long = Tokenizer(77)(["a bridge over a river with trees " * 4])
    short = Tokenizer(77)(["a bridge over a river"])
    before, long_before = model.text(short), model.text(long)
    model.stretch()
    assert model.text.context_length == 248
    assert torch.equal(model.text(short), before)  # its positions are all among the twenty that KPS keeps
    assert not torch.allclose(model.text(long), long_before, atol=1e-4)
    assert not model.text.positions.kept.requires_grad and model.text.positions.rest.requires_grad


def test_kept_rows_stay_and_stretched_rows_learn() -> None:
    model = seeded_model(ModelConfig.named("tiny").with_context(77), seed=0)
    model.stretch()
    table = torch.cat([model.text.positions.kept, model.text.positions.rest]).detach()
    model.encode_text(Tokenizer(248)(["a bridge over a river with trees " * 10])).sum().backward()
    assert model.text.positions.kept.grad is None
    grad = model.text.positions.rest.grad
    assert grad is not None and grad[:20].abs().sum() > 0 and grad[150:].abs().sum() == 0
    assert table.shape == stretch_positions(table[:77]).shape


@torch.no_grad()
def test_a_transplanted_tower_says_what_its_teacher_says() -> None:
    transformers = pytest.importorskip("transformers", reason="pip install -r train/requirements.txt")
    from train.init.teacher import Teacher, transplant

    config = ModelConfig.named("tiny").with_context(77).text.model_copy(update={"embed_rank": None})
    torch.manual_seed(0)
    bert = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=4 * config.width,
        )
    ).eval()
    tower = SentenceTower(config, 32).eval()
    transplant(Teacher(_BytePairs(), bert), tower, torch.zeros(config.vocab_size))
    tokens = Tokenizer(77)(TEXTS)
    mask = text_mask(tokens)
    states = bert(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
    weights = mask[:, :, None].float()
    assert torch.allclose(tower.sentence(tokens), (states * weights).sum(1) / weights.sum(1), atol=1e-4)


class _BytePairs:
    """A teacher's tokenizer whose word pieces are CLIP's tokens, so that nothing is lost between the two."""

    cls_token_id, sep_token_id = 49406, 49407

    def __init__(self) -> None:
        self._clip = SimpleTokenizer()

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": self._clip.encode(text)}


def test_a_tower_of_another_shape_is_refused() -> None:
    pytest.importorskip("transformers", reason="pip install -r train/requirements.txt")
    from lrsclip.errors import TrainingError
    from train.init.teacher import Teacher, transplant

    class Shape(nn.Module):
        config = type("Config", (), {"hidden_size": 384, "num_hidden_layers": 12})

    tower = SentenceTower(ModelConfig.named("tiny").with_context(77).text, 32)
    with pytest.raises(TrainingError, match="width and layers"):
        transplant(Teacher(None, Shape()), tower, torch.zeros(49408))
