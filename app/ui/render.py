"""HTML out of Jinja2 templates, with everything escaped that is not markup of our own.

A template lies in `templates/` of the folder that uses it and is named by both: `search/summary.html`; those in `ui/`
are shared. Templates loop and choose; numbers are worked out and sentences worded in Python, before. Python holds only
markup that is a constant, an empty line for a script to fill, because a file for it would say no more.

What `render` returns is `Markup`, which another template takes as it is; a plain string is escaped, whatever is in it.
So a fragment can be nested, and a text that skipped the templates can do no harm. A name that a template is not given
is an error, not an empty place.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

_APP = Path(__file__).resolve().parents[1]


def _fixed(number: float, digits: int) -> str:
    return f"{number:.{digits}f}"


def _grouped(number: float) -> str:
    return f"{number:,}"


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _environment() -> Environment:
    folders = {folder.parent.name: FileSystemLoader(folder) for folder in sorted(_APP.glob("*/templates"))}
    made = Environment(
        loader=PrefixLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"fixed": _fixed, "grouped": _grouped, "percent": _percent}
    return made


_TEMPLATES = _environment()


def render(name: str, /, **values: object) -> Markup:
    """Fill in a template.

    Args:
        name: folder and file, such as `ui/facts.html`; compiled once, then kept.
        **values: what it is given; `Markup` goes in as it is, all else is escaped.

    Raises:
        jinja2.TemplateNotFound: there is no such template.
        jinja2.UndefinedError: it uses a value that it is not given.
    """
    return Markup(_TEMPLATES.get_template(name).render(values))


@cache
def own_file(path: Path) -> Markup:
    """Read a script or a style sheet of this project, to be written into a page as it is."""
    return Markup(path.read_text(encoding="utf-8"))
