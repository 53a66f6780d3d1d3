"""No visitor makes this server fetch an address: pictures are sent, not named.

Gradio takes a web address wherever a file is expected, and fetches it (not from private networks, but from everywhere
else). Programs reach that through the API and language models through MCP. Nothing here needs it.
"""

from __future__ import annotations

from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils


def refuse_addresses() -> None:
    """Let Gradio answer web addresses with a sentence instead of fetching them."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise gr.Error("this server fetches no web addresses; send the file itself", print_exception=False)

    async def refuse_later(*_: Any, **__: Any) -> NoReturn:
        refuse()

    for name, stand_in in (
        ("save_url_to_cache", refuse),
        ("ssrf_protected_download", refuse),
        ("async_ssrf_protected_download", refuse_later),
    ):
        if not hasattr(processing_utils, name):  # so that a Gradio that names them otherwise is noticed at the start
            raise RuntimeError(
                f"gradio.processing_utils has no {name}; app/server/fetching.py must be brought up to date"
            )
        setattr(processing_utils, name, stand_in)
