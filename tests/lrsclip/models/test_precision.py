"""The number type follows the hardware: emulated bfloat16 is several times slower than float32."""

from __future__ import annotations

import pytest
import torch

from lrsclip.models import precision
from lrsclip.models.precision import mixed_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("has_bf16", [False, True])
def test_products_run_in_bfloat16_only_in_hardware(has_bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bf16", lambda: has_bf16)
    rows = torch.ones(2, 2)
    with mixed_precision(CPU):
        assert (rows @ rows).dtype == (torch.bfloat16 if has_bf16 else torch.float32)
    with mixed_precision(CPU, enabled=False):
        assert (rows @ rows).dtype == torch.float32
