"""The share of one client in sessions, which keep what their pages hold: the last answer, a lesson's steps, a map."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from gradio.state_holder import SessionState, StateHolder

from app.server.callers import Callers

MAX_SESSIONS_EACH = 64
"""Sessions of one client that are kept: a class behind one address, with a page or two for each of them."""


class SessionShares:
    """The clients of the sessions that are kept.

    Args:
        callers: the pages and streams that are open.
    """

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._client_of: WeakKeyDictionary[SessionState, str] = WeakKeyDictionary()

    def bound(self, holder: StateHolder, session: SessionState, client: str) -> None:
        """Forget the oldest sessions of a client that has more than its share, those without an open page first.

        Args:
            holder: all sessions, the one used last at the end.
            session: the one that is asked in, which stays.
            client: who asks in it.
        """
        with holder.lock:
            self._client_of[session] = client
            kept = list(holder.session_data.items())
            own = [name for name, one in kept if one is not session and self._client_of.get(one) == client]
            own.sort(key=self._callers.is_there)  # stable: the oldest first among equals
            for name in own[: max(0, len(own) + 1 - MAX_SESSIONS_EACH)]:
                holder.session_data.pop(name, None)
                holder.time_last_used.pop(name, None)
