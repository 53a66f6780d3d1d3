"""The prompts as files, the messages made of them, and the texts in a model's answer."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lrsclip.errors import DataError
from lrsclip.io.decode import open_image
from train.data_engine.texts import Finding, Texts

PROMPT_DIR = Path(__file__).parent / "prompts"
SHORT_TOKENS, LONG_TOKENS = 77, 248  # context lengths of the two stages of training
_PLACE = re.compile(r"\{([a-z_]+)\}")  # {facts}, but not the braces of JSON
_PLACES = {"system": set[str](), "user": {"facts", "short_tokens", "long_tokens"}, "again": {"reasons"}}
_OBJECTS_TRIED = 20  # an answer full of braces must not take long to read
_EARLIER_MOST = 6000  # characters of a refused answer that are shown to the model again
_JPEG_QUALITY = 90

Message = dict[str, Any]


@dataclass(frozen=True)
class Prompt:
    """A prompt, read from its file.

    Attributes:
        name, version: of the prompt.
        system: the model's role and the rules.
        user: template of the question.
        again: template of the reply to an answer that cannot be used.
        sha256: of the file.
    """

    name: str
    version: str
    system: str
    user: str
    again: str
    sha256: str

    @property
    def label(self) -> str:
        """Name and version of the prompt."""
        return f"{self.name} {self.version}"

    def messages(
        self, facts: Sequence[str], picture_url: str | None = None, earlier: tuple[str, Sequence[str]] | None = None
    ) -> list[Message]:
        """Build the conversation that asks for texts.

        Args:
            facts: plain English, one a line.
            picture_url: address of the picture, if it is shown.
            earlier: the last answer and its faults.
        """
        lines = "\n".join(f"- {' '.join(fact.split())}" for fact in facts) or "- nothing beyond the picture itself"
        values = {"facts": lines, "short_tokens": str(SHORT_TOKENS), "long_tokens": str(LONG_TOKENS)}
        question: Any = _filled(self.user, values)
        if picture_url is not None:
            shown = {"type": "image_url", "image_url": {"url": picture_url}}
            question = [{"type": "text", "text": question}, shown]
        messages: list[Message] = [{"role": "system", "content": self.system}, {"role": "user", "content": question}]
        if earlier is not None:
            answer, reasons = earlier
            # Some servers refuse an empty message.
            messages.append({"role": "assistant", "content": answer[:_EARLIER_MOST] or "(no answer)"})
            again = _filled(self.again, {"reasons": "\n".join(f"- {reason}" for reason in reasons)})
            messages.append({"role": "user", "content": again})
        return messages


def read_prompt(name: str, folder: Path = PROMPT_DIR) -> Prompt:
    """Read `NAME.toml`.

    Raises:
        DataError: there is none, or it is broken; the message names the part.
    """
    path = folder / f"{name}.toml"
    try:
        content = path.read_bytes()
        fields = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
        raise DataError(f"no prompt {name!r} in {folder.name}/; set `prompt` to one of: {known}") from error
    except ValueError as error:  # neither UTF-8 nor TOML
        raise DataError(f"prompt {path.name} is not TOML ({error}); mend it there") from error
    parts = {}
    for part in ("name", "version", *_PLACES):
        text = fields.get(part)
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"prompt {path.name} has no text {part!r}; add it there")
        parts[part] = text.strip()
    for part, expected in _PLACES.items():
        if (found := set(_PLACE.findall(parts[part]))) != expected:
            say = ", ".join(f"{{{place}}}" for place in sorted(expected)) or "none"
            raise DataError(f"prompt {path.name}: {part!r} has the places {sorted(found)}, it must have {say}")
    if parts["name"] != name:  # the name goes with the data, so that the file must be found by it
        raise DataError(f"prompt {path.name} calls itself {parts['name']!r}; name it as its file")
    return Prompt(**parts, sha256=hashlib.sha256(content).hexdigest())


def _filled(template: str, values: dict[str, str]) -> str:
    # In one pass, so that braces within a fact are left alone.
    return _PLACE.sub(lambda place: values[place[1]], template)


class AnswerTexts(BaseModel):
    """The model's answer, as the prompt asks for it."""

    model_config = ConfigDict(strict=True)

    short: str = Field(min_length=1)
    long: str = Field(min_length=1)


ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"short": {"type": "string"}, "long": {"type": "string"}},
    "required": ["short", "long"],
    "additionalProperties": False,
}


def read_answer(answer: str) -> Texts | str:
    """Parse the texts in an answer; else return the fault of its form as a sentence for the model.

    Code fences and words around the JSON are passed over.
    """
    decoder, fault = json.JSONDecoder(), "the answer was not the JSON object that was asked for"
    starts = [match.start() for match in re.finditer(r"\{", answer)][:_OBJECTS_TRIED]
    for start in starts:
        try:
            found, _end = decoder.raw_decode(answer, start)
            texts = AnswerTexts.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            fault = f"the JSON object is wrong at {'.'.join(map(str, first['loc'])) or 'its top'}: {first['msg']}"
        except (ValueError, RecursionError):
            continue
        else:
            short, long = plain(texts.short), plain(texts.long)
            if short and long:
                return Texts(short, long)
            fault = "a text in the JSON object is empty"
    return fault


def plain(text: str) -> str:
    """Put a text on one line that can be written as UTF-8; half a surrogate pair in JSON makes one that cannot."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def reasons_of(findings: Sequence[Finding]) -> list[str]:
    """Format the gate's findings as sentences for the model."""
    return [f'in "{finding.where}", the words "{finding.what}" ({finding.kind}): {finding.why}' for finding in findings]


def data_url(content: bytes, longest_px: int, name: str) -> str:
    """Encode a picture as a small JPEG without metadata, in an address.

    Raises:
        PictureError: it cannot be read.
    """
    picture = open_image(io.BytesIO(content), name=name)
    picture.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    small = io.BytesIO()
    picture.save(small, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(small.getvalue()).decode("ascii")
