"""The language-model writer against a real server that does everything wrong that servers do."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.train.data_engine.llm_parts import record, script, settings, write, writer_of
from tests.train.data_engine.llm_server import Ask, Reply, serve_llm
from train.data_engine.writer.ledger import Ledger, Spent, read_answers
from train.data_engine.writer.llm import BudgetSpent, EndpointError, LlmWriter
from train.data_engine.writer.llm_endpoint import retry_after_s

pytestmark = pytest.mark.slow

SECRET = "sk-very-secret-0123456789"


def test_texts_come_in_order_with_who_wrote_them(tmp_path: Path) -> None:
    def behave(ask: Ask) -> Reply:
        number = ask.last_words.split("made/")[1].split()[0]
        text = json.dumps({"short": f"Harbour {number}.", "long": f"Seed\n{ask.body['seed']}."})
        return Reply(content=f"Here you are:\n```json\n{text}\n```", wait_s=0.02 if int(number) % 2 else 0)

    with serve_llm(behave) as server:
        writer = writer_of(settings(server.url, variants=2, in_flight=3))
        written = write(writer, tmp_path, [record(n) for n in range(4)])
    assert [(w.key, w.variant) for w in written] == [(f"made/{n}", v) for n in range(4) for v in range(2)]
    assert [w.texts.short for w in written] == [f"Harbour {n}." for n in range(4) for _ in range(2)]
    assert len({w.texts.long for w in written}) == 8  # every variant has a seed of its own
    assert {(w.writer, w.model, w.prompt, w.asked, w.fell_back) for w in written} == {
        ("llm", "m", "describe-1 1.0.0", 1, "")
    }
    stats = writer.stats
    assert (stats.requests, stats.answers, stats.from_ledger, stats.prompt_tokens, stats.completion_tokens) == (
        *(8, 8, 0, 800, 400),
    )
    assert len(server.paid) == 8 and set(server.paid) == {a.request for a in read_answers(tmp_path / "ledger.jsonl")}
    body = server.asks[0].body
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["short", "long"]
    assert "under 77 CLIP tokens" in body["messages"][1]["content"] and body["max_tokens"] == 700


def test_never_more_requests_at_once_than_allowed(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(wait_s=0.03)) as server:
        write(writer_of(settings(server.url, in_flight=3)), tmp_path, [record(n) for n in range(12)])
    assert server.peak == 3 and len(server.asks) == 12


def test_requests_per_minute_hold_for_retries_too(tmp_path: Path) -> None:
    with serve_llm(script(Reply(status=500))) as server:
        begun = time.monotonic()
        write(writer_of(settings(server.url, requests_per_minute=1200)), tmp_path, [record(n) for n in range(6)])
    times = [ask.at for ask in server.asks]
    assert len(times) == 7  # a busy machine hears late of some, and early of none
    assert all(at >= begun + number * 60 / 1200 for number, at in enumerate(times))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=429, error="slow down"), "429"),
        (Reply(status=500, error="oops"), "5xx"),
        (Reply(status=503, raw=b"<html>not JSON</html>"), "5xx"),
        (Reply(status=408), "timeout"),
        (Reply(status=409), "conflict"),
        (Reply(hang=True), "timeout"),
        (Reply(drip=True), "timeout"),
        (Reply(cut=True), "cut stream"),
        (Reply(raw=b'{"choices": ['), "broken body"),
        (Reply(raw=b'{"error": {"message": "upstream"}}'), "broken body"),
        (Reply(raw=b'{"choices": []}'), "broken body"),
        (Reply(raw=b'{"choices": [{"message": {"content": ["?"]}}]}'), "broken body"),
        (Reply(raw=b"\xff\xfe"), "broken body"),
    ],
)
def test_what_may_pass_is_asked_again_and_counted(tmp_path: Path, reply: Reply, reason: str) -> None:
    def behave(ask: Ask) -> Reply:
        return reply if ask.number == 0 else Reply()

    with serve_llm(behave) as server:
        writer, begun = writer_of(settings(server.url, timeout_s=0.3)), time.monotonic()
        written = write(writer, tmp_path, [record(0)])
        assert time.monotonic() - begun < 5  # however long the server would go on
    assert written[0].writer == "llm" and written[0].asked == 1
    assert writer.stats.retried == {reason: 1} and (writer.stats.requests, writer.stats.answers) == (2, 1)
    assert len(server.keys) == 2 and len(set(server.keys)) == 1 and server.keys[0]  # the server can know it again


def test_retry_after_is_waited_for_by_all(tmp_path: Path) -> None:
    with serve_llm(script(Reply(status=429, headers={"Retry-After": "0.4"}))) as server:
        write(writer_of(settings(server.url, in_flight=1)), tmp_path, [record(0)])
        assert server.asks[1].at - server.asks[0].at >= 0.4
    with serve_llm(script(Reply(status=503, headers={"Retry-After": "0.4"}))) as server:
        write(writer_of(settings(server.url, in_flight=2, model="n")), tmp_path, [record(n) for n in range(6)])
        assert all(b.at - server.asks[0].at >= 0.35 for b in server.asks[3:])


def test_retry_after_is_read_in_all_its_forms() -> None:
    assert retry_after_s({"retry-after": "7"}) == 7
    assert retry_after_s({"retry-after-ms": "250"}) == 0.25
    assert 50 < retry_after_s({"retry-after": formatdate(time.time() + 60, usegmt=True)}) < 61
    for odd in ("soon", "-3", "nan", ""):
        assert retry_after_s({"retry-after": odd}) == 0


def test_a_wait_that_a_server_asks_for_is_bounded(tmp_path: Path) -> None:
    with serve_llm(script(Reply(status=429, headers={"Retry-After": "86400"}))) as server:
        written = write(writer_of(settings(server.url, retry_after_most_s=0.1)), tmp_path, [record(0)])
    assert written[0].writer == "llm"


@pytest.mark.parametrize("known", ["json_object", None])
def test_a_server_without_json_schema_is_asked_in_a_form_it_knows(tmp_path: Path, known: str | None) -> None:
    def behave(ask: Ask) -> Reply:
        form = ask.body.get("response_format", {}).get("type")
        return Reply() if form == known else Reply(status=400, error=f"response_format {form} is not supported")

    with serve_llm(behave) as server:
        chosen = settings(server.url, in_flight=2)
        written = write(writer_of(chosen), tmp_path, [record(n) for n in range(8)])
        assert {w.writer for w in written} == {"llm"} and len(server.paid) == 8
        refused = len(server.asks) - 8
        assert refused <= (2 if known else 4)  # once for each that was in flight; the run remembers
        again = writer_of(chosen)
        assert write(again, tmp_path, [record(n) for n in range(8)]) == written
        assert (again.stats.requests, again.stats.from_ledger) == (0, 8)


def test_a_server_that_renamed_max_tokens_keeps_its_schema(tmp_path: Path) -> None:
    def behave(ask: Ask) -> Reply:
        old = "max_tokens" in ask.body
        return Reply(status=400, error="use 'max_completion_tokens' instead") if old else Reply()

    with serve_llm(behave) as server:
        written = write(writer_of(settings(server.url, in_flight=3)), tmp_path, [record(n) for n in range(5)])
    assert {w.writer for w in written} == {"llm"}
    assert server.asks[-1].body["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    ("status", "code", "names"),
    [
        (401, None, r"\$LRS2M_TEST_KEY"),
        (403, None, "`model`"),
        (404, None, "`base_url`"),
        (402, None, "credit"),
        (429, "insufficient_quota", "credit"),
    ],
)
def test_what_waiting_does_not_mend_is_an_error_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    code: str | None,
    names: str,
) -> None:
    monkeypatch.setenv("LRS2M_TEST_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    with serve_llm(lambda _: Reply(status=status, code=code, error=f"key {SECRET} will not do")) as server:
        with pytest.raises(EndpointError, match=names) as raised:
            write(writer_of(settings(server.url, in_flight=1)), tmp_path, [record(n) for n in range(9)])
        assert len(server.asks) == 1 and server.asks[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(raised.value)
    assert SECRET not in "".join(r.getMessage() for r in caplog.records if r.name.startswith("train."))
    assert all(SECRET not in path.read_text() for path in tmp_path.iterdir())


def test_one_refused_request_is_one_records_affair_and_many_are_an_error(tmp_path: Path) -> None:
    with serve_llm(script(Reply(status=400, error="content policy"))) as server:
        writer = writer_of(settings(server.url, in_flight=1))
        written = write(writer, tmp_path, [record(n) for n in range(3)])
    assert [w.fell_back for w in written] == ["request refused", "", ""]
    with serve_llm(lambda _: Reply(status=400, error="temperature must be 1")) as server:
        chosen = settings(server.url, down_after=3, model="n")
        with pytest.raises(EndpointError, match="temperature must be 1"):
            write(writer_of(chosen), tmp_path, [record(n) for n in range(9)])


def test_an_endpoint_that_is_down_from_the_start_is_left_alone_soon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"  # bound, but nobody listens
        writer = writer_of(settings(url, backoff_s=0.05, down_after=8, in_flight=8, retries=4))
        begun = time.monotonic()
        written = write(writer, tmp_path, [record(n) for n in range(300)])
        took_s = time.monotonic() - begun
    assert {(w.writer, w.fell_back) for w in written} == {("rules", "endpoint down")} and len(written) == 300
    assert writer.stats.fell_back == {"endpoint down": 300} and writer.stats.requests <= 8 * 4 + 7 * 4
    assert set(writer.stats.retried) == {"connection"}
    assert took_s < 3 and "is down" in caplog.text


def test_a_server_that_always_hangs_is_given_up(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(hang=True)) as server:
        writer = writer_of(settings(server.url, timeout_s=0.2, retries=2, down_after=3, in_flight=4))
        begun = time.monotonic()
        written = write(writer, tmp_path, [record(n) for n in range(40)])
        assert time.monotonic() - begun < 3
    assert {w.fell_back for w in written} == {"endpoint down"}


def test_who_waits_for_a_turn_is_woken_when_the_endpoint_is_given_up(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(status=500)) as server:
        chosen = settings(server.url, requests_per_minute=4, retries=1, down_after=1, in_flight=4)
        begun = time.monotonic()
        write(writer_of(chosen), tmp_path, [record(n) for n in range(8)])
        assert time.monotonic() - begun < 5 and len(server.asks) == 1


def test_a_few_lost_requests_do_not_count_as_down(tmp_path: Path) -> None:
    def behave(ask: Ask) -> Reply:
        return Reply(status=500) if "made/3\n" in ask.last_words else Reply()

    with serve_llm(behave) as server:
        writer = writer_of(settings(server.url, retries=2, down_after=2))
        written = write(writer, tmp_path, [record(n) for n in range(8)])
    assert [w.fell_back for w in written] == ["", "", "", "endpoint down", "", "", "", ""]


def test_a_rate_limit_that_never_ends_is_not_a_server_that_is_down(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(status=429)) as server:
        writer = writer_of(settings(server.url, retries=2, down_after=1))
        assert {w.fell_back for w in write(writer, tmp_path, [record(0), record(1)])} == {"rate limit"}


def test_the_budget_stops_a_run_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    records, ledger = [record(n) for n in range(40)], tmp_path / "ledger.jsonl"
    prices = {"price_in_per_million_usd": 10.0, "price_out_per_million_usd": 20.0, "max_tokens": 60}
    with serve_llm(lambda _: Reply(wait_s=0.005)) as server:
        with pytest.raises(BudgetSpent, match=r"larger budget .*nothing answered is asked again"):
            write(writer_of(settings(server.url, budget_usd=0.07, **prices)), tmp_path, records)
        paid = len(server.asks)
        assert 5 < paid < 40 and set(server.paid.values()) == {1}
        spent = Spent.from_ledgers([ledger])
        assert spent.prompt_tokens * 10e-6 + spent.completion_tokens * 20e-6 <= 0.07
        with pytest.raises(BudgetSpent):  # the budget holds across restarts
            write(writer_of(settings(server.url, budget_usd=0.07, **prices), spent), tmp_path, records)
        assert len(server.asks) == paid
        more = writer_of(settings(server.url, budget_usd=1.0, **prices), Spent.from_ledgers([ledger]))
        written = write(more, tmp_path, records)
    assert {w.writer for w in written} == {"llm"}
    assert len(server.asks) == len(set(server.keys)) == 40
    assert (more.stats.from_ledger, more.stats.answers) == (paid, 40 - paid)
    assert more.stats.cost_usd == pytest.approx((40 - paid) * 0.002)


def test_requests_in_flight_count_as_the_most_they_may_cost(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 700}
    with serve_llm(lambda _: Reply(usage=usage, wait_s=0.02)) as server:
        chosen = settings(server.url, in_flight=4, price_out_per_million_usd=10, budget_usd=0.036, max_tokens=700)
        with pytest.raises(BudgetSpent):
            write(writer_of(chosen), tmp_path, [record(n) for n in range(20)])
    assert len(server.asks) == 5  # 0.035 USD: not one more, nor one less


def test_behind_the_budget_the_rules_may_write(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(wait_s=0.005)) as server:
        spent = Spent()
        writer = writer_of(settings(server.url, budget_tokens=6000, at_budget="rules"), spent)
        written = write(writer, tmp_path, [record(n) for n in range(60)])
    assert writer.stats.fell_back == {"budget": 60 - writer.stats.answers} and writer.stats.answers > 5
    assert {w.fell_back for w in written} == {"", "budget"}
    assert spent.prompt_tokens + spent.completion_tokens <= 6000 and spent.held_prompt_tokens == 0


def test_without_usage_the_most_is_counted(tmp_path: Path) -> None:
    with serve_llm(lambda _: Reply(usage=None)) as server:
        writer = writer_of(settings(server.url))
        write(writer, tmp_path, [record(0)])
    answer = next(read_answers(tmp_path / "ledger.jsonl"))
    assert answer.estimated and answer.completion_tokens == 700
    assert answer.prompt_tokens > len(server.asks[0].body["messages"][0]["content"])


def test_stopping_keeps_what_was_answered(tmp_path: Path) -> None:
    records = [record(n) for n in range(18)]

    async def stopped(writer: LlmWriter, ledger: Ledger) -> None:
        task = asyncio.create_task(writer.write(records, ledger))
        while len(list(read_answers(ledger.path))) < 6 or len(server.asks) < 9:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serve_llm(lambda ask: Reply(hang=6 <= ask.number < 9)) as server:
        writer = writer_of(settings(server.url, in_flight=3))
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            asyncio.run(stopped(writer, ledger))
        kept = {answer.request for answer in read_answers(tmp_path / "ledger.jsonl")}
        asked = len(server.asks)
        assert len(kept) == 6
        written = write(writer, tmp_path, records)  # in another event loop
    assert {w.writer for w in written} == {"llm"} and writer.stats.from_ledger == len(kept)
    assert not kept & set(server.keys[asked:]) and set(server.paid.values()) == {1}


def test_a_key_that_cannot_be_sent_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRS2M_TEST_KEY", "schlüssel")
    with pytest.raises(EndpointError, match=r"\$LRS2M_TEST_KEY"):
        writer_of(settings("http://127.0.0.1:9/v1"))


def test_two_writes_at_once_are_a_mistake(tmp_path: Path) -> None:
    async def both(writer: LlmWriter, ledger: Ledger) -> None:
        first = asyncio.create_task(writer.write([record(0)], ledger))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one write"):
            await writer.write([record(1)], ledger)
        assert (await first)[0].writer == "llm"

    with serve_llm() as server, Ledger(tmp_path / "l") as ledger:
        asyncio.run(both(writer_of(settings(server.url)), ledger))
