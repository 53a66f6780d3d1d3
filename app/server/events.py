"""Events: hidden from the API unless they belong there, errors as a sentence, each call one line in the log."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypedDict, TypeVar

import gradio as gr
from markupsafe import Markup, escape

from app.server import request_log
from app.server.encoder_queue import SpentByClient, one_event
from app.server.settings import in_force
from lrsclip import LRSCLIPError
from lrsclip.errors import Cancelled

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Lane(TypedDict):
    """Arguments of an event: the lane that it shares with others, and the number of them that run at once."""

    concurrency_id: str
    concurrency_limit: int


# They meet in the model's own queue (`app.server.encoder_queue`), which batches; the limits bound memory and threads.
ENCODING: Lane = {"concurrency_id": "encoder", "concurrency_limit": 16}
# For events that hold a whole scene while they run, some 100 MB each.
SCENES: Lane = {"concurrency_id": "scenes", "concurrency_limit": 12}
# For events that draw or fetch tiles for minutes.
PLACES: Lane = {"concurrency_id": "places", "concurrency_limit": 4}
INTERNAL: dict[str, Any] = {"api_visibility": "private"}
# For events as one types or clicks: at once, without a spinner.
QUICK: dict[str, Any] = {**INTERNAL, "queue": False, "show_progress": "hidden"}
# For events that read an upload box; see `app.media.images.uploaded`.
UPLOAD: dict[str, Any] = {"preprocess": False}
FILLED_JS = "() => window.lrsclipFilled?.('ID')"
"""What a button of the class `fills-...` says when the boxes are filled, with its own id; see `click_order.js`."""
# Gradio says that an event is done a moment before the page shows it.
_SHOW = """
() => setTimeout(() => {
  const part = document.getElementById("%(id)s");
  const { top } = part.getBoundingClientRect();
  const fresh = part.textContent !== part.lrsclipShown && !part.querySelector(".empty");
  part.lrsclipShown = part.textContent;
  if (fresh && (top < 0 || top > window.innerHeight * %(lowest)s)) part.scrollIntoView({behavior: "smooth"});
}, 50)
"""
_SPENT = SpentByClient()
UNEXPECTED = "The server failed at this; that is a fault of ours, and it is in the log."


def show_js(element_id: str, lowest: float) -> str:
    """Build a script that scrolls a part into view, if it is new and begins above the window or far down in it.

    On a narrow screen the result stands below the button. After a failure the old result stays, and the page stays
    where it is.

    Args:
        element_id: of the part.
        lowest: lowest place where it may begin, as a share of the window's height.
    """
    return (_SHOW % {"id": element_id, "lowest": lowest}).strip()


def click_js(element_id: str) -> str:
    """Build a script that presses a button once the boxes that were filled just now are drawn."""
    return f'() => setTimeout(() => document.getElementById("{element_id}")?.click(), 150)'


def for_page(function: Callable[Params, Any]) -> Callable[Params, Any]:
    """Wrap a function: the project's own errors become a passing note, and the page stays as it is."""

    @functools.wraps(function)
    def wrapped(*args: Params.args, **kwargs: Params.kwargs) -> Any:
        try:
            return logged(function, "page", *args, **kwargs)
        except Cancelled as error:  # asked for by the user, so no warning
            gr.Info(sentence(error))
            return gr.skip()
        except LRSCLIPError as error:
            gr.Warning(sentence(error))
            return gr.skip()

    return wrapped


def for_programs(function: Callable[Params, Result]) -> Callable[Params, Result]:
    """Wrap a function: the project's own errors become the error of the program's call."""

    @functools.wraps(function)
    def wrapped(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        try:
            return logged(function, "api", *args, **kwargs)
        except LRSCLIPError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped


def logged(function: Callable[..., Result], who: str, *args: Any, **kwargs: Any) -> Result:
    """Call a function with one line in the log, all its work on the model counted as one event of its client.

    Args:
        function: what is called.
        who: kind of caller, for the log.
        args: of the function.
        kwargs: of the function.

    Raises:
        LRSCLIPError: the function's own.
        gr.Error: it failed at something else, of which the caller hears nothing.
    """
    try:
        client = request_log.current_client() if in_force().requests_per_minute else ""  # else all have one name
        with request_log.told(f"{who}.{request_log.name_of(function)}"), one_event(_SPENT.of(client)):
            return function(*args, **kwargs)
    except (LRSCLIPError, gr.Error):
        raise
    except Exception as error:
        if not request_log.is_on():
            raise
        # Gradio would print the trace, in which a visitor's text may stand; the line in the log says where it was.
        raise gr.Error(UNEXPECTED, print_exception=False) from error


def sentence(error: LRSCLIPError) -> Markup:
    """Format an error as a sentence, safe to show: Gradio renders HTML in notes and errors."""
    text = str(error)
    return escape(text[:1].upper() + text[1:].rstrip(".") + ".")
