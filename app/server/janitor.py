"""The janitor: removes answers that nobody fetches, work that nobody waits for, files that are too old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio

from app.server.checked_blocks import CheckedBlocks
from app.server.upload_folder import OLDEST_S

PATIENCE_S = 60.0
"""Seconds in which a caller has to come for the answer."""
_EVERY_S = 10.0
_FILES_EVERY = 30  # rounds
_DRAFT_S = 90.0  # an upload may pause for 60; pictures of language models lie there only until they are sent on


async def sweep(demo: CheckedBlocks, patience_s: float = PATIENCE_S) -> None:
    """Drop the answers of sessions that do not listen, and stop their work.

    Args:
        demo: the app, once its queue is there.
        patience_s: seconds without a stream after which a session does not listen.
    """
    queue = demo._queue
    sessions = {*queue.pending_event_ids_session, *queue.pending_messages_per_session}
    for session in demo.callers.unheard(sorted(sessions), patience_s):
        await queue.clean_events(session_hash=session)
        queue.pending_event_ids_session.pop(session, None)
        with suppress(KeyError):
            del queue.pending_messages_per_session[session]
    demo.callers.forget_read({event for events in queue.pending_event_ids_session.values() for event in events})


def keeping_tidy(demo: CheckedBlocks, max_total_bytes: int) -> Any:
    """Build the lifespan of a server that sweeps every few seconds while it runs."""

    async def rounds() -> None:
        number = 0
        while True:
            await asyncio.sleep(_EVERY_S)
            number += 1
            await sweep(demo)
            await anyio.to_thread.run_sync(demo.folder.sweep_drafts, _DRAFT_S)
            if number % _FILES_EVERY == 0:
                await anyio.to_thread.run_sync(demo.folder.trim, max_total_bytes, OLDEST_S)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(rounds())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return lifespan
