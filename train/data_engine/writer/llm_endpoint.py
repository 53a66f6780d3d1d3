"""One OpenAI-compatible endpoint: sends a request until it is answered, at the pace that it and the settings allow."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal

from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, OpenAIError
from pydantic import BaseModel, Field, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from lrsclip.errors import LRSCLIPError
from train.data_engine.writer.llm_settings import LlmSettings
from train.data_engine.writer.prompts import ANSWER_SCHEMA

log = logging.getLogger(__name__)

RetryReason = Literal["429", "5xx", "timeout", "connection", "cut stream", "conflict", "broken body"]
_SIGNS_OF_DOWN = ("5xx", "timeout", "connection", "cut stream", "broken body")
Form = Literal["json_schema", "json_object", "text"]
FORMS: tuple[Form, ...] = ("json_schema", "json_object", "text")  # from the strictest on; not every server knows all
_FORMATS: dict[Form, dict[str, Any]] = {
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "texts", "strict": True, "schema": ANSWER_SCHEMA},
        }
    },
    "json_object": {"response_format": {"type": "json_object"}},
    "text": {},
}
_ABOUT_FORM = ("response_format", "json_schema", "json_object", "schema", "grammar", "structured output", "guided")
_NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached")  # a 429 that waiting does not mend
_CUT = ("RemoteProtocolError", "ReadError", "DecodingError")
_MESSAGE_MOST = 300  # characters of a server's message in one of ours


class EndpointError(LRSCLIPError):
    """An error of the endpoint's settings: it takes no request; the message names the setting to mend."""


class Unanswered(Exception):
    """A request without an answer; others may get theirs.

    Attributes:
        why: "endpoint down", "rate limit", "request refused" or another reason to fall back to the rules.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class FormRefused(Exception):
    """A request in a form that the endpoint does not know; later ones take another form."""


class _TryAgain(Exception):
    """A failure that may pass."""

    def __init__(self, reason: RetryReason, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason: RetryReason = reason
        self.after_s = after_s


class _Said(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Said
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(gt=0)
    completion_tokens: int = Field(ge=0)


class Completion(BaseModel):
    """The fields of a chat completion that we use; other servers than OpenAI's leave much out."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    model: str | None = None
    usage: Any = None

    @property
    def text(self) -> str:
        """Answer of the model, replaced where it could not be written as UTF-8."""
        return (self.choices[0].message.content or "").encode("utf-8", "replace").decode("utf-8")

    @property
    def tokens(self) -> tuple[int, int] | None:
        """Tokens in and out; None where the server does not count them."""
        try:
            usage = _Usage.model_validate(self.usage)
        except ValidationError:
            return None
        return usage.prompt_tokens, usage.completion_tokens


class Endpoint:
    """The endpoint of a run; all that it learns about the server holds for the whole run.

    Args:
        settings: address, limits and patience.

    Attributes:
        form: the form in which answers are asked for.
        down: whether it was given up.
        requests: sent, every retry counted.
        retried: requests sent again, by reason.
    """

    def __init__(self, settings: LlmSettings) -> None:
        self.form: Form = FORMS[0]
        self.down = False
        self.requests = 0
        self.retried: Counter[str] = Counter()
        self._settings = settings
        self._key = os.environ.get(settings.api_key_env, "").strip() or "none"
        if not (self._key.isascii() and self._key.isprintable()):
            raise EndpointError(f"the key in ${settings.api_key_env} has characters no key has; set it anew")
        self._tokens_field = "max_tokens"
        self._failed = self._refused = 0  # in a row
        self._free_at = 0.0  # monotonic time from which the next request may be sent
        # Belong to an event loop, and are made for each.
        self._client: AsyncOpenAI
        self._given_up: asyncio.Event
        self._slots: asyncio.Semaphore

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold connections while asking."""
        self._given_up, self._slots = asyncio.Event(), asyncio.Semaphore(self._settings.in_flight)
        async with AsyncOpenAI(
            base_url=self._settings.base_url, api_key=self._key, timeout=self._settings.timeout_s, max_retries=0
        ) as self._client:
            yield

    async def ask(self, body: Mapping[str, Any], form: Form, request: str) -> Completion:
        """Send a request until it is answered.

        Args:
            body: model, messages, temperature, seed and max_tokens.
            form: to ask for the answer in.
            request: the request's hash, by which a server can know it again.

        Raises:
            Unanswered: it is not, after all retries.
            FormRefused: the server does not know the form.
            EndpointError: no request can be answered until a setting is mended.
        """
        again = AsyncRetrying(
            stop=stop_after_attempt(self._settings.retries),
            wait=self._wait_s,
            sleep=self._nap,
            retry=retry_if_exception_type(_TryAgain),
            before_sleep=self._count_retry,
            reraise=True,
        )
        try:
            completion: Completion = await again(self._send, body, form, request)
        except _TryAgain as error:
            raise Unanswered(self._after_all_retries(error.reason)) from error
        self._failed = self._refused = 0
        return completion

    async def _send(self, body: Mapping[str, Any], form: Form, request: str) -> Completion:
        async with self._slots:
            await self._pace()
            if self.down:
                raise Unanswered("endpoint down")
            self.requests += 1
            tokens_field = self._tokens_field
            fields = {**body, **_FORMATS[form]}
            fields[tokens_field] = fields.pop("max_tokens")
            try:
                # The client's own limit is for each read; a server that drips bytes would keep within it for ever.
                async with asyncio.timeout(self._settings.timeout_s):
                    raw = await self._client.chat.completions.with_raw_response.create(
                        **fields, extra_headers={"Idempotency-Key": request}
                    )
                # Not pydantic's own parser: it refuses half a surrogate pair, which some models do write.
                return Completion.model_validate(json.loads(raw.http_response.content))
            except (TimeoutError, APITimeoutError) as error:
                raise _TryAgain("timeout") from error
            except APIConnectionError as error:
                raise _TryAgain("cut stream" if type(error.__cause__).__name__ in _CUT else "connection") from error
            except APIStatusError as error:
                raise self._fault(error, form, tokens_field) from error
            except (OpenAIError, ValueError, RecursionError) as error:
                raise _TryAgain("broken body") from error

    def _fault(self, error: APIStatusError, form: Form, tokens_field: str) -> Exception:
        """Map an HTTP status to an error of the request, or of the run."""
        status, settings = error.status_code, self._settings
        said = self._said(error)
        if status == 429 and error.code not in _NO_MONEY:
            return self._later("429", error)
        if status >= 500:
            return self._later("5xx", error)
        if status in (408, 409):
            return self._later("timeout" if status == 408 else "conflict", error)
        if status == 401:
            return EndpointError(f"{self._name} does not accept the key in ${settings.api_key_env} ({said}); set it")
        if status in (402, 429):
            return EndpointError(f"{self._name}: the account has no credit left ({said}); add some and run again")
        if status == 403:
            return EndpointError(
                f"{self._name} forbids the model {settings.model!r} ({said}); set `model` to another, "
                f"or ${settings.api_key_env} to a key that may use it"
            )
        if status == 404:
            return EndpointError(
                f"{self._name} has no model {settings.model!r}, or is not the address of an API ({said}); "
                "mend `model` or `base_url`, which mostly ends in /v1"
            )
        if status in (400, 422) and self._other_form(said, form, tokens_field):
            return FormRefused()
        return self._refusal(status, said)

    def _other_form(self, said: str, form: Form, tokens_field: str) -> bool:
        """Take up another form if the form was at fault and one is left; return whether it did."""
        if "max_completion_tokens" in said and tokens_field == "max_tokens":
            self._tokens_field = "max_completion_tokens"  # newer models' name for it
            return True
        if form == FORMS[-1] or not any(word in said.lower() for word in _ABOUT_FORM):
            return False
        if self.form == form:  # else another request in flight was here before
            self.form = FORMS[FORMS.index(form) + 1]
            log.info("%s does not know response_format %s; going on with %s", self._name, form, self.form)
        return True

    def _refusal(self, status: int, said: str) -> Exception:
        """Count a refusal: one request may be refused for its content, many in a row for their making."""
        self._failed = 0
        self._refused += 1
        if self._refused >= self._settings.down_after:
            return EndpointError(
                f"{self._name} refused {self._refused} requests in a row, the last with HTTP {status} ({said}); "
                "mend the setting it names (`model`, `temperature`, `max_tokens`, `with_picture`)"
            )
        log.warning("%s refused a request with HTTP %s: %s", self._name, status, said)
        return Unanswered("request refused")

    def _later(self, reason: RetryReason, error: APIStatusError) -> _TryAgain:
        after_s = min(retry_after_s(error.response.headers), self._settings.retry_after_most_s)
        self._free_at = max(self._free_at, time.monotonic() + after_s)  # it asks all of us to wait
        return _TryAgain(reason, after_s)

    def _after_all_retries(self, reason: RetryReason) -> str:
        if reason not in _SIGNS_OF_DOWN:
            self._failed = 0  # a server that says so is up
            return "rate limit" if reason == "429" else "request refused"
        self._failed += 1
        if self._failed >= self._settings.down_after and not self.down:
            self.down = True
            self._given_up.set()
            log.error(
                "%s is down: %s requests in a row failed on all their tries, the last by %s; the rules write the rest",
                self._name,
                self._failed,
                reason,
            )
        return "endpoint down"

    async def _pace(self) -> None:
        while (wait_s := self._free_at - time.monotonic()) > 0:  # it may have moved on while we slept
            await self._nap(wait_s)
            if self.down:
                return
        per_minute = self._settings.requests_per_minute
        self._free_at = time.monotonic() + (60 / per_minute if per_minute else 0.0)

    async def _nap(self, seconds: float) -> None:
        with suppress(TimeoutError):  # ends early once there is nothing left to wait for
            await asyncio.wait_for(self._given_up.wait(), seconds)

    def _wait_s(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        after_s = error.after_s if isinstance(error, _TryAgain) else 0.0
        doubled = min(self._settings.backoff_s * 2.0 ** (state.attempt_number - 1), self._settings.backoff_most_s)
        # Random, so that requests that failed together do not come back together.
        return max(after_s, doubled) + random.uniform(0, doubled)

    def _count_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TryAgain):
            self.retried[error.reason] += 1

    @property
    def _name(self) -> str:
        return self._settings.base_url

    def _said(self, error: APIStatusError) -> str:
        """Return the server's message, short and without our key, which some repeat."""
        body = error.body
        said = body.get("message") if isinstance(body, dict) else None
        if not isinstance(said, str):
            said = json.dumps(body, default=str) if body else error.message
        short = " ".join(said.split())
        if self._key != "none":
            short = short.replace(self._key, "***")
        return short[:_MESSAGE_MOST]


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Parse the seconds that a server asks to wait: a number, or a date; 0 where it does not say."""
    with suppress(ValueError, OverflowError):
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return _sane(float(milliseconds) / 1000)
    asked = headers.get("retry-after", "")
    with suppress(ValueError, OverflowError):
        return _sane(float(asked))
    with suppress(ValueError, TypeError, OverflowError):
        return _sane(parsedate_to_datetime(asked).timestamp() - time.time())
    return 0.0


def _sane(seconds: float) -> float:
    return max(0.0, seconds) if seconds == seconds else 0.0  # not a number is not equal to itself
