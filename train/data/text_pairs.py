"""The two texts of a picture: a short one (one sentence) and a long one (a paragraph).

Human captions come one sentence at a time; a long text is composed of a picture's distinct sentences in random order,
which keeps the model from leaning on the first sentence alone. Pictures that have only a class get sentences from
templates.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from lrsclip.models.tokenizer import words
from train.data.records import Record
from train.recipes import ShortText

_DIRECTION = re.compile(
    r"\b(left|right|top|bottom|upper|lower|above|below|north\w*|south\w*|east\w*|west\w*|horizontal\w*|vertical\w*)\b"
)
_AXES = (
    (("north", "south"), ("top", "bottom"), ("upper", "lower"), ("above", "below")),
    (("east", "west"), ("left", "right")),
)
_STAYS = r"from (?:north to south|east to west|top to bottom|left to right|above)"  # true both ways, or no direction
MIRRORS = {0: (False, False), 4: (False, True), 6: (True, False), 2: (True, True)}
"""Symmetries of the square that need other words of direction only, by number (see `augment.turn`): whether north and
south change places, and whether east and west do."""
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
    """

    short: str
    long: str
    false: str = ""
    turn: int | None = None
    false_turn: int | None = None

    @property
    def names_direction(self) -> bool:
        """Whether turning the picture could make a text false."""
        return bool(_DIRECTION.search(self.short.lower()) or _DIRECTION.search(self.long.lower()))


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


def compose(
    record: Record,
    random: np.random.Generator,
    word_drop: float = 0.0,
    class_sentence: float = 0.0,
    short_text: ShortText = "sentence",
) -> TextPair:
    """Draw the two texts of a picture for one showing.

    Args:
        record: must have captions or a label.
        random: decides which sentence is the short text and the order of the long one.
        word_drop: chance for each word to be left out.
        class_sentence: chance that a picture with captions and a label gets a sentence that names its class as well.
        short_text: see `Recipe`.
    """
    if record.texts:
        return _compose_written(record, random, word_drop, short_text)
    sentences = sentences_of(record)
    if record.captions and record.label and random.random() < class_sentence:
        sentences.append(class_sentences(record.label)[int(random.integers(len(_TEMPLATES)))])
    order = random.permutation(len(sentences))
    if not record.captions:
        order = order[: int(random.integers(2, _LONG_TEMPLATE_SENTENCES + 1))]
    if short_text == "subset":
        short = _subset_behind_first([sentences[i] for i in order], random)
    else:
        short = sentences[int(random.integers(len(sentences)))]
    long = " ".join(sentences[i] for i in order)
    return TextPair(_thin(short, random, word_drop), _thin(long, random, word_drop))


def _compose_written(record: Record, random: np.random.Generator, word_drop: float, short_text: ShortText) -> TextPair:
    """Draw one of the pairs that were written for a picture; where it names directions, for the picture as turned."""
    short, long = record.texts[int(random.integers(len(record.texts)))]
    if short_text == "subset":
        short = _subset_behind_first(_SENTENCE_ENDS.split(long), random)
    pair, turn = TextPair(short, long), None
    if pair.names_direction:
        turn = int(random.choice(list(MIRRORS)))
        short, long = (mirrored(text, *MIRRORS[turn]) for text in (short, long))
    return TextPair(_thin(short, random, word_drop), _thin(long, random, word_drop), turn=turn)


def compose_exact(record: Record, random: np.random.Generator, most: int, word_drop: float = 0.0) -> TextPair:
    """Draw the texts of a picture whose description is exact: parts of it, and one of them with a false claim.

    Args:
        record: an exact one.
        random: decides what is said, in which order, and what is made false.
        most: sentences of the long text at most.
        word_drop: chance for each word of the short text to be left out; the long one and its false twin stay whole.

    Returns:
        Texts that are true of the picture as turned by `turn`, which is drawn as well: were it always 0, a picture
        turned by `false_turn` could be told by its shadows, and nobody would have to read where things are.
    """
    caption, sentences = record.captions[0], record.captions[1:] or record.captions
    order = random.permutation(len(sentences))[: int(random.integers(min(2, most), most + 1))].tolist()
    told = {at: sentences[at] for at in order}
    false = ""
    if record.false:
        number, wrong = record.false[int(random.integers(len(record.false)))]
        if number - 1 not in told:  # say the true sentence in place of the last one
            told.pop(order[-1])
            told = {number - 1: sentences[number - 1]} | told
        false = " ".join((told | {number - 1: wrong}).values())
    few = random.permutation(len(sentences))[: int(random.integers(1, 3))]
    short = caption if random.random() < 0.4 else " ".join(sentences[at] for at in few)
    long = " ".join(told.values())
    turn = int(random.choice(list(MIRRORS)))
    changing = [by for by, axes in MIRRORS.items() if mirrored(long, *axes) != long]
    false_turn = turn ^ int(random.choice(changing)) if changing else None  # the four form a group under xor
    short, long, false = (mirrored(text, *MIRRORS[turn]) for text in (short, long, false))
    return TextPair(_thin(short, random, word_drop), long, false, turn, false_turn)


def mirrored(text: str, north_south: bool, east_west: bool) -> str:
    """Return what is true of the mirrored picture where a text is true of it: its directions change places."""
    swaps = [pair for axis, wanted in zip(_AXES, (north_south, east_west), strict=True) if wanted for pair in axis]
    other = {a: b for pair in swaps for a, b in (pair, pair[::-1])}
    if not other:
        return text

    def swap(found: re.Match[str]) -> str:
        word = found[0]
        new = other.get(word.lower(), word)
        return new.capitalize() if word[0].isupper() and new != word else new

    # "north-east" and "northeastern" hold two directions
    begin = r"(?:\b|(?<=north)|(?<=south))"
    return re.sub(rf"\b{_STAYS}|{begin}(?:{'|'.join(other)})", swap, text, flags=re.IGNORECASE)


def _subset_behind_first(sentences: list[str], random: np.random.Generator) -> str:
    """Draw some of a long text's sentences, not its first, in random order (DeBias-CLIP); a lone sentence stays."""
    rest = sentences[1:] or sentences
    chosen = random.permutation(len(rest))[: int(random.integers(1, len(rest) + 1))]
    return " ".join(rest[i] for i in chosen)


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
            record.label if record.captions and record.label else "",
        ):
            counts.update(words(text))
    return counts


def _thin(text: str, random: np.random.Generator, word_drop: float) -> str:
    if not word_drop:
        return text
    parts = text.split()
    kept = [p for p, keep in zip(parts, random.random(len(parts)) >= word_drop, strict=True) if keep]
    return " ".join(kept) if kept else text
