"""The writer that needs no model: varied, grammatical short and long texts from the same facts that the gate checks.

All randomness follows from the record's key, the variant and the seed, so the same record reads the same on every
machine and in every process.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from lrsclip.errors import LRSCLIPError
from train.data.records import SourceRecord
from train.data.text_pairs import class_sentences, sentence
from train.data_engine.facts.places import PLACES, SIDES
from train.data_engine.facts.statements import Statement, statements
from train.data_engine.gate.gate import LONG_TOKENS, SHORT_TOKENS, Gate, tokens_of
from train.data_engine.lexicon.words import a, counted, is_mass, is_plural, listed, number, plural
from train.data_engine.texts import Texts

_TRIES = 4
_MIN_WORDS = 10  # of a long text; below, it says that it is a picture
_SHORT_OPENINGS = (
    "An aerial image of {}",
    "A satellite view of {}",
    "{} seen from above",
    "An overhead view of {}",
    "{}",
)
_SCENE = (
    "this aerial image shows {}",
    "the picture shows {}",
    "{} seen from above",
    "this is {}",
    "the scene is {}",
    "what can be seen here is {}",
)
_GROUP = ("there {be} {things}", "{things} can be seen", "one sees {things}", "the picture holds {things}")
_GROUP_AT = ("{where} there {be} {things}", "{things} {stand} {where}", "{where}, {things} can be seen")
_SIZES = ("the {detail} {kind} is {where}", "the {detail} of the {kinds} lies {where}")
_ROWS = ("the {kinds} stand in a row", "the {kinds} form a line", "the {kinds} are lined up")
_CLUSTERS = ("the {kinds} stand close together", "the {kinds} form a cluster")
_SCATTERED = ("the {kinds} are scattered over the picture", "the {kinds} are spread over the picture")
_HEADINGS = {
    "down": ("the {kind} is aligned from north to south", "the long side of the {kind} runs from north to south"),
    "across": ("the {kind} is aligned from west to east", "the long side of the {kind} runs from west to east"),
}
_COVERS = ("{part} is covered by {name}", "{name} take{s} {part}", "{name} cover{s} {part}")
_AMOUNTS = (
    (0.9, ("nearly all of the picture", "nearly the whole scene")),
    (0.7, ("most of the picture", "most of the ground")),
    (0.55, ("more than half of the picture", "more than half of the ground")),
    (0.42, ("about half of the picture", "about half of the ground")),
    (0.28, ("about a third of the picture", "about a third of the ground")),
    (0.18, ("about a fifth of the picture", "about a fifth of the ground")),
    (0.07, ("about a tenth of the picture", "a smaller part of the ground")),
    (0.0, ("a small part of the picture", "a little of the ground")),
)
_COUNTED_COVERS = frozenset("building road tree car house field vehicle bush street path rock boat ship".split())
_COVER_NAMES = {"barren": "barren land", "background": "other ground", "clutter": "other ground"}
_FILLERS = ("This is a picture taken from above", "The scene is seen from straight above", "It is an aerial image")
_TAGS = ("the map marks {} here", "{} belongs to the scene", "{} is found here", "there is also {}")


class RulesFailed(LRSCLIPError):
    """A record without a text that passes the gate."""


class RulesWriter:
    """A writer of texts from facts.

    Args:
        gate: every text is put to it before it is handed on.
        seed: another seed, another wording.
    """

    def __init__(self, gate: Gate, seed: int = 0) -> None:
        self.gate, self.seed = gate, seed

    def __call__(self, record: SourceRecord, variant: int = 0) -> Texts:
        """Write the texts of one variant of a record.

        Raises:
            RulesFailed: nothing is known of it, or its captions are no descriptions.
        """
        draw = random.Random(f"{self.seed} {variant} {record.key}")
        told = statements(record.facts)
        captions = _captions(record, variant)
        for tried in range(_TRIES):
            texts = _compose(told, captions, draw, variant)
            found = self.gate(texts, record)
            if not found:
                return texts
            # A caption with words that the gate does not allow (a guess, the same three times) is left out.
            bad = {f.what.lower() for f in found}
            fewer = [c for c in captions if not any(what in c.lower() for what in bad)]
            captions = fewer if len(fewer) < len(captions) else captions[: len(captions) >> (tried + 1)]
            if tried == _TRIES - 2:
                told, captions = told[:3], captions[:1]
        why = found[0].why
        raise RulesFailed(f"{record.key}: nothing that passes the gate can be said of it ({why}); leave it out")


def brief(record: SourceRecord) -> list[str]:
    """Format the checked facts as plain lines, for a language model."""
    draw = random.Random(record.key)
    lines = [_say(s, False, draw) for s in statements(record.facts)]
    return [*lines, *(f'Somebody wrote: "{caption}"' for caption in dict.fromkeys(record.facts.captions))]


def _captions(record: SourceRecord, variant: int) -> list[str]:
    """Return the distinct sentences of the captions, beginning with another one for every variant."""
    distinct: dict[str, str] = {}
    for caption in record.facts.captions:
        if caption.strip(" .;,"):
            text = sentence(caption)
            distinct.setdefault(text.lower(), text)
    texts = list(distinct.values())
    at = variant % len(texts) if texts else 0
    return texts[at:] + texts[:at]


def _compose(told: list[Statement], captions: list[str], draw: random.Random, variant: int) -> Texts:
    compass = draw.random() < 0.6
    short = next((c for c in captions if tokens_of(c) <= SHORT_TOKENS), "") or _short(told, draw)
    rest = captions[:]
    draw.shuffle(rest)
    said = [_say(s, compass, draw) for s in told[:1]]
    others = [_say(s, compass, draw) for s in told[1:]]
    if not captions and len(told) == 1 and told[0].form == "scene":
        more = list(class_sentences(a(told[0].kind)))
        draw.shuffle(more)
        said = more[:3]
    elif captions and said:  # where the class stands among the sentences says nothing
        rest.insert(draw.randrange(len(rest) + 1), said.pop())
    sentences = [*said, *rest, *others]
    if sum(len(text.split()) for text in sentences) < _MIN_WORDS:
        sentences.append(sentence(_FILLERS[draw.randrange(len(_FILLERS))]))
    return Texts(short, " ".join(_fitting(sentences)))


def _fitting(sentences: Sequence[str]) -> Iterator[str]:
    """Yield the sentences as far as they fit, without those that would repeat a phrase for the third time."""
    tokens, phrases, seen = 2, Counter[tuple[str, ...]](), set()
    for text in sentences:
        words = text.lower().replace(".", " ").replace(",", " ").replace("-", " ").split()
        own = list(zip(*(words[n:] for n in range(5)), strict=False))
        size = tokens_of(text) - 2
        if tokens + size > LONG_TOKENS or " ".join(words) in seen or any(phrases[p] >= 2 for p in own):
            continue
        seen.add(" ".join(words))
        phrases.update(own)
        tokens += size
        yield text


def _short(told: list[Statement], draw: random.Random) -> str:
    """Compose one sentence: the scene and its most telling things."""
    scene = next((s.kind for s in told if s.form == "scene"), "")
    groups = [_things(s) for s in told if s.form == "group" and s.kind != scene][: 3 if draw.random() < 0.5 else 2]
    covers = [_cover(s.kind) for s in told if s.form == "share"][: 2 if scene or groups else 3]
    tags = [a(s.kind) for s in told if s.form == "tag"][:3]
    parts = groups or covers or tags
    listing = listed(parts) if parts else ""
    body = f"{a(scene)} with {listing}" if scene and listing else a(scene) if scene else listing or "land"
    return sentence(_SHORT_OPENINGS[draw.randrange(len(_SHORT_OPENINGS))].format(body))


def _cover(kind: str) -> str:
    """Name a land cover, in the plural where it is counted."""
    return plural(kind) if kind in _COUNTED_COVERS else _COVER_NAMES.get(kind, kind)


def _things(s: Statement) -> str:
    """Format number, color and name."""
    name = f"{s.color} {s.kind}" if s.color else s.kind
    if s.count == 1:
        return a(name)
    return counted(s.count, name) if s.count else plural(name)


def _where(place: str, compass: bool) -> str:
    north, page = PLACES[place]
    return north if compass else page


def _say(s: Statement, compass: bool, draw: random.Random) -> str:
    """Format one statement as a sentence."""

    def pick(forms: Sequence[str]) -> str:
        return forms[draw.randrange(len(forms))]

    kinds = plural(s.kind)
    match s.form:
        case "scene":
            text = pick(_SCENE).format(a(s.kind))
        case "group":
            text = _group(s, compass, pick)
        case "parts":
            (cell, first), *more = s.parts
            be = "is" if first == 1 else "are"
            parts = [f"{number(first)} {be} {_where(cell, compass)}"]
            parts += [f"{number(n)} {_where(cell, compass)}" for cell, n in more]
            text = f"of the {kinds}, {listed(parts)}"
        case "size":
            text = pick(_SIZES).format(detail=s.detail, kind=s.kind, kinds=kinds, where=_where(s.place, compass))
        case "arrangement":
            forms = {"row": _ROWS, "cluster": _CLUSTERS, "scattered": _SCATTERED}[s.detail]
            text = pick(forms).format(kinds=kinds)
        case "heading":
            text = pick(_HEADINGS[s.detail]).format(kind=s.kind)
        case "side":
            side = SIDES[s.detail][0 if compass else 1]
            text = f"the {s.kind} lies {side} the {s.other}"
        case "share":
            text = _share(s, compass, pick)
        case "tag":
            text = pick(_TAGS[2:] if is_plural(s.kind) else _TAGS).format(a(s.kind))
            text = text.replace(f"{s.kind} is found", f"{s.kind} are found") if is_plural(s.kind) else text
    return sentence(text)


def _group(s: Statement, compass: bool, pick: Callable[[Sequence[str]], str]) -> str:
    one = s.count == 1 or is_mass(s.kind)
    words = {"be": "is" if one else "are", "stand": "lies" if one else "lie", "things": _things(s)}
    if s.place:
        return pick(_GROUP_AT).format(where=_where(s.place, compass), **words)
    return pick(_GROUP).format(**words)


def _share(s: Statement, compass: bool, pick: Callable[[Sequence[str]], str]) -> str:
    name = _cover(s.kind)
    part = pick(next(parts for least, parts in _AMOUNTS if s.share >= least))
    text = pick(_COVERS).format(part=part, name=name, s="" if is_plural(name) else "s")
    return f"{text}, mainly {_where(s.place, compass)}" if s.place and s.share < 0.9 else text
