"""What the writer makes of good and bad answers, and what it shows the model: prompts, reasons, pictures."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from lrsclip.errors import DataError
from tests.train.data_engine.llm_parts import BY_RULES, VOLCANO, png, record, script, settings, write, writer_of
from tests.train.data_engine.llm_server import GOOD, Reply, serve_llm
from train.data_engine.texts import Texts
from train.data_engine.writer.prompts import read_answer, read_prompt

pytestmark = pytest.mark.slow


def test_findings_go_back_to_the_model_and_into_the_result(tmp_path: Path) -> None:
    with serve_llm(script(Reply(content=VOLCANO))) as server:
        writer = writer_of(settings(server.url))
        written = write(writer, tmp_path, [record(0)])[0]
    assert written.writer == "llm" and written.asked == 2 and "volcano" not in written.texts.short
    assert [finding.what for finding in written.rejected] == ["volcano"]
    first, second = (ask.body["messages"] for ask in server.asks)
    assert second[:2] == first and second[2] == {"role": "assistant", "content": VOLCANO}
    assert "no fact names a volcano" in second[3]["content"]
    assert server.asks[0].body["seed"] != server.asks[1].body["seed"]
    assert writer.stats.rejected == {"unknown object": 1} and writer.stats.fell_back == {}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(content="I'm sorry, I can't help with that."), "not the JSON object"),
        (Reply(content=None, finish="content_filter"), "not the JSON object"),
        (Reply(content='{"short": "A harbour."}'), "wrong at long"),
        (Reply(content='{"short": "A harbour.", "long": 5}'), "wrong at long"),
        (Reply(content='{"short": " ", "long": "x"}'), "empty"),
        (Reply(content='{"short": "A harbour.", "long": "A har', finish="length"), "cut off at 700 tokens"),
        (Reply(content="{" * 50_000), "not the JSON object"),
    ],
)
def test_an_invalid_answer_is_asked_for_anew_and_then_given_up(tmp_path: Path, reply: Reply, told: str) -> None:
    with serve_llm(lambda _: reply) as server:
        writer = writer_of(settings(server.url, tries=2))
        written = write(writer, tmp_path, [record(0)])[0]
    assert told in server.asks[1].last_words
    assert (written.writer, written.texts, written.asked, written.fell_back) == ("rules", BY_RULES, 2, "invalid answer")
    assert (written.model, written.prompt) == ("", "")
    assert writer.stats.invalid == 2 and writer.stats.fell_back == {"invalid answer": 1}


def test_what_never_passes_the_gate_is_written_by_the_rules(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(content=VOLCANO)) as server:
        writer = writer_of(settings(server.url))
        written = write(writer, tmp_path, [record(0)])[0]
    assert (written.writer, written.fell_back, written.asked, len(written.rejected)) == ("rules", "gate", 3, 3)
    assert writer.stats.rejected == {"unknown object": 3} and writer.stats.fell_back == {"gate": 1}
    assert len(server.paid) == 3


def test_a_picture_is_shown_small_and_without_metadata(tmp_path: Path) -> None:
    with serve_llm(script(Reply(content=VOLCANO))) as server:
        chosen = settings(server.url, with_picture=True, picture_px=64)
        write(writer_of(chosen, picture=png()), tmp_path, [record(0, picture=True)])
        for ask in server.asks:
            part = ask.body["messages"][1]["content"][1]
            assert part["type"] == "image_url" and set(part["image_url"]) == {"url"}
            head, content = part["image_url"]["url"].split(",")
            shown = Image.open(io.BytesIO(base64.b64decode(content)))
            assert head == "data:image/jpeg;base64" and shown.size == (64, 32) and not shown.getexif()
        asked = len(server.asks)
        write(writer_of(chosen, picture=png()), tmp_path, [record(0, picture=True)])
        assert len(server.asks) == asked
        write(writer_of(chosen, picture=png((80, 80))), tmp_path, [record(0, picture=True)])
        assert len(server.asks) == asked + 1  # another picture is another question


def test_a_picture_that_cannot_be_read_is_left_to_the_rules(tmp_path: Path) -> None:
    with serve_llm() as server:
        writer = writer_of(settings(server.url, with_picture=True), picture=b"no picture")
        written = write(writer, tmp_path, [record(0, picture=True), record(1)])
    assert [w.fell_back for w in written] == ["unreadable picture", ""]


def test_half_a_surrogate_pair_does_no_harm(tmp_path: Path) -> None:
    bad = json.dumps({"short": "volcano \ud800", "long": "x"})
    raw = json.dumps({"choices": [{"message": {"content": "\ud83d no JSON"}}]}).encode()
    with serve_llm(script(Reply(raw=raw), Reply(content=bad), Reply(content=GOOD))) as server:
        written = write(writer_of(settings(server.url)), tmp_path, [record(0)])[0]
    assert written.writer == "llm" and written.asked == 3


def test_settings_keep_secrets_out_and_budgets_payable() -> None:
    for url in ("http://me:pass@host/v1", "http://host/v1?key=1", "host:80", "ftp://host"):
        with pytest.raises(ValidationError):
            settings(url)
    with pytest.raises(ValidationError, match="price_in_per_million_usd"):
        settings("http://host/v1", budget_usd=1)


def test_prompts_are_checked_on_the_way_in(tmp_path: Path) -> None:
    good = read_prompt("describe-1")
    assert good.label == "describe-1 1.0.0" and len(good.sha256) == 64
    with pytest.raises(DataError, match="describe-1"):
        read_prompt("no-such")
    parts = {"name": "p", "version": "1", "system": "s", "user": "{facts} {short_tokens} {long_tokens}", "again": "a"}
    for changes, names in (({}, "'again' has the places"), ({"again": ""}, "'again'"), ({"name": "q"}, "calls itself")):
        again = {"again": "{reasons}"} if "name" in changes else {}
        lines = [f'{name} = "{text}"' for name, text in (parts | again | changes).items()]
        (tmp_path / "p.toml").write_text("\n".join(lines))
        with pytest.raises(DataError, match=names):
            read_prompt("p", tmp_path)
    (tmp_path / "p.toml").write_text("name = ")
    with pytest.raises(DataError, match="not TOML"):
        read_prompt("p", tmp_path)


def test_braces_in_facts_are_left_alone() -> None:
    text = read_prompt("describe-1").messages(["a {reasons} and {0}\nand {facts}"])[1]["content"]
    assert "- a {reasons} and {0} and {facts}" in text


def test_the_texts_are_found_within_other_words() -> None:
    inner = '{"short": "A {b}.", "long": "C  d\\n e.", "more": 1}'
    for answer in (inner, f"<think>{{x}}</think> {inner}", f'{{"answer": {inner}}}', f"```\n{inner}\n``` done {{"):
        assert read_answer(answer) == Texts("A {b}.", "C d e.")
