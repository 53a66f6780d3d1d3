"""What the tests of the language-model writer share: a made-up gate, rules and records."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from tests.train.data_engine.llm_server import Reply
from train.data.records import Facts, PictureRef, SourceRecord
from train.data_engine.texts import Finding, Texts, Written
from train.data_engine.writer.ledger import Ledger, Spent
from train.data_engine.writer.llm import LlmWriter
from train.data_engine.writer.llm_settings import LlmSettings

VOLCANO = json.dumps({"short": "A volcano beside a harbour.", "long": "A harbour and a volcano."})
BY_RULES = Texts("A scene.", "A scene by the rules.")


def record(number: int, picture: bool = False) -> SourceRecord:
    where = PictureRef("picture.png") if picture else None
    return SourceRecord(f"made/{number}", "made", "CC0", "train", where, facts=Facts(scene="harbour"))


def settings(url: str, **changes: Any) -> LlmSettings:
    fields = {"base_url": url, "model": "m", "api_key_env": "LRS2M_TEST_KEY", "backoff_s": 0.01, "timeout_s": 5}
    return LlmSettings.model_validate(fields | changes)


def gate(texts: Texts, _record: SourceRecord) -> tuple[Finding, ...]:
    if "volcano" not in texts.short:
        return ()
    return (Finding("unknown object", "short", "volcano", "no fact names a volcano"),)


def png(size: tuple[int, int] = (800, 400)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, (10, 90, 30)).save(content, "PNG")
    return content.getvalue()


def writer_of(chosen: LlmSettings, spent: Spent | None = None, picture: bytes = b"") -> LlmWriter:
    def brief(record: SourceRecord) -> list[str]:
        return [f"the scene is a {record.facts.scene}", f"its name is {record.key}"]

    return LlmWriter(chosen, gate, lambda _r, _v: BY_RULES, brief, lambda _ref: picture, spent or Spent())


def write(writer: LlmWriter, path: Path, records: Sequence[SourceRecord]) -> list[Written]:
    with Ledger(path / "ledger.jsonl") as ledger:
        return asyncio.run(writer.write(records, ledger))


def script(*replies: Reply) -> Any:
    """The replies in turn, then good ones."""
    return lambda ask: replies[ask.number] if ask.number < len(replies) else Reply()
