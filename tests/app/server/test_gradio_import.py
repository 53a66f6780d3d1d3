"""Gradio comes without the parts that serving does not use, and with MCP where a server offers it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.build import build
from tests.helpers.app_parts import make_state

CODE = """
import sys
import app.build
import gradio.component_meta, gradio.mcp
assert gradio.component_meta.create_or_modify_pyi.__module__ == "app.server.gradio_import"
assert "mcp" not in sys.modules
from app.server.gradio_import import bring_mcp
bring_mcp()
names = ("types", "Server", "ReadResourceContents", "SseServerTransport", "StreamableHTTPSessionManager")
assert all(hasattr(gradio.mcp.GradioMCPServer, name) for name in names)
"""


@pytest.mark.slow
def test_no_stub_is_written_and_mcp_comes_when_it_is_wanted() -> None:
    root = Path(__file__).resolve().parents[3]
    ran = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_no_web_app_is_made_before_the_one_that_serves(tmp_path: Path) -> None:
    assert build(make_state(tmp_path)).app is None
