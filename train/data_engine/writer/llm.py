"""Texts from a language model; the rules write where it gives none that pass the gate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lrsclip.errors import LRSCLIPError, PictureError
from train.data.records import PictureRef, SourceRecord
from train.data_engine.texts import Finding, Texts, Written
from train.data_engine.writer.ledger import Answer, Ledger, Spent
from train.data_engine.writer.llm_endpoint import FORMS, Endpoint, EndpointError, Form, FormRefused, Unanswered
from train.data_engine.writer.llm_settings import LlmSettings
from train.data_engine.writer.prompts import ANSWER_SCHEMA, Message, data_url, read_answer, read_prompt, reasons_of

__all__ = ["BudgetSpent", "EndpointError", "LlmStats", "LlmWriter"]

log = logging.getLogger(__name__)

Gate = Callable[[Texts, SourceRecord], tuple[Finding, ...]]
Rules = Callable[[SourceRecord, int], Texts]
Brief = Callable[[SourceRecord], list[str]]
PictureBytes = Callable[[PictureRef], bytes]
_MARGIN_TOKENS = 100  # added by a chat template around the messages


class BudgetSpent(LRSCLIPError):
    """The budget does not hold another request; everything answered is in the ledger."""


@dataclass(frozen=True)
class LlmStats:
    """Statistics of the writer.

    Attributes:
        requests: sent, every retry counted.
        answers: of these, answered and paid for.
        from_ledger: answers that an earlier run had paid for.
        retried: requests sent again, by reason: 429, 5xx, timeout, connection, cut stream, conflict, broken body.
        invalid: answers that were not the JSON asked for.
        rejected: findings of the gate, by kind.
        fell_back: texts that the rules wrote, by reason.
        prompt_tokens, completion_tokens: of `answers`.
        cost_usd: of `answers`.
    """

    requests: int = 0
    answers: int = 0
    from_ledger: int = 0
    retried: Mapping[str, int] = field(default_factory=dict)
    invalid: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    fell_back: Mapping[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True)
class _Picture:
    content: bytes
    name: str
    sha256: str


@dataclass(frozen=True)
class _Question:
    """A request before it is sent; the picture stands in it by its hash."""

    key: str
    variant: int
    attempt: int
    body: dict[str, Any]
    picture: _Picture | None

    def sha256(self, form: Form) -> str:
        """Hash the request for one form of answer."""
        schema = ANSWER_SCHEMA if form == "json_schema" else form
        text = json.dumps(self.body | {"schema": schema}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class LlmWriter:
    """A writer of records' texts by a language model.

    Args:
        settings: model, endpoint and budget.
        gate: returns the findings on texts; none means accepted.
        rules: returns texts of a record and variant that are always accepted.
        brief: returns the checked facts of a record as lines of plain English.
        picture_bytes: returns a picture's encoded bytes.
        spent: tokens paid in all ledgers of the run (`Spent.from_ledgers`); new answers are added to it.

    Raises:
        DataError: the prompt is missing or broken.
        EndpointError: the key cannot be one.
    """

    def __init__(
        self, settings: LlmSettings, gate: Gate, rules: Rules, brief: Brief, picture_bytes: PictureBytes, spent: Spent
    ) -> None:
        self.prompt = read_prompt(settings.prompt)
        self._settings, self._gate, self._rules, self._brief = settings, gate, rules, brief
        self._picture_bytes, self._spent = picture_bytes, spent
        self._endpoint = Endpoint(settings)
        self._answers = self._from_ledger = self._invalid = self._tokens_in = self._tokens_out = 0
        self._rejected: Counter[str] = Counter()
        self._fell_back: Counter[str] = Counter()
        self._broke = self._writing = False
        self._over_in = self._over_out = 0  # tokens that a server counted beyond those held for it
        self._room: asyncio.Condition  # belongs to an event loop

    @property
    def stats(self) -> LlmStats:
        """Statistics as of now."""
        return LlmStats(
            requests=self._endpoint.requests,
            answers=self._answers,
            from_ledger=self._from_ledger,
            retried=dict(self._endpoint.retried),
            invalid=self._invalid,
            rejected=dict(self._rejected),
            fell_back=dict(self._fell_back),
            prompt_tokens=self._tokens_in,
            completion_tokens=self._tokens_out,
            cost_usd=self._settings.cost_usd(self._tokens_in, self._tokens_out),
        )

    async def write(self, records: Sequence[SourceRecord], ledger: Ledger) -> list[Written]:
        """Write texts of records, in their order, each with its variants in theirs; one call at a time.

        However it ends, every answer that came in is in the ledger, and the next call takes it from there.

        Raises:
            BudgetSpent: the budget is spent and `at_budget` is "stop".
            EndpointError: a setting of the endpoint must be mended.
            DataError: the ledger cannot be written.
            RuntimeError: an earlier call has not ended; they would not know of each other's requests.
        """
        if self._writing:
            raise RuntimeError("one write at a time; wait for the earlier one, or give all records to one")
        jobs = [(record, variant) for record in records for variant in range(self._settings.variants)]
        done: list[Written | None] = [None] * len(jobs)
        waiting = iter(enumerate(jobs))
        self._room = asyncio.Condition()

        async def work(waiting: Iterator[tuple[int, tuple[SourceRecord, int]]]) -> None:
            for number, (record, variant) in waiting:
                done[number] = await self._write_one(record, variant, ledger)
                await asyncio.sleep(0)  # answers from the ledger need no waiting; leave others, and Ctrl-C, a chance

        self._writing = True
        try:
            async with self._endpoint.opened():
                workers = [asyncio.create_task(work(waiting)) for _ in range(min(self._settings.in_flight, len(jobs)))]
                try:
                    await asyncio.gather(*workers)
                finally:
                    for worker in workers:
                        worker.cancel()
                    await asyncio.gather(*workers, return_exceptions=True)
        finally:
            self._writing = False
        return [written for written in done if written is not None]

    async def _write_one(self, record: SourceRecord, variant: int, ledger: Ledger) -> Written:
        facts, rejected, asked = self._brief(record), list[Finding](), 0
        earlier: tuple[str, Sequence[str]] | None = None
        try:
            picture = await self._picture(record)
            if not facts and picture is None:
                raise Unanswered("no facts")
            for attempt in range(self._settings.tries):
                answer = await self._answer(self._question(record, variant, attempt, facts, picture, earlier), ledger)
                asked += 1
                texts, reasons, findings = self._judged(answer, record)
                if texts is not None:
                    model, prompt = self._settings.model, self.prompt.label
                    return Written(record.key, variant, texts, "llm", model, prompt, asked, tuple(rejected))
                rejected += findings
                earlier, why = (answer.text, reasons), "gate" if findings else "invalid answer"
        except Unanswered as error:
            why = error.why
        except PictureError as error:
            log.warning("%s; the rules write its texts", error)
            why = "unreadable picture"
        self._fell_back[why] += 1
        texts = self._rules(record, variant)
        return Written(record.key, variant, texts, "rules", asked=asked, rejected=tuple(rejected), fell_back=why)

    def _judged(self, answer: Answer, record: SourceRecord) -> tuple[Texts | None, list[str], tuple[Finding, ...]]:
        """Return the texts if they are accepted; else the reasons for the model, and the gate's findings."""
        texts = read_answer(answer.text)
        if isinstance(texts, str):
            self._invalid += 1
            cut = [f"it was cut off at {self._settings.max_tokens} tokens, so write less"]
            return None, [texts, *(cut if answer.finish_reason == "length" else [])], ()
        findings = self._gate(texts, record)
        self._rejected.update(finding.kind for finding in findings)
        return (None if findings else texts), reasons_of(findings), findings

    async def _picture(self, record: SourceRecord) -> _Picture | None:
        if not self._settings.with_picture or record.picture is None:
            return None
        try:
            content = await asyncio.to_thread(self._picture_bytes, record.picture)
        except OSError as error:
            raise PictureError(f"cannot read the picture of {record.key} ({error}); put it back") from error
        return _Picture(content, record.key, hashlib.sha256(content).hexdigest())

    def _question(
        self,
        record: SourceRecord,
        variant: int,
        attempt: int,
        facts: list[str],
        picture: _Picture | None,
        earlier: tuple[str, Sequence[str]] | None,
    ) -> _Question:
        shown = f"sha256:{picture.sha256}:{self._settings.picture_px}" if picture else None
        mixed = hashlib.sha256(json.dumps([record.key, variant, attempt]).encode()).digest()
        body = {
            "model": self._settings.model,
            "messages": self.prompt.messages(facts, shown, earlier),
            "temperature": self._settings.temperature,
            "seed": (self._settings.seed + int.from_bytes(mixed[:4], "big")) & 0x7FFFFFFF,  # variants must differ
            "max_tokens": self._settings.max_tokens,
        }
        return _Question(record.key, variant, attempt, body, picture)

    async def _answer(self, question: _Question, ledger: Ledger) -> Answer:
        """Take the answer from the ledger, or pay for it."""
        for form in FORMS:  # an earlier run may have had to ask in another one
            if found := ledger.find(question.sha256(form)):
                self._from_ledger += 1
                return found
        if self._endpoint.down:
            raise Unanswered("endpoint down")
        max_in, max_out = self._max_tokens(question)
        await self._hold(max_in, max_out)
        try:
            return await self._paid(question, ledger, max_in, max_out)
        finally:
            self._spent.hold(-max_in, -max_out)
            async with self._room:
                self._room.notify_all()

    async def _paid(self, question: _Question, ledger: Ledger, max_in: int, max_out: int) -> Answer:
        body = dict(question.body)
        if question.picture is not None:
            body["messages"] = await asyncio.to_thread(self._with_picture, body["messages"], question.picture)
        while True:
            form = self._endpoint.form
            request = question.sha256(form)
            try:
                said = await self._endpoint.ask(body, form, request)
                break
            except FormRefused:  # the endpoint has taken up another one
                continue
        tokens = said.tokens
        tokens_in, tokens_out = tokens or (max_in, max_out)  # unknown is the most it may have been
        answer = Answer(
            request=request,
            key=question.key,
            variant=question.variant,
            attempt=question.attempt,
            text=said.text,
            finish_reason=said.choices[0].finish_reason or "",
            prompt_tokens=tokens_in,
            completion_tokens=tokens_out,
            model=said.model or self._settings.model,
            estimated=tokens is None,
        )
        ledger.append(answer)  # before anything can go wrong with it
        self._spent.add(answer)
        self._answers += 1
        self._tokens_in += tokens_in
        self._tokens_out += tokens_out
        self._over_in += max(0, tokens_in - max_in)
        self._over_out += max(0, tokens_out - max_out)
        return answer

    def _with_picture(self, messages: list[Message], picture: _Picture) -> list[Message]:
        url = data_url(picture.content, self._settings.picture_px, picture.name)
        asked = messages[1]
        parts = [
            part | {"image_url": {"url": url}} if part["type"] == "image_url" else part for part in asked["content"]
        ]
        return [messages[0], asked | {"content": parts}, *messages[2:]]

    def _max_tokens(self, question: _Question) -> tuple[int, int]:
        """Bound the tokens of a request: none is less than a byte, and no answer longer than allowed."""
        text = json.dumps([question.body["messages"], ANSWER_SCHEMA], ensure_ascii=False)
        picture = self._settings.picture_tokens if question.picture else 0
        max_in = len(text.encode("utf-8", "replace")) + _MARGIN_TOKENS + picture + self._over_in
        return max_in, self._settings.max_tokens + self._over_out

    async def _hold(self, max_in: int, max_out: int) -> None:
        """Set a request's tokens aside; where they do not fit, wait for those that other requests do not use."""
        spent = self._spent
        async with self._room:
            while not self._settings.within_budget(
                spent.prompt_tokens + spent.held_prompt_tokens + max_in,
                spent.completion_tokens + spent.held_completion_tokens + max_out,
            ):
                if self._broke or not spent.held_prompt_tokens:
                    self._broke = True
                    self._room.notify_all()
                    raise self._out_of_budget(max_in, max_out)
                await self._room.wait()
            if self._broke:  # a smaller one might fit; but then the texts would depend on the order of the requests
                raise self._out_of_budget(max_in, max_out)
            spent.hold(max_in, max_out)

    def _out_of_budget(self, max_in: int, max_out: int) -> Exception:
        settings, spent = self._settings, self._spent
        if settings.at_budget == "rules":
            return Unanswered("budget")
        tokens = spent.prompt_tokens + spent.completion_tokens
        cost = settings.cost_usd(spent.prompt_tokens, spent.completion_tokens)
        limits = [f"budget_usd {settings.budget_usd:g}"] if settings.budget_usd is not None else []
        limits += [f"budget_tokens {settings.budget_tokens}"] if settings.budget_tokens is not None else []
        return BudgetSpent(
            f"the budget is spent: {tokens} tokens, {cost:.4f} USD of {' and '.join(limits)}, and the next request may "
            f"take {max_in + max_out} tokens, {settings.cost_usd(max_in, max_out):.4f} USD; run again with a "
            "larger budget to go on, nothing answered is asked again"
        )
