"""Names of land uses, the alternatives that scores are compared with.

They are encoded once for each model. The rendered landscape takes its words from the same list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from lrsclip.vectors import Floats, precision_of

LAND_USES: dict[str, tuple[str, ...]] = {
    kind: tuple(names)
    for kind, names in json.loads(Path(__file__).with_name("land_use.json").read_text(encoding="utf-8")).items()
}
"""Kind of land use -> its names with their article, the usual one first."""
_REFERENCE = "a satellite photo of {}."
_REFERENCES: dict[tuple[str, str], Floats] = {}  # of the few models that a process loads


class Referencing(Protocol):
    """The part of a model that the references need; `lrsclip.LRSCLIP` has it."""

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        ...

    def encode_text(self, texts: list[str], /) -> Floats:
        """Encode texts to L2-normalized vectors, (N, D) float32."""
        ...


def land_use_references(bundle: Referencing) -> Floats:
    """Encode the names of thirty land uses to L2-normalized vectors, (R, D) float32; once for each model."""
    model = bundle.sha256, precision_of(bundle)
    if model not in _REFERENCES:
        names = [name for wordings in LAND_USES.values() for name in wordings]
        _REFERENCES[model] = bundle.encode_text([_REFERENCE.format(name) for name in names])
    return _REFERENCES[model]
