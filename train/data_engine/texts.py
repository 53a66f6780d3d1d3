"""The two texts of a picture as a writer hands them on, and the gate's findings on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

FindingKind = Literal[
    "unknown object", "wrong count", "wrong place", "wrong color", "too long", "too short", "repetition", "refusal",
    "boilerplate",
]  # fmt: skip
FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)
WriterName = Literal["rules", "llm"]


@dataclass(frozen=True)
class Texts:
    """A short and a long text of one picture."""

    short: str
    long: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a text.

    Attributes:
        kind: the check it failed.
        where: "short" or "long".
        what: the words in question.
        why: one sentence for the writer's next try.
    """

    kind: FindingKind
    where: Literal["short", "long"]
    what: str
    why: str


@dataclass(frozen=True)
class Written:
    """The accepted texts of one variant of a record, and how they came about.

    Attributes:
        key: the record's.
        variant: its number, from 0.
        texts: the accepted texts.
        writer: their writer.
        model: the language model, or "".
        prompt: name and version of the prompt, or "".
        asked: requests that were answered for it.
        rejected: the gate's findings on earlier tries, in order.
        fell_back: why the rules wrote it though a language model was asked for, or "".
    """

    key: str
    variant: int
    texts: Texts
    writer: WriterName
    model: str = ""
    prompt: str = ""
    asked: int = 0
    rejected: tuple[Finding, ...] = ()
    fell_back: str = ""
