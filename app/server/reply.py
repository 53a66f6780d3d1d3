"""The way back to a client: an answer is given in words, and its status shows whose fault a bad one is."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import Message, Send

from app.server.callers import Outcome

_REFUSED_STATUS = 422
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")  # an uploaded text that looks like a page stays a text


class Refused(Exception):
    """A request that is answered here, with a status and a sentence."""

    def __init__(self, status: int, sentence: str, wait_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.status, self.wait_s = status, wait_s


class Reply:
    """The way back to a client, which knows whether an answer has begun, and whose fault a bad one is."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self.ended = self._dropping = False
        self.outcome = Outcome()

    async def __call__(self, message: Message) -> None:
        """Send a part of the answer on."""
        if message["type"] == "http.response.start" and _is_bare_failure(message):
            self._dropping = True  # Starlette raises the error right after; then it is answered in words
        if self._dropping:
            return
        if message["type"] == "http.response.start":
            self.begun = True
            if message["status"] == 500 and self.outcome.refused:  # Gradio has one status for all errors
                message = {**message, "status": _REFUSED_STATUS}
            message = {**message, "headers": [*message.get("headers", []), _NO_SNIFFING]}
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.ended = True
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        """Answer with a sentence; of an answer that has begun, only the end is sent."""
        if self.begun:
            if not self.ended:
                await self({"type": "http.response.body", "body": b"", "more_body": False})
            return
        self._dropping = False
        body = json.dumps({"detail": str(refused), "error": str(refused)}).encode()
        headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if refused.wait_s:
            headers.append((b"retry-after", str(max(1, round(refused.wait_s))).encode()))
        await self({"type": "http.response.start", "status": refused.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


def _is_bare_failure(start: Message) -> bool:
    kinds = [value for key, value in start.get("headers", []) if key.lower() == b"content-type"]
    return start["status"] == 500 and bool(kinds) and kinds[0].startswith(b"text/plain")
