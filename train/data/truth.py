"""Which texts of a batch are true of which pictures: by the sentences and classes they say, before any word is changed.

In-batch contrastive learning takes every other picture for a counterexample. Where pictures share captions and classes
that is wrong for many: a text is true of each picture of which all that it says is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from train.data.wording.bank import Concept, may_be_true_of


@dataclass(frozen=True)
class Known:
    """What is known of a picture as it is shown.

    Attributes:
        statements: identities of all that is true of it: its sentences, its class and what is wider.
        concept: its class; None where it has none, so that it may be of any.
        mentioned: names of concepts that its captions speak of.
    """

    statements: frozenset[str] = frozenset()
    concept: Concept | None = None
    mentioned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Said:
    """What a text says.

    Attributes:
        statements: identities of its sentences; a wording of a class has that of the class.
        concepts: the classes among them.
    """

    statements: frozenset[str] = frozenset()
    concepts: tuple[Concept, ...] = ()

    @property
    def is_general(self) -> bool:
        """Whether it says no more than classes."""
        return bool(self.concepts) and len(self.statements) == len(self.concepts)


@dataclass(frozen=True)
class Truth:
    """Truth of N texts of N pictures; row i belongs to picture i, of which it is true.

    Attributes:
        true: (N, N) bool, whether text i is true of picture j.
        unknown: (N, N) bool, whether nothing is known of it; never where it is true.
        general: (N,) bool, whether a text says no more than classes.
    """

    true: Tensor
    unknown: Tensor
    general: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    def to(self, device: torch.device) -> Truth:
        """Return the same on a device."""
        return Truth(self.true.to(device), self.unknown.to(device), self.general.to(device))


def truth_of(said: Sequence[Said], known: Sequence[Known]) -> Truth:
    """Compare N texts with N pictures.

    Args:
        said: of each text.
        known: of each picture.
    """
    count = len(said)
    true, unknown = torch.eye(count, dtype=torch.bool), torch.zeros(count, count, dtype=torch.bool)
    general = torch.tensor([one.is_general for one in said], dtype=torch.bool)
    for row, text in enumerate(said):
        if not text.statements:
            continue
        for column, picture in enumerate(known):
            if row == column or text.statements <= picture.statements:
                true[row, column] = True
            elif text.is_general and all(_is_open(concept, picture) for concept in text.concepts):
                unknown[row, column] = True
    return Truth(true, unknown, general)


def _is_open(concept: Concept, picture: Known) -> bool:
    """Return whether a concept is true of a picture, or may be."""
    if picture.concept is None or concept.identity in picture.statements or concept.name in picture.mentioned:
        return True
    return may_be_true_of(concept, picture.concept)
