"""A Hugging Face Hub on loopback that holds data sets: listings, and files by ranges of bytes."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote

COMMIT = "b" * 40


@dataclass
class DatasetHub:
    """What it holds and what it was asked.

    Attributes:
        url: for HF_ENDPOINT.
        repos: owner/name -> path -> content.
        sent_bytes: of file contents so far.
    """

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sent_bytes: int = 0


@contextmanager
def serve_datasets(repos: dict[str, dict[str, bytes]]) -> Iterator[DatasetHub]:  # noqa: C901  (a branch an answer)
    """Serve data sets until the end of the block."""
    hub = DatasetHub(repos=repos)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.answer(self.rfile.read(length).decode())

        def answer(self, body: str = "") -> None:
            path = unquote(self.path.split("?")[0])
            for repo, files in hub.repos.items():
                if match := re.fullmatch(rf"/api/datasets/{repo}/tree/[^/]+/?(.*)", path):
                    return self.json(listing(files, match[1]))
                if path.startswith(f"/api/datasets/{repo}/paths-info/"):
                    asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                    return self.json([row for row in listing(files, "") if row["path"] in asked])
                if re.fullmatch(rf"/api/datasets/{repo}(/revision/main)?", path):
                    return self.json({"id": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0})
                match = re.fullmatch(rf"/datasets/{repo}/resolve/[^/]+/(.+)", path)
                if match and match[1] in files:
                    return self.file(files[match[1]])
            return self.json({"error": "not found"}, 404, {"X-Error-Code": "RepoNotFound"})

        def json(self, value: object, status: int = 200, more: dict[str, str] | None = None) -> None:
            self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(more or {})})

        def file(self, content: bytes) -> None:
            marks = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if span is None:
                return self.send(200, content, marks)
            first, last = int(span[1]), min(int(span[2] or len(content) - 1), len(content) - 1)
            return self.send(
                206, content[first : last + 1], {**marks, "Content-Range": f"bytes {first}-{last}/{len(content)}"}
            )

        def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
                hub.sent_bytes += len(content) if "ETag" in headers else 0

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def listing(files: dict[str, bytes], under: str) -> list[dict[str, object]]:
    """Files below a folder, as the Hub lists them."""
    return [
        {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for path, content in files.items()
        if path.startswith(f"{under}/" if under else "")
    ]
