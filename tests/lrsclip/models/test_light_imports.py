"""What the small model has of its own is what open_clip has, to the last bit; and open_clip is not imported for it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip import image_transform
from open_clip import transformer as theirs
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image

from lrsclip.models import transformer as ours
from lrsclip.models.config import ModelConfig
from lrsclip.models.preprocess import build_preprocess
from lrsclip.models.tokenizer import Tokenizer


@pytest.mark.slow
def test_the_small_model_loads_without_the_zoo() -> None:
    seen = "import sys, lrsclip; lrsclip.load('tiny'); print({'torchvision', 'timm', 'open_clip'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from(["tiny", "vit-b-16"]), st.integers(0, 9))
def test_pictures_become_the_same_numbers(width: int, height: int, name: str, seed: int) -> None:
    if max(width, height) > 400 * min(width, height):
        return
    config = ModelConfig.named(name)
    facts = config.preprocess
    transform = image_transform(
        config.image.image_px,
        is_train=False,
        mean=facts.mean,
        std=facts.std,
        interpolation=facts.interpolation,
        resize_mode="shortest",
    )
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8))
    assert torch.equal(build_preprocess(config)(picture), transform(picture))


@cache
def _clip() -> SimpleTokenizer:
    return SimpleTokenizer()


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=120))
def test_texts_become_the_same_tokens(text: str) -> None:
    asked, clip = f"a road {text}", _clip()
    ids = [number for number in clip.encode(asked) if number < clip.sot_token_id]
    assert Tokenizer(248).count(asked) == len(ids) + 2


@pytest.mark.parametrize(("act", "their_act"), [(ours.QuickGELU, theirs.QuickGELU), (torch.nn.GELU, torch.nn.GELU)])
def test_blocks_compute_what_open_clips_do(act: type[torch.nn.Module], their_act: type[torch.nn.Module]) -> None:
    torch.manual_seed(1)
    mine = ours.Transformer(32, 2, 4, 4.0, act)
    torch.manual_seed(1)
    other = theirs.Transformer(32, 2, 4, 4.0, act_layer=their_act)
    assert mine.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(mine.state_dict().values(), other.state_dict().values(), strict=True))
    x = torch.randn(3, 7, 32)
    expected = other(x)
    for block in mine.resblocks[:-1]:
        x = block(x)
    last = mine.resblocks[-1]
    assert isinstance(last, ours.ResidualAttentionBlock)
    assert torch.equal(last(x), expected)
    assert torch.allclose(last.first_token(x), expected[:, 0], atol=1e-5)
