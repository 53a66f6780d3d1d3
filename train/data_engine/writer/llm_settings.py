"""Settings of a language model that writes texts: endpoint, pace, retries and budget."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator


class LlmSettings(BaseModel):
    """Settings of a language model's requests.

    The key is not among them: it is read from the environment, so that settings can be kept with the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str  # of an OpenAI-compatible server, mostly ending in /v1
    model: str = Field(min_length=1)
    api_key_env: str = Field(default="OPENAI_API_KEY", min_length=1)  # variable that holds the key; unset: "none"
    prompt: str = "describe-1"  # a file of train/data_engine/writer/prompts
    with_picture: bool = False
    picture_px: int = Field(default=512, ge=32, le=4096)  # longest side as sent
    picture_tokens: PositiveInt = 2000  # the most a picture may count as; used to keep within the budget
    temperature: float = Field(default=0.7, ge=0, le=2)
    variants: PositiveInt = 1  # pairs of texts for each record
    in_flight: PositiveInt = 8  # requests at once
    requests_per_minute: PositiveInt | None = None  # None: as many as are answered
    tries: PositiveInt = 3  # answers asked for until one passes the gate
    timeout_s: float = Field(default=60, gt=0)  # of a whole request
    retries: PositiveInt = 5  # times that one request is sent until it is answered
    backoff_s: float = Field(default=1.0, gt=0)  # before the second time; doubles from then on
    backoff_most_s: float = Field(default=30.0, gt=0)
    retry_after_most_s: float = Field(default=300.0, gt=0)  # a server may ask for no longer wait than this
    max_tokens: PositiveInt = 700
    price_in_per_million_usd: float = Field(default=0, ge=0)
    price_out_per_million_usd: float = Field(default=0, ge=0)
    budget_usd: float | None = Field(default=None, ge=0)
    budget_tokens: int | None = Field(default=None, ge=0)  # in and out together
    at_budget: Literal["stop", "rules"] = "stop"
    down_after: PositiveInt = 8  # requests in a row that stay unanswered after all retries
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("base_url")
    @classmethod
    def _no_secrets(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url must be a web address such as http://localhost:8000/v1, not {value!r}")
        if parts.username or parts.password or parts.query or parts.fragment:  # it is written down and logged
            raise ValueError("base_url must hold no user, password or query; put the key into the environment")
        return value

    @model_validator(mode="after")
    def _budget_can_be_kept(self) -> LlmSettings:
        if self.budget_usd is not None and not (self.price_in_per_million_usd or self.price_out_per_million_usd):
            raise ValueError("budget_usd needs price_in_per_million_usd and price_out_per_million_usd")
        return self

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of tokens in USD."""
        paid = prompt_tokens * self.price_in_per_million_usd + completion_tokens * self.price_out_per_million_usd
        return paid / 1e6

    def within_budget(self, prompt_tokens: int, completion_tokens: int) -> bool:
        """Return whether tokens are within both budgets."""
        if self.budget_tokens is not None and prompt_tokens + completion_tokens > self.budget_tokens:
            return False
        return self.budget_usd is None or self.cost_usd(prompt_tokens, completion_tokens) <= self.budget_usd
