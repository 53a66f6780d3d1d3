"""KPS against the formula, in float64."""

from __future__ import annotations

import pytest
import torch

from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.kps import stretch_positions


def test_stretch_is_the_published_formula() -> None:
    p = torch.randn(77, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    q = stretch_positions(p)
    assert q.shape == (248, 5)
    for i in range(20):
        assert torch.equal(q[i], p[i])
    for i in range(56):
        for r in range(4):
            expected = (1 - r / 4) * p[20 + i] + (r / 4) * p[21 + i]
            assert torch.allclose(q[20 + 4 * i + r], expected, rtol=0, atol=1e-14)
    for r in range(4):
        assert torch.allclose(q[244 + r], p[76] + (r / 4) * (p[76] - p[75]), rtol=0, atol=1e-14)


def test_too_short_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="L >= 22"):
        stretch_positions(torch.zeros(21, 4))


def test_kept_rows_stay_and_stretched_rows_learn() -> None:
    model = DualEncoder(ModelConfig.named("tiny-causal").with_context(77))
    before = model.text.positions(77).detach().clone()
    model.stretch()
    assert model.config.text.context_length == 248
    assert torch.equal(model.text.positions(20), before[:20])
    tokens = torch.randint(1, 1000, (2, 60))
    tokens[:, -1] = 49407
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    after_stretch = model.text.positions(60).detach().clone()
    model.encode_text(tokens).sum().backward()
    optimizer.step()
    assert torch.equal(model.text.positions(20), before[:20])
    assert not torch.equal(model.text.positions(60)[20:], after_stretch[20:])
