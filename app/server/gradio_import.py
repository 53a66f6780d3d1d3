"""Gradio's import without two parts that serving does not use; in force once this module is imported before Gradio.

Writing stub files for editors beside each component took 40 % of the import; MCP, its protocol for language models,
takes a tenth and is brought when a server offers it. Made against Gradio 6.31.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_STUBS = "create_or_modify_pyi"
_OF_MCP = {
    "types": "mcp.types",
    "Server": "mcp.server.Server",
    "ReadResourceContents": "mcp.server.lowlevel.helper_types.ReadResourceContents",
    "SseServerTransport": "mcp.server.sse.SseServerTransport",
    "StreamableHTTPSessionManager": "mcp.server.streamable_http_manager.StreamableHTTPSessionManager",
}  # what `gradio.mcp.GradioMCPServer` imports in its body, under the names it has there


def bring_mcp() -> None:
    """Give Gradio's MCP server the imports that were left out.

    Raises:
        ImportError: the package `mcp` is not installed.
    """
    from gradio.mcp import GradioMCPServer

    for name, address in _OF_MCP.items():
        if not hasattr(GradioMCPServer, name):
            module, _, attribute = address.rpartition(".")
            setattr(GradioMCPServer, name, getattr(import_module(module), attribute))


class _LeanImport(MetaPathFinder):
    """Finder of the two modules that are executed otherwise; every other module is left to the usual ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the two modules, with its loader changed."""
        changed = {"gradio.component_meta": _without_stubs, "gradio.mcp": _without_mcp}.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if changed else None
        if changed is not None and spec is not None and spec.loader is not None:
            spec.loader.exec_module = changed(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec


def _without_stubs(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def run(module: ModuleType) -> None:
        execute(module)
        if not hasattr(module, _STUBS):
            raise ImportError(f"{module.__name__} has no {_STUBS}; {__name__} must be brought up to date")
        setattr(module, _STUBS, _write_no_stub)

    return run


def _write_no_stub(*_: Any) -> None:
    """Stand in for the writer of stub files."""


def _without_mcp(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def run(module: ModuleType) -> None:
        with _absent("mcp"):
            execute(module)

    return run


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Have the import of a package fail inside the context, unless it is there already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        yield
    finally:
        del sys.modules[name]


sys.meta_path.insert(0, _LeanImport())
