# ruff: noqa: RUF001  (letters of many scripts are what this is about)
"""Texts of unknown encoding: UTF-8 and UTF-16 by what they hold, code pages of spreadsheets as a guess that is told."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from lrsclip.errors import TextError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUL_SHARE = 0.2  # of all bytes; half of them in UTF-16 of plain letters, hardly one in any other text
_SPACES = frozenset("\t\n\r\v\f")
_SAMPLE_BYTES, _REPEATED_BYTES = 2**14, 4096
_CHAOS = 0.05  # by which a guess may look worse than the best one and still be weighed against it
_NO_LETTERS = b'0123456789,;\t"'  # none of them is the second byte of a letter
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f]")  # a DOS file may end in 1A, and 1B begins modes of Japanese
_FITTING = 0.75  # share of letters below which a guess is none
_WHOLE_LETTERS = 3  # of UTF-8, and as many as there are broken bytes: then it is UTF-8, damaged
_FIRST_COMMON, _LAST_COMMON_GB, _LAST_COMMON_BIG5, _FIRST_JIS, _LAST_JIS = 0xB0, 0xD7, 0xC6, 0x88, 0x97


@dataclass(frozen=True)
class _CodePage:
    """One encoding that spreadsheets write.

    Attributes:
        codec: Python's name.
        title: what it is called beside the letters it is for.
        alphabets: letters beyond ASCII of each language that is written in it, lower case; () where letters are
            weighed otherwise.
    """

    codec: str
    title: str
    alphabets: tuple[str, ...] = ()


_WESTERN = (
    "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúüªº", "ãáâàçéêíóôõúªº", "àèéìíîòóùú", "åäöé", "æøåéèêòôó", "áðéíóúýþæö",
    "ëïéèöüáóíê", "àçèéíïòóúü",
)  # fmt: skip
_CYRILLIC = (
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",
    "абвгдеёжзійклмнопрстуўфхцчшыьэюя",
    "абвгдђѓежзѕијќклљмнњопрстћуфхцчџш",
)
# In order of how common they are: two that fit alike cannot be told apart by anything else.
_CODE_PAGES = (
    _CodePage(
        "cp1252",
        "Windows-1252 (Western European)",
        _WESTERN,
    ),
    _CodePage(
        "cp1250",
        "Windows-1250 (Central European)",
        ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöüß", "çë"),
    ),
    _CodePage("gb18030", "GBK (Simplified Chinese)"),
    _CodePage("cp1251", "Windows-1251 (Cyrillic)", _CYRILLIC),
    _CodePage("cp932", "Shift JIS (Japanese)"),
    _CodePage("cp949", "Windows-949 (Korean)"),
    _CodePage("big5", "Big5 (Traditional Chinese)"),
    _CodePage("cp1254", "Windows-1254 (Turkish)", ("çğıi̇öşüâîû",)),
    _CodePage("cp1253", "Windows-1253 (Greek)"),
    _CodePage("cp1255", "Windows-1255 (Hebrew)"),
    _CodePage("cp1256", "Windows-1256 (Arabic)"),
    _CodePage("cp1257", "Windows-1257 (Baltic)", ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž")),
    _CodePage("cp1258", "Windows-1258 (Vietnamese)", ("àáâãèéêìíòóôõùúăđĩũơự̀́̃̉",)),
    _CodePage("cp874", "Windows-874 (Thai)"),
    _CodePage("mac_roman", "Mac Roman", _WESTERN),
    _CodePage("cp850", "DOS 850 (Western European)", _WESTERN),
)  # fmt: skip
_SCRIPTS = {
    "cp1253": "GREEK",
    "cp1255": "HEBREW",
    "cp1256": "ARABIC",
    "cp874": "THAI",
}
_OTHER_SCRIPTS = frozenset({"cp1251", *_SCRIPTS})


@dataclass(frozen=True)
class DecodedText:
    """A text with the encoding that it was read in.

    Attributes:
        text: without a byte order mark, its line ends as they stood.
        encoding: Python's name of the codec.
        guess: title of the code page where only the letters told it; "" where the bytes left no doubt.
        rival: title of another one that fits as well and gives other letters; "" where there is none.
    """

    text: str
    encoding: str
    guess: str = ""
    rival: str = ""

    @property
    def note(self) -> str:
        """One sentence for the user about a guess; "" where there was none."""
        if not self.guess:
            return ""
        rival = f", and might be {self.rival}" if self.rival else ""
        return (
            f"The file is not UTF-8; it was read as {self.guess}{rival}. If letters look wrong, save it as CSV UTF-8."
        )


def decode_text(raw: bytes, what: str = "the file") -> DecodedText:
    """Decode a text of unknown encoding.

    A byte order mark settles it; then UTF-8 where all of it is; then UTF-16 without a mark. What is left is a code
    page, guessed from the lines with letters beyond ASCII.

    Args:
        raw: the bytes.
        what: is read, for messages.

    Raises:
        TextError: it is no text, or UTF-8 with damage.
    """
    marked = next((codec for bom, codec in _BOMS if raw.startswith(bom)), None)
    codec = marked or utf16_without_mark(raw)
    if codec is None and b"\0" in raw:
        raise TextError(f"{what} is no CSV text; save it as CSV in UTF-8")
    try:
        text = raw.decode(codec or "utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        if codec or _is_damaged_utf8(raw):
            told = (codec or "utf-8").removesuffix("-sig").upper()
            raise TextError(
                f"line {line} of {what} is broken: it is {told} text up to byte {error.start:,}; save it anew"
            ) from error
        return _guessed(raw, what)
    if "\0" in text:
        raise TextError(f"{what} is no CSV text; save it as CSV in UTF-8")
    return DecodedText(text, codec or "utf-8")


def utf16_without_mark(raw: bytes) -> str | None:
    """Return the UTF-16 codec of a text of mostly plain letters that has no byte order mark; None for any other."""
    even, odd = raw[::2].count(0), raw[1::2].count(0)
    if len(raw) % 2 or max(even, odd) < _NUL_SHARE * len(raw) or min(even, odd):
        return None
    codec = "utf-16-be" if even else "utf-16-le"
    try:
        text = codecs.getincrementaldecoder(codec)().decode(raw)  # a letter may be cut at the end
    except UnicodeDecodeError:
        return None
    return codec if all(letter in _SPACES or unicodedata.category(letter) != "Cc" for letter in text) else None


def _is_damaged_utf8(raw: bytes) -> bool:
    text = raw.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    return sum(letter > "\x7f" for letter in text) - broken >= max(broken, _WHOLE_LETTERS)


def _guessed(raw: bytes, what: str) -> DecodedText:
    from charset_normalizer import from_bytes  # only here: most files are UTF-8

    if _CONTROLS.search(raw):  # of a binary file; nothing would come of a guess
        raise TextError(f"{what} is no CSV text; save it as CSV in UTF-8")
    sample = _sample(raw)
    found = from_bytes(sample, cp_isolation=[page.codec for page in _CODE_PAGES])
    best = min((match.chaos for match in found), default=0.0)
    near = {
        codec: round(match.coherence, 1)
        for match in found
        if match.chaos <= best + _CHAOS
        for codec in (match.encoding, *match.could_be_from_charset)
    }
    is_classic_mac = b"\r" in raw and b"\n" not in raw
    order = [page for page in _CODE_PAGES if page.codec in near]
    fitness = {page.codec: round(_fitness(page, sample), 2) for page in _CODE_PAGES}
    if max((fitness[page.codec] for page in order), default=0.0) < _FITTING:  # of few letters nothing can be counted
        order = list(_CODE_PAGES)
    order.sort(
        key=lambda page: (
            -fitness[page.codec],
            not (is_classic_mac and page.codec == "mac_roman"),
            -near.get(page.codec, 0.0) if page.codec in _OTHER_SCRIPTS else 0.0,
        ),
    )
    readings = [(page, text) for page in order if (text := _strictly(raw, page.codec)) is not None]
    for page, text in readings:
        equals = (one for one, other in readings if other != text and fitness[one.codec] == fitness[page.codec])
        rival = next(equals, None)
        return DecodedText(text, page.codec, page.title, rival.title if rival else "")
    raise TextError(f"{what} is in no encoding that is known here; save it as CSV in UTF-8")


def _strictly(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def _sample(raw: bytes) -> bytes:
    """Return the lines with letters beyond ASCII, repeated up to a length from which letters can be counted."""
    lines, size = list[bytes](), 0
    for line in raw.splitlines():
        if not line.isascii():
            lines.append(line[: _SAMPLE_BYTES - size].translate(None, _NO_LETTERS))
            size += len(line)
            if size >= _SAMPLE_BYTES:
                break
    sample = b"\n".join(lines) + b"\n"
    return sample * max(1, _REPEATED_BYTES // len(sample))


def _fitness(page: _CodePage, sample: bytes) -> float:
    """Weigh how well a sample reads in a code page, 0 to 1: the share of letters that one language of it has."""
    text = sample.decode(page.codec, errors="replace")
    beyond = [letter for letter in text.lower() if letter > "\x7f"]
    if not beyond:
        return 0.0
    torn = sum(_tears(before, mark, after) for before, mark, after in zip(text, text[1:], text[2:], strict=False))
    letters = [letter for letter in beyond if letter.isalpha() or unicodedata.combining(letter)]
    if page.alphabets:
        fitting = max(sum(map(alphabet.__contains__, letters)) for alphabet in page.alphabets)
    elif script := _SCRIPTS.get(page.codec):
        fitting = sum(unicodedata.name(letter, "").startswith(script) for letter in letters)
    else:
        return max(0.0, _common_share(page.codec, beyond) - torn / len(beyond))
    return max(
        0.0, (fitting / len(letters) if letters else float(page.codec not in _OTHER_SCRIPTS)) - torn / len(beyond)
    )


def _tears(before: str, mark: str, after: str) -> bool:
    """Tell whether a sign that is no letter stands right before one, as in misread text: `³¹ka`."""
    if mark <= "\x7f" or mark.isalpha() or unicodedata.category(mark) == "Lm":
        return False
    if unicodedata.category(mark)[0] == "M":
        return not (before.isalpha() or unicodedata.category(before)[0] == "M")
    if not (after.isalpha() or unicodedata.category(after)[0] == "M"):
        return False
    return mark not in ("’·–—" if before.isalnum() else "’‘“„«‹¿¡\xa0")


def _common_share(codec: str, letters: Iterable[str]) -> float:
    """Return the share of common characters: those that the tables of East Asia list first, by use."""
    common = total = 0
    for letter in letters:
        code = letter.encode(codec, errors="replace")
        wide = len(code) == 2
        total += 1
        if unicodedata.category(letter)[0] in "PSZ":
            total -= 1
        elif codec == "gb18030":
            common += wide and _FIRST_COMMON <= code[0] <= _LAST_COMMON_GB and code[1] >= 0xA1
        elif codec == "big5":
            common += wide and 0xA4 <= code[0] <= _LAST_COMMON_BIG5
        elif codec == "cp949":
            common += "\uac00" <= letter <= "\ud7a3" and wide and code[1] >= 0xA1
        else:
            common += "\u3040" <= letter <= "\u30ff" or (wide and _FIRST_JIS <= code[0] <= _LAST_JIS)
    return common / total if total else 1.0
