"""Many at once: `python -m benchmarks.load` lets 32 users use a server of this machine for two minutes.

Each user searches, classifies an upload or localizes in a tile, and thinks for some seconds in between, over plain HTTP
as programs do. Nothing leaves the machine; users and server share its processors, so a server alone is faster.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from train.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
_WORK = (("search", 0.6), ("classify", 0.2), ("localize, dense", 0.1), ("localize, windows", 0.1))
_KINDS = ("airport", "harbour", "farm", "forest", "stadium", "tank farm", "railway station", "village", "quarry")
_COLORS = ("white", "grey", "green", "red", "dark")


@dataclass
class Told:
    """The report of the users."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class User:
    """One user: an address as a proxy would send it, a random generator, and texts to send."""

    port: int
    number: int
    tiles: list[str]
    texts: list[str]
    told: Told

    def live(self, until: float, think_s: float) -> None:
        """Work and think until the time is over."""
        rng = random.Random(self.number)
        time.sleep(rng.uniform(0, think_s))
        while time.monotonic() < until:
            kind = rng.choices([name for name, _ in _WORK], [share for _, share in _WORK])[0]
            began = time.monotonic()
            try:
                self._do(kind, rng)
                with self.told.lock:
                    self.told.seconds[kind].append(time.monotonic() - began)
            except Exception as error:
                with self.told.lock:
                    self.told.errors.append(f"{kind}: {type(error).__name__}: {error}"[:300])
            time.sleep(rng.uniform(0.5, 1.5) * think_s)

    def _do(self, kind: str, rng: random.Random) -> None:
        text = f"{rng.choice(_COLORS)} {rng.choice(_KINDS)}. " + rng.choice(self.texts)
        text = text[: rng.choice((40, 120, len(text)))]
        if kind == "search":
            assert len(self._call("search", {"text": text, "k": 12})["hits"]) == 12
        elif kind == "classify":
            self._call("classify", {"picture": self._upload(rng)})
        else:
            asked = {"text": text, "picture": None, "tile_id": rng.choice(self.tiles), "method": kind.split(", ")[1]}
            self._call("localize", asked)

    def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        event = json.loads(self._ask("POST", f"/gradio_api/call/v2/{name}", json.dumps(arguments).encode()))["event_id"]
        stream = self._ask("GET", f"/gradio_api/call/{name}/{event}").decode()
        events = [block.split("\n", 1) for block in stream.strip().split("\n\n")]
        last, data = events[-1][0], events[-1][1].removeprefix("data: ")
        if last != "event: complete":
            raise RuntimeError(f"{last} {data}")
        return json.loads(data)[0]

    def _upload(self, rng: random.Random) -> dict[str, Any]:
        noise = np.random.default_rng(rng.randrange(10**9)).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).resize((512, 512)).save(buffer, "JPEG")
        head = b'--load-test-edge\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n'
        body = head + b"Content-Type: image/jpeg\r\n\r\n" + buffer.getvalue() + b"\r\n--load-test-edge--\r\n"
        kind = "multipart/form-data; boundary=load-test-edge"
        (path,) = json.loads(self._ask("POST", "/gradio_api/upload", body, kind))
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            told = {"Content-Type": kind, "X-Forwarded-For": f"10.0.0.{self.number}"}
            connection.request(method, path, body, told)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path.split('/')[2]} gave {answer.status} {content[:200]!r}")
        return content


def resident_mb(pid: int) -> float:
    """Read the resident memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def health(port: int) -> dict[str, Any] | None:
    """Ask the server for its health; None while it does not answer yet."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health")
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
    except OSError:
        return None
    return told if "model" in told else None  # while it starts, it tells how far it is


def run(port: int, pid: int, args: argparse.Namespace) -> tuple[Told, list[float]]:
    """Run the users, and sample the memory now and then; return their reports and the MB."""
    listed = json.loads((ROOT / "lrsclip/checkpoints/tiny/manifest.json").read_text())["name"]
    assert (health(port) or {})["model"]["name"] == listed
    examples = tomllib.loads((ROOT / "app/search/examples.toml").read_text(encoding="utf-8"))["example"]
    texts, told = [" ".join(one["text"].split()) for one in examples], Told()
    first = User(port, 0, [], texts, told)
    tiles = [hit["tile_id"] for text in texts for hit in first._call("search", {"text": text, "k": 60})["hits"]]
    until = time.monotonic() + args.seconds
    users = [User(port, number, tiles, texts, told) for number in range(1, args.users + 1)]
    threads = [threading.Thread(target=user.live, args=(until, args.think)) for user in users]
    memory = [resident_mb(pid)]
    for thread in threads:
        thread.start()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, args.every))
        memory.append(resident_mb(pid))
    for thread in threads:
        thread.join()
    return told, memory


def report(told: Told, memory: list[float], facts: dict[str, Any] | None, args: argparse.Namespace) -> None:
    """Print the Markdown table."""
    print(f"| {args.users} users, {args.seconds} s, {args.tiles:,} tiles | calls | median | p95 | longest |")
    print("|---|---|---|---|---|")
    for kind, _ in _WORK:
        times = 1000 * np.array(told.seconds[kind] or [np.nan])
        middle, high = np.percentile(times, (50, 95))
        print(f"| {kind} | {len(told.seconds[kind])} | {middle:.0f} ms | {high:.0f} ms | {times.max():.0f} ms |")
    print(f"\nerrors: {len(told.errors)}", *told.errors[:5], sep="\n  ")
    print(f"memory every {args.every} s, MB: {', '.join(f'{mb:.0f}' for mb in memory)}")
    if facts is not None and facts["queue"]:
        print(f"model: {facts['queue']['jobs']} jobs in {facts['queue']['runs']} runs")
    print(", ".join(f"{name} {value}" for name, value in provenance().items()))


def main() -> int:
    """Start the server, let the users in, report."""
    parser = argparse.ArgumentParser(description="Many users at once.")
    parser.add_argument("--users", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--think", type=float, default=4.0, help="seconds between two calls of a user, on average")
    parser.add_argument("--tiles", type=int, default=10_921)
    parser.add_argument("--every", type=int, default=20, help="seconds between two looks at the memory")
    args = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    # Each user has an address, as behind a proxy, and with it a limit of their own.
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "LRSCLIP_TRUST_PROXY": "1"}
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "benchmarks.load_server", "--port", str(port), "--tiles", str(args.tiles)]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            while health(port) is None:
                if server.poll() is not None:
                    log.seek(0)
                    raise SystemExit(log.read().decode())
                time.sleep(0.2)
            told, memory = run(port, server.pid, args)
            report(told, memory, health(port), args)
        finally:
            server.terminate()
            server.wait(30)
    return 1 if told.errors else 0


if __name__ == "__main__":
    sys.exit(main())
