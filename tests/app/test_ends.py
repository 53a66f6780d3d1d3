"""Ctrl-C, SIGTERM and kill -9 while tiles are drawn: one short line, what is done is kept, and nobody stays behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.helpers.app_parts import write_tiles

ROOT = Path(__file__).resolve().parents[2]
SPEC = "atlas:?seed=77&tiles=4096&px_m=0.5"  # a third of the work of 1 m
COMMANDS = {"app": ["app.py", "--port", "7993", "--tiles", SPEC], "index": ["-m", "lrsclip.index", "build", SPEC]}
PATIENCE_S = 120  # to begin: imports and the first block, on a busy machine
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


def until(what: Callable[[], bool], max_s: float) -> bool:
    end = time.monotonic() + max_s
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def of_group(group: int) -> list[int]:
    """Processes of a group that are still at work."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):  # gone meanwhile, or no process
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(entry.name))
    return found


def start(command: list[str], cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "LRSCLIP_CACHE": str(cache), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.fixture
def drawing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that is drawing tiles."""
    process = start(COMMANDS[request.param], tmp_path)
    try:
        if not until(lambda: bool(list(tmp_path.glob("atlas-*/block-*.json"))), PATIENCE_S):
            process.kill()
            pytest.fail(f"nothing was drawn: {process.communicate()[0]}")
        yield process
    finally:
        for left in of_group(process.pid):
            os.kill(left, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("drawing", list(COMMANDS), indirect=True)
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
def test_a_stopped_command_ends_at_once_and_keeps_what_it_drew(
    drawing: subprocess.Popen[str], how: str, tmp_path: Path
) -> None:
    before = len(list(tmp_path.glob("atlas-*/block-*.json")))
    started = time.monotonic()
    if how == "SIGINT":
        os.killpg(drawing.pid, signal.SIGINT)  # as a terminal does: to all of them
    else:
        drawing.terminate()
    output, _ = drawing.communicate(timeout=60)
    assert time.monotonic() - started < 15  # 1 s when nothing else is going on
    assert drawing.returncode == 130, output
    assert "Traceback" not in output
    assert "KeyboardInterrupt" not in output
    assert "kept" in output.splitlines()[-1]
    assert until(lambda: not of_group(drawing.pid), 10)
    assert len(list(tmp_path.glob("atlas-*/block-*.json"))) >= before >= 1
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("drawing", ["app"], indirect=True)
def test_a_killed_server_leaves_no_worker_behind(drawing: subprocess.Popen[str]) -> None:
    assert len(of_group(drawing.pid)) > 1
    drawing.kill()
    drawing.wait()
    assert until(lambda: not of_group(drawing.pid), 15), of_group(drawing.pid)


def answer(url: str) -> httpx.Response | None:
    """What an address says, if anybody listens there."""
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=30)
    return None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_draws_for_a_visitor_ends_at_once(how: signal.Signals, tmp_path: Path) -> None:
    write_tiles(tmp_path / "tiles")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = start(["app.py", "--port", str(port), "--tiles", str(tmp_path / "tiles")], tmp_path / "cache")
    try:
        assert until(lambda: (told := answer(f"{url}/health")) is not None and told.status_code == 200, PATIENCE_S)
        functions = httpx.get(f"{url}/config", timeout=30).json()["dependencies"]
        number = next(one["id"] for one in functions if one["api_name"] == "opened")
        call = {"fn_index": number, "data": [SPEC, None], "session_hash": "me"}
        assert httpx.post(f"{url}/gradio_api/queue/join", json=call, timeout=30).status_code == 200
        assert until(lambda: bool(list((tmp_path / "cache").glob("atlas-*/block-*.json"))), PATIENCE_S)
        started = time.monotonic()
        os.killpg(server.pid, how) if how is signal.SIGINT else server.terminate()
        output, _ = server.communicate(timeout=60)
        assert time.monotonic() - started < 15  # 2 s when nothing else is going on
        assert server.returncode == 130 and "Traceback" not in output and "kept" in output.splitlines()[-1], output
        assert until(lambda: not of_group(server.pid), 10)
    finally:
        for left in of_group(server.pid):
            os.kill(left, signal.SIGKILL)


POOL = """
import sys, time, types
from lrsclip import workers
if sys.argv[1] == "watched":
    workers.sys = types.SimpleNamespace(platform="another")  # in the workers too: they read this file
if __name__ == "__main__":
    pool = workers.process_pool(2)
    jobs = [pool.submit(time.sleep, 300) for _ in range(4)]
    pool.submit  # both processes are there now
    time.sleep(float(sys.argv[2]))
    print("ready", flush=True)
    time.sleep(300)
"""


@pytest.mark.parametrize("by", ["the system", "watched"])
@pytest.mark.parametrize("after_s", [0.0, 4.0])
def test_workers_go_with_whoever_started_them(by: str, after_s: float, tmp_path: Path) -> None:
    """Also where the system does not see to it, and where the parent goes before they are awake."""
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    process = start([str(script), by, str(after_s)], tmp_path)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        assert len(of_group(process.pid)) >= 3
        process.kill()
        process.wait()
        assert until(lambda: not of_group(process.pid), 30), of_group(process.pid)
    finally:
        for left in of_group(process.pid):
            os.kill(left, signal.SIGKILL)
        process.stdout.close()
