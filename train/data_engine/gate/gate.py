"""The hallucination gate: a text may say no more than the facts of its picture.

Every thing that a text names must be supported by the facts (a class, a marked thing, a land cover, a tag, or a
caption), in the right number, at the right place, in a known color; and the text must be of the right length, say
nothing twice, and be a description and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from lrsclip.models.tokenizer import Tokenizer
from train.data.records import Share, SourceRecord, Thing
from train.data_engine.gate.claim_parser import read
from train.data_engine.gate.claims import Mention
from train.data_engine.gate.cue_words import color_family
from train.data_engine.gate.evidence import Known, Region, center_of
from train.data_engine.lexicon.lexicon import Lexicon, shared_lexicon
from train.data_engine.lexicon.words import counted, number
from train.data_engine.texts import Finding, FindingKind, Texts

SHORT_TOKENS, LONG_TOKENS = 77, 248
_SHORT_WORDS, _LONG_WORDS = 2, 8  # fewer say nothing
_SAME_PHRASE_WORDS, _SAME_PHRASE_TIMES = 5, 3
Where = Literal["short", "long"]

_REFUSAL = re.compile(
    r"\b(?:i'?m sorry|i am sorry|i apologi[sz]e|unfortunately,? i|as an? (?:ai|language|artificial)|"
    r"i (?:can(?:no|')t|am unable|am not able|do not have|don't have|cannot)\b|(?:unable|not able) to (?:view|see|"
    r"describe|process|access|provide|generate|assist)|(?:can(?:no|')t) (?:assist|help|comply|fulfil|provide|view|"
    r"see the image|describe)|no image (?:was|has been|is) (?:provided|attached)|"
    r"(?:please|could you) (?:provide|upload|share)|not (?:able|possible) to (?:determine|describe))",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"(?:^|[.!?:]\s*)here(?: is|'s| are) (?:the|a|an|your|my|two)\b|"
    r"\b(?:(?:short|long|brief|detailed)(?: caption| description| text)?\s*:|"
    r"(?:caption|description|answer|output|response)\s*:|sure[,!]|certainly[,!]|of course[,!]|"
    r"as (?:requested|per your)|let me know|hope this helps|feel free|in (?:conclusion|summary)\b|to sum up|"
    r"(?:offers?|provid(?:es?|ing)|giv(?:es|ing)|presents?|offering) (?:us |the viewer )?(?:a|an) (?:\w+ )?"
    r"(?:glimpse|insight|snapshot|testament)|glimpse into|insights? into|testament to|"
    r"(?:possibly|probably|perhaps|presumably|potentially|likely|seemingly|maybe)\b|"
    r"(?:suggest(?:s|ing|ive)?|indicat(?:es?|ing|ive)|hint(?:s|ing)?|impl(?:y|ies|ying)) (?:at |that |of |a |an |the )|"
    r"(?:might|may|could) (?:be|have|indicate|suggest|serve|well)\b|"
    r"based on the (?:provided |given |listed )?(?:facts|information|data|list)|according to the facts|"
    r"the (?:provided|given|supplied) (?:facts|information|data)|"
    r"overall, (?:this|the) (?:image|picture|scene|photo\w*) "
    r"(?:provides?|offers?|gives?|captures?|conveys?|evokes?|paints?|tells?|showcases?|reflects?)|"
    r"(?:bustling|thriving|vibrant) (?:community|life|economy|hub)|it is (?:possible|likely|clear) that|lifestyle|"
    r"invites? the viewer|captivating|timeless|resilience|mesmeri[sz]ing|stunning|"
    r"sense of (?:community|calm|peace|tranquil\w*|seren\w*|vitality|place|history)|harmonious|breathtaking|"
    r"a story of|stands as a\b|tapestry)|[*#`]{2,}|^\s*[-*#>] |\{|\}|\[|\]|<\w|https?:",
    re.IGNORECASE | re.MULTILINE,
)
# Words that name a thing and something else as well: taken as a thing only where the facts know it.
_WEAK = frozenset(
    {"square", "canopy", "crossing", "crossings", "slide", "goal", "net", "sail", "deck", "peak", "ridge"}
)
_WEAK |= {"industrial", "urban", "residential", "commercial", "neighbourhood", "neighborhood"}
_SENTENCE = re.compile(r"[^.!?]+[.!?]?")
_WORD = re.compile(r"[a-z0-9']+")


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    return Tokenizer(LONG_TOKENS)


@lru_cache(maxsize=65_536)
def tokens_of(text: str) -> int:
    """Count the CLIP tokens of a text, start and end included."""
    return _tokenizer().count(text)


class Gate:
    """A checker of texts against facts.

    Args:
        lexicon: names; that of the repository if not given.
    """

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        self.lexicon = lexicon or shared_lexicon()

    def __call__(self, texts: Texts, record: SourceRecord) -> tuple[Finding, ...]:
        """Check the texts of a record; return the findings, () if there are none."""
        known = Known(record.facts, self.lexicon)
        found = [*self._form("short", texts.short), *self._form("long", texts.long)]
        if texts.short.strip() and texts.short.strip().lower() == texts.long.strip().lower() and len(texts.long) > 60:
            found.append(Finding("repetition", "long", texts.long[:60], "The long text is the short one once more."))
        for where, text in (("short", texts.short), ("long", texts.long)):
            found += self._claims(where, text, known)  # type: ignore[arg-type]
        return tuple(found)

    def _form(self, where: Where, text: str) -> Iterator[Finding]:
        """Check length, repetition, refusals and boilerplate."""
        words = _WORD.findall(text.lower())
        least, most = (_SHORT_WORDS, SHORT_TOKENS) if where == "short" else (_LONG_WORDS, LONG_TOKENS)
        if len(words) < least:
            yield Finding("too short", where, text[:60], f"The {where} text has {len(words)} words; write a sentence.")
            if not words:
                return
        tokens = tokens_of(text)
        if tokens > most:
            yield Finding("too long", where, text[-60:], f"The {where} text has {tokens} tokens; {most} are the limit.")
        if said := _refused(text):
            yield Finding("refusal", where, said, f"{said!r} is no description; describe what the facts list.")
        elif boiler := _BOILERPLATE.search(text):
            what = boiler[0].strip()
            yield Finding("boilerplate", where, what, f"{what!r} does not describe; leave it out.")
        if twice := _repeated(text, words):
            yield Finding("repetition", where, twice, f"{twice!r} is said again; say everything once.")

    def _claims(self, where: Where, text: str, known: Known) -> Iterator[Finding]:
        reading = read(text, self.lexicon)
        for odd in reading.odd:
            if not any(odd in caption.lower() for caption in known.facts.captions):
                yield Finding("unknown object", where, odd, f"The facts know no {odd}; leave them out.")
        for mention in reading.mentions:
            if mention.amount != "none" and not known.supports(mention.kinds):
                if mention.words in _WEAK:
                    continue
                yield Finding(
                    "unknown object", where, mention.words, f"The facts know no {mention.words!r}; leave it out."
                )
            else:
                yield from _checked(mention, where, known, reading.mentions)


def _checked(mention: Mention, where: Where, known: Known, others: tuple[Mention, ...]) -> Iterator[Finding]:
    """Check number, place and color of a thing that is known to be there."""

    def finding(kind: FindingKind, why: str) -> Finding:
        return Finding(kind, where, mention.words, why)

    if why := _wrong_count(mention, known, others):
        yield finding("wrong count", why)
    elif mention.amount != "none":
        for ways in mention.places:
            if why := _wrong_place(mention, ways, known):
                if mention.either and not _wrong_place(replace(mention, kinds=mention.either), ways, known):
                    continue
                yield finding("wrong place", why)
                break
        if any(_out_of_reach(known.things(mention.kinds), ways) for ways in mention.reaches):
            yield finding("wrong place", f"{mention.words!r} does not reach so far.")
        for side, other in mention.sides:
            if why := _wrong_side(mention, side, other, known):
                yield finding("wrong place", why)
                break
    if mention.colors and (why := _wrong_color(mention, known)):
        yield finding("wrong color", why)


def _wrong_count(mention: Mention, known: Known, others: tuple[Mention, ...]) -> str:
    """Explain why the number is wrong; "" where it is right."""
    things, amount, count = known.things(mention.kinds), mention.amount, mention.count
    if amount == "none":
        return _wrong_absence(mention, known)
    if mention.percent is not None and (shares := known.shares(mention.kinds)):
        told = 100 * max(s.share for s in shares)
        if abs(told - mention.percent) > 12:
            return f"The facts say that {mention.words} takes about {told:.0f} percent."
    if not things:
        return _wrong_said(mention, known)
    total, exact = len(things), known.facts.things_complete
    said = {m.count for m in known.mentions(mention.kinds) if m.amount in ("exact", "about")}
    fits = {total, len(known.own_things(mention.kinds)), *said, *_parts(things, mention)}
    many = f"The facts list {counted(total, things[0].kind)}."
    if amount == "exact" and count not in fits and (exact or count < total) and not _adds_up(mention, others, total):
        return many
    if amount == "about" and not any(abs(count - n) <= max(2, 0.25 * n) for n in fits) and (exact or count < total):
        return many
    if amount == "least" and count > total and exact and not known.mentions(mention.kinds):
        return many
    if amount == "part" and exact and count > total:
        return many
    if amount == "plural" and total == 1 and exact and not known.mentions(mention.kinds):
        return "" if known.shares(mention.kinds) else many
    return ""


def _wrong_absence(mention: Mention, known: Known) -> str:
    """Explain why a thing that the text calls absent is there; "" where it may be absent."""
    things = known.things(mention.kinds)
    if mention.definite:  # "no further ships": none but those named before
        return ""
    if mention.places:
        regions = [Region.of(ways).shrunk(0.15) for ways in mention.places]
        inside = sum(1 for t in things if any(r.holds(*center_of(t)) for r in regions))
        return f"The facts do know {mention.words} there." if inside and inside >= 0.3 * len(things) else ""
    direct = (
        things or known.shares(mention.kinds) or [m for m in known.mentions(mention.kinds) if m.kinds & mention.kinds]
    )
    return f"The facts do know {mention.words}." if direct else ""


def _parts(things: list[Thing], mention: Mention) -> set[int]:
    """Count the things in each place and of the colors that the mention speaks of."""
    parts = set()
    for ways in mention.places:
        region = Region.of(ways)
        inside = [t for t in things if region.holds(*center_of(t))]
        parts.add(len(inside))
    if mention.colors:
        parts.add(sum(1 for t in things if color_family(t.color) in mention.colors))
    return parts - {0}


def _adds_up(mention: Mention, others: tuple[Mention, ...], total: int) -> bool:
    """Return whether the text tells the same things apart: "two large ships and a small one"."""
    same = [m for m in others if m.kinds & mention.kinds and m.amount in ("exact", "one", "part") and not m.definite]
    parts = [m.count for m in same if 0 < m.count < total]
    if mention.count == 1 and any(m.count == total for m in same):
        return True
    if mention.count >= total or sum(parts) > total:
        return False
    return mention.definite or sum(parts) == total or any(m.count == total for m in same)


def _wrong_said(mention: Mention, known: Known) -> str:
    """Explain why the number of things that are not marked differs from the captions'; "" where it fits."""
    amount, count, said = mention.amount, mention.count, known.mentions(mention.kinds)
    own = [m for m in said if m.kinds & mention.kinds] or said
    exact = {m.count for m in own if m.amount in ("exact", "about")}
    least = max((m.count for m in own if m.amount == "least"), default=0)
    several = any(m.amount in ("least", "plural") for m in own)
    if amount in ("exact", "about") and count != 1:
        if count in exact or (amount == "about" and any(abs(count - n) <= 2 for n in exact)):
            return ""
        if least and not exact and amount == "about" and count >= least:
            return ""
        told = f" {number(min(exact))}" if exact else " not how many"
        return f"The facts say{told} of {mention.words}."
    one = any(m.amount in ("one", "open") or m.count == 1 for m in own)
    if amount == "exact" and count == 1 and own and not one and (several or min(exact, default=1) > 1):
        return f"The facts say that there is more than one of {mention.words}."
    if amount in ("least", "plural") and own and not several and exact != set() and max(exact) < max(2, count):
        return f"The facts say {number(max(exact))} of {mention.words}."
    return ""


def _wrong_place(mention: Mention, ways: str, known: Known) -> str:
    region, things, shares = Region.of(ways), known.things(mention.kinds), known.shares(mention.kinds)
    if any(_enough_inside(some, region, mention) for some in (things, known.own_things(mention.kinds))):
        return ""
    if any(_covers(share, region) for share in shares):
        return ""
    own = [m for m in known.mentions(mention.kinds) if m.places]
    if any(region.meets(Region.of(a)) for m in own for a in m.places):
        return ""
    placed = bool(things or own or any(s.cells for s in shares))
    reason = "they are elsewhere" if placed else "the facts do not say where"
    return f"{mention.words!r} is not known to lie there: {reason}."


def _enough_inside(things: list[Thing], region: Region, mention: Mention) -> bool:
    """Return whether as many of the things lie in a region as a mention says, or most where it does not say."""
    if not things:
        return False
    inside = sum(1 for t in things if _reaches(t, region))
    if mention.amount == "part":
        return inside >= max(1, mention.count)
    least = mention.count
    if mention.amount in ("open", "plural", "about", "least"):
        least = max(1, round((0.5 if len(things) <= 6 else 0.34) * len(things)))
    return inside >= max(1, min(least, len(things)) * 0.75)


def _reaches(thing: Thing, region: Region) -> bool:
    """Return whether a thing's middle lies in a region, or its box covers half of the region."""
    x, y = center_of(thing)
    if region.holds(x, y):
        return True
    left, top, right, bottom = thing.box
    across = min(right, region.right) - max(left, region.left)
    down = min(bottom, region.bottom) - max(top, region.top)
    whole = (region.right - region.left) * (region.bottom - region.top)
    return across > 0 and down > 0 and across * down >= 0.5 * whole


def _out_of_reach(things: list[Thing], ways: str) -> bool:
    """Return whether none of the things comes near a region."""
    region = Region.of(ways.replace("K", ""))
    if len(ways) > 1:
        region = region.shrunk(0.12)

    def near(thing: Thing) -> bool:
        left, top, right, bottom = thing.box
        return left < region.right and right > region.left and top < region.bottom and bottom > region.top

    return bool(things) and not any(map(near, things))


def _covers(share: Share, region: Region) -> bool:
    """Return whether a land cover takes 0.6 of its mean share or more in a region, or half of it lies there."""
    if not share.cells or share.share <= 0:
        return False
    inside = sum(cell * weight for cell, weight in zip(share.cells, region.weights, strict=True))
    total = sum(share.cells) or 1.0
    return inside / (sum(region.weights) or 1.0) >= 0.6 * total / 9 or inside >= 0.5 * total


def _wrong_side(mention: Mention, side: str, other: frozenset[str], known: Known) -> str:
    ours, theirs = known.things(mention.kinds), known.things(other)
    if not theirs and known.is_scene(other):  # "on the left of the airport", which is the whole picture
        return _wrong_place(mention, side, known)
    if not ours or not theirs:
        return ""  # nothing is known of where one of them lies
    for a in ours:
        for b in theirs:
            (ax, ay), (bx, by) = center_of(a), center_of(b)
            fits = {"W": ax < bx + 0.03, "E": ax > bx - 0.03, "N": ay < by + 0.03, "S": ay > by - 0.03}
            if a is not b and all(fits[way] for way in side if way in fits):
                return ""
    return f"{mention.words!r} does not lie on that side."


def _wrong_color(mention: Mention, known: Known) -> str:
    colors = known.colors(mention.kinds)
    wrong = mention.colors - (colors or known.typical(mention.kinds))
    if not wrong:
        return ""
    told = f"they say {' and '.join(sorted(colors))}" if colors else "they say no color"
    return f"{mention.words!r} is not {' or '.join(sorted(wrong))} by the facts: {told}."


def _refused(text: str) -> str:
    found = _REFUSAL.search(text)
    return found[0] if found else ""


def _repeated(text: str, words: list[str]) -> str:
    """Return a sentence, or a phrase of five words, that stands there too often; "" if none does."""
    sentences = Counter(" ".join(_WORD.findall(s.lower())) for s in _SENTENCE.findall(text))
    for said, times in sentences.items():
        if times > 1 and said.count(" ") >= 2:
            return said[:80]
    size = _SAME_PHRASE_WORDS
    phrases = Counter(zip(*(words[n:] for n in range(size)), strict=False))
    for phrase, times in phrases.items():
        if times >= _SAME_PHRASE_TIMES:
            return " ".join(phrase)
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        if first == second == third:
            return f"{first} {second} {third}"
    return ""
