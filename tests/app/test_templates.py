"""The page's HTML: it comes from templates alone, they escape what they are given, and each of them is used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from markupsafe import Markup

from app.ui import render as rendering
from app.ui.html import beside, empty, list_of
from app.ui.render import render
from tests.helpers.app_parts import NASTY

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
TEMPLATES = {f"{path.parent.parent.name}/{path.name}": path for path in sorted(APP.glob("*/templates/*"))}
_TAG = re.compile(r"(?<!\(\?P)</?[A-Za-z!]")  # of a regular expression, (?P<name>...) is none
_FILLING = {"format", "format_map", "join"}
# Who may say of a text that it is markup, and of which.
MARKED = {
    "app/ui/render.py": "what a template made, and files of our own",
    "app/maps/document.py": "Leaflet's script and style sheet, which come with a package",
}


def has_tag(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(_TAG.search(node.value))


def faults(tree: ast.AST) -> list[str]:
    """Returns a sentence for each place where a module makes HTML by itself."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=parts) if len(parts) > 1 and any(map(has_tag, parts)):
                found.append(f"line {node.lineno} fills a tag into an f-string")
            case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right) if has_tag(left) or has_tag(right):
                found.append(f"line {node.lineno} puts a tag together with + or %")
            case ast.Call(func=ast.Attribute(value=filled, attr=name)) if name in _FILLING and has_tag(filled):
                found.append(f"line {node.lineno} fills a tag with .{name}()")
            case ast.ImportFrom(module=module, names=names, level=0) if "escape" in {one.name for one in names}:
                if module != "markupsafe":
                    found.append(f"line {node.lineno} takes an escape() that a template does not know of")
            case ast.Import(names=names) if "html" in {one.name for one in names}:
                found.append(f"line {node.lineno} imports html, whose escape() a template does not know of")
    return found


def markings(tree: ast.AST) -> list[int]:
    """Returns the lines where a text becomes markup unescaped."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] == "Markup"
    ]


@pytest.mark.parametrize("path", sorted(APP.rglob("*.py")), ids=lambda path: path.relative_to(APP).as_posix())
def test_no_module_makes_html_by_itself(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert faults(tree) == []
    assert bool(markings(tree)) == (path.relative_to(ROOT).as_posix() in MARKED)


@pytest.mark.parametrize(
    "source",
    [
        "f'<b>{text}</b>'",
        "'<p>' f'{text}' '</p>'",
        "f'{text}<br>'",
        "f'</{text}'[2:] + f'</p>{text}'",
        "'<b>' + text",
        "text + '</b>'",
        "'<i title=%s>' % text",
        "'<b>{}</b>'.format(text)",
        "'<br>'.join(texts)",
        "from html import escape",
        "import re, html",
        "f'<!doctype html>{text}'",
    ],
)
def test_html_by_hand_is_found(source: str) -> None:
    assert len(faults(ast.parse(source))) == 1


@pytest.mark.parametrize("source", ["Markup(text)", "markupsafe.Markup(text)", "f(x, Markup('<p>'))"])
def test_a_text_called_markup_is_found(source: str) -> None:
    assert markings(ast.parse(source)) == [1]


@pytest.mark.parametrize("source", ["'<p>All of it</p>'", "f'{a} < {b}'", "f'(?P<name>{words})'", "f'plain {text}'"])
def test_what_is_no_html_by_hand_passes(source: str) -> None:
    assert faults(ast.parse(source)) == []


def test_what_is_given_is_escaped_and_markup_is_not() -> None:
    shown = render("ui/paragraph.html", css_class='"><img src=x>', text=NASTY)
    assert "<img" not in shown and "<script" not in shown and "{{7*7}}" in shown
    assert list_of([(NASTY, NASTY)]).count("{{7*7}}") == 2
    inside = empty("a < b")
    assert isinstance(inside, Markup) and inside in beside(inside)
    assert inside not in render("ui/paragraph.html", css_class="", text=str(inside)), "a plain string is escaped"
    assert 'srcdoc="&lt;' in render("maps/frame.html", document=inside, css_class="", title="", style="")


def test_what_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="text"):
        render("ui/paragraph.html", css_class="why")
    for name in ("ui/nothing.html", "paragraph.html", "ui/../html.py"):
        with pytest.raises(TemplateNotFound):
            render(name)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_compiles_is_used_and_switches_nothing_off(name: str) -> None:
    assert rendering._TEMPLATES.get_template(name).filename == str(TEMPLATES[name])
    source = TEMPLATES[name].read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", source)
    users = [*APP.rglob("*.py"), *TEMPLATES.values()]
    assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in users), f"{name} is used nowhere"
