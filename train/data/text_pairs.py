"""The two texts of a picture: a short one (one sentence) and a long one (a paragraph).

Human captions come one sentence at a time; a long text is composed of a picture's distinct sentences in random order,
which keeps the model from leaning on the first sentence alone. A class is put into words from the bank
(`train.data.wording`), anew in each showing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from lrsclip.models.tokenizer import words
from train.data.directions import MIRRORS, may_be_mirrored, mirrored, names_direction
from train.data.records import Record
from train.data.truth import Known, Said
from train.data.wording.bank import Concept, concept_of, concepts, draw_phrase, mentioned_in, vocabulary_of
from train.data.wording.paraphrase import paraphrased
from train.recipes import ShortText

_TEMPLATES = (
    "An aerial photograph of {}",
    "A satellite image of {}",
    "This scene shows {}",
    "There is {} in the picture",
    "Seen from above, this is {}",
    "The picture was taken over {}",
    "The main land cover here is {}",
    "A remote sensing image that shows {}",
)
_LONG_TEMPLATE_SENTENCES = 3
_WIDER_SHARE, _AS_SENTENCE_SHARE = 0.15, 0.4
_Part = TypeVar("_Part")
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class TextPair:
    """A short and a long text of one picture.

    Attributes:
        short: a sentence or two.
        long: several.
        false: the long text with one claim made false; empty where none is known.
        turn: the symmetry of the square by which the picture is to be turned for the texts to be true; None: any that
            they allow.
        false_turn: one that makes the long text false; None where none is known.
        short_says: what the short text says, before any of its words is changed.
        long_says: what the long text says.
        known: what is known of the picture, as it is turned.
    """

    short: str
    long: str
    false: str = ""
    turn: int | None = None
    false_turn: int | None = None
    short_says: Said = field(default_factory=Said)
    long_says: Said = field(default_factory=Said)
    known: Known = field(default_factory=Known)

    @property
    def names_direction(self) -> bool:
        """Whether turning the picture could make a text false."""
        return names_direction(self.short) or names_direction(self.long)


def sentence(caption: str) -> str:
    """Return a caption as a sentence: first letter upper case, one full stop, no space before it."""
    text = " ".join(caption.split()).rstrip(" .;,")
    return text[:1].upper() + text[1:] + "."


def sentences_of(record: Record) -> list[str]:
    """List the distinct sentences on a picture, in the order given (a picture with a class only: templates)."""
    given = record.captions or (class_sentences(record.label) if record.label else ())
    distinct: dict[str, str] = {}
    for caption in given:
        if caption.strip(" .;,"):
            distinct.setdefault(sentence(caption).lower(), sentence(caption))
    return list(distinct.values())


def class_sentences(label: str) -> tuple[str, ...]:
    """Return sentences that say no more than the class."""
    return tuple(sentence(template.format(label)) for template in _TEMPLATES)


@dataclass(frozen=True)
class Wording:
    """How the texts of a showing vary.

    Attributes:
        word_drop: chance for each word to be left out.
        class_sentence: chance that the long text of a picture with captions and a class names the class as well.
        class_text: chance that the short text of such a picture is a wording of its class.
        paraphrase: chance for each word of a caption that has synonyms to be replaced by one.
        short_text: see `Recipe`.
    """

    word_drop: float = 0.0
    class_sentence: float = 0.0
    class_text: float = 0.0
    paraphrase: float = 0.0
    short_text: ShortText = "sentence"


def compose(record: Record, random: np.random.Generator, wording: Wording = Wording()) -> TextPair:
    """Draw the two texts of a picture for one showing.

    Args:
        record: must have captions, texts or a label.
        random: decides which sentence is the short text and the order of the long one.
        wording: how the texts vary.
    """
    if record.texts:
        return _compose_written(record, random, wording)
    concept = concept_of(record.label) if record.label else None
    if not record.captions:
        assert concept is not None
        return _compose_class(concept, random, wording)
    sentences = sentences_of(record)
    known = _known(sentences, concept)
    told = [(text, _said(text)) for text in sentences]
    if concept is not None and random.random() < wording.class_sentence:
        told.append((sentence(draw_phrase(concept, random)), _says_class(concept)))
    order = random.permutation(len(told))
    if wording.short_text == "subset":
        chosen = _subset_behind_first([told[i] for i in order], random)
    else:
        chosen = [told[int(random.integers(len(told)))]]
    if concept is not None and random.random() < wording.class_text:
        chosen = [(_class_text(concept, random), _says_class(concept))]
    return _pair(chosen, [told[i] for i in order], known, random, wording)


def _compose_class(concept: Concept, random: np.random.Generator, wording: Wording) -> TextPair:
    """Draw the texts of a picture of which nothing but its class is known: short and long, each in other words."""
    wider = [concepts()[name] for name in sorted(concept.wider)]
    about = wider[int(random.integers(len(wider)))] if wider and random.random() < _WIDER_SHARE else concept
    short = [(_class_text(about, random), _says_class(about))]
    many = int(random.integers(2, _LONG_TEMPLATE_SENTENCES + 1))
    long = [(sentence(draw_phrase(concept, random)), _says_class(concept)) for _ in range(many)]
    return _pair(short, long, _known((), concept), random, wording)


def _class_text(concept: Concept, random: np.random.Generator) -> str:
    """Draw a wording of a class as somebody types it: as a sentence, or without capital and full stop."""
    phrase = draw_phrase(concept, random)
    return sentence(phrase) if random.random() < _AS_SENTENCE_SHARE else phrase


_Told = tuple[str, Said]  # a sentence, and what it says


def _pair(
    short: list[_Told], long: list[_Told], known: Known, random: np.random.Generator, wording: Wording
) -> TextPair:
    def put(told: list[_Told]) -> str:
        text = " ".join(said for said, _ in told)
        return _thin(paraphrased(text, random, wording.paraphrase), random, wording.word_drop)

    return TextPair(put(short), put(long), short_says=_all_of(short), long_says=_all_of(long), known=known)


def _said(text: str) -> Said:
    return Said(frozenset({text.lower()}))


def _says_class(concept: Concept) -> Said:
    return Said(frozenset({concept.identity}), (concept,))


def _all_of(told: list[_Told]) -> Said:
    each = {concept.name: concept for _, said in told for concept in said.concepts}
    return Said(frozenset().union(*(said.statements for _, said in told)), tuple(each.values()))


def _known(sentences: Iterable[str], concept: Concept | None) -> Known:
    texts = frozenset(text.lower() for text in sentences)
    wide = () if concept is None else (concept, *(concepts()[name] for name in concept.wider))
    return Known(texts | {one.identity for one in wide}, concept, mentioned_in(texts))


def _compose_written(record: Record, random: np.random.Generator, wording: Wording) -> TextPair:
    """Draw one of the pairs that were written for a picture; where it names directions, for the picture as turned."""
    short, long = record.texts[int(random.integers(len(record.texts)))]
    if wording.short_text == "subset":
        short = " ".join(_subset_behind_first(_SENTENCE_ENDS.split(long), random))
    pair, turn = TextPair(short, long), None
    if pair.names_direction:
        turn = int(random.choice(list(MIRRORS))) if may_be_mirrored(short) and may_be_mirrored(long) else 0
        short, long = (mirrored(text, *MIRRORS[turn]) for text in (short, long))
    concept = concept_of(record.label) if record.label else None
    return TextPair(
        _thin(short, random, wording.word_drop),
        _thin(long, random, wording.word_drop),
        turn=turn,
        short_says=_said(short),
        long_says=_said(long),
        known=_known((short, long), concept),
    )


def compose_exact(
    record: Record, random: np.random.Generator, most: int, word_drop: float = 0.0, *, twins: bool = True
) -> TextPair:
    """Draw the texts of a picture whose description is exact: parts of it, and one of them with a false claim.

    Args:
        record: an exact one.
        random: decides what is said, in which order, and what is made false.
        most: sentences of the long text at most.
        word_drop: chance for each word of the short text to be left out; the long one and its false twin stay whole.
        twins: whether there is a text with a false claim, or a turn that makes the long text false, at all.

    Returns:
        Texts that are true of the picture as turned by `turn`, which is drawn as well: were it always 0, a picture
        turned by `false_turn` could be told by its shadows, and nobody would have to read where things are.
    """
    caption, sentences = record.captions[0], record.captions[1:] or record.captions
    order = random.permutation(len(sentences))[: int(random.integers(min(2, most), most + 1))].tolist()
    told = {at: sentences[at] for at in order}
    false = ""
    if twins and record.false:
        number, wrong = record.false[int(random.integers(len(record.false)))]
        if number - 1 not in told:  # say the true sentence in place of the last one
            told.pop(order[-1])
            told = {number - 1: sentences[number - 1]} | told
        false = " ".join((told | {number - 1: wrong}).values())
    few = random.permutation(len(sentences))[: int(random.integers(1, 3))]
    is_caption = bool(random.random() < 0.4)
    short = caption if is_caption else " ".join(sentences[at] for at in few)
    long = " ".join(told.values())
    turn = int(random.choice(list(MIRRORS)))
    changing = [by for by, axes in MIRRORS.items() if mirrored(long, *axes) != long]
    false_turn = turn ^ int(random.choice(changing)) if twins and changing else None  # the four form a group under xor
    short, long, false = (mirrored(text, *MIRRORS[turn]) for text in (short, long, false))

    def says(texts: Iterable[str]) -> frozenset[str]:
        return frozenset(mirrored(text, *MIRRORS[turn]).lower() for text in texts)

    return TextPair(
        _thin(short, random, word_drop),
        long,
        false,
        turn,
        false_turn,
        Said(says([caption] if is_caption else [sentences[at] for at in few])),
        Said(says(told.values())),
        Known(says(record.captions)),
    )


def _subset_behind_first(sentences: list[_Part], random: np.random.Generator) -> list[_Part]:
    """Draw some of a long text's sentences, not its first, in random order (DeBias-CLIP); a lone sentence stays."""
    rest = sentences[1:] or sentences
    chosen = random.permutation(len(rest))[: int(random.integers(1, len(rest) + 1))]
    return [rest[i] for i in chosen]


def paragraph(record: Record) -> str:
    """Return the long text in its given order, for evaluation."""
    return " ".join(sentences_of(record))


def vocabulary(records: list[Record]) -> Counter[str]:
    """Count the words of all texts that training can draw from these records."""
    counts: Counter[str] = Counter()
    for record in records:
        for text in (
            *sentences_of(record),
            *(text for _, text in record.false),
            *(text for pair in record.texts for text in pair),
        ):
            counts.update(words(text))
    for label in {record.label for record in records if record.label}:
        counts.update(vocabulary_of(concept_of(label)))
    return counts


def _thin(text: str, random: np.random.Generator, word_drop: float) -> str:
    if not word_drop:
        return text
    parts = text.split()
    kept = [p for p, keep in zip(parts, random.random(len(parts)) >= word_drop, strict=True) if keep]
    return " ".join(kept) if kept else text
