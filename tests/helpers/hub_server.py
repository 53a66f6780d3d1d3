"""A small Hugging Face Hub on loopback: repositories of a few files, their listings, and files by ranges of bytes."""

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

COMMIT = "a" * 40


@dataclass
class ModelHub:
    """What it holds and what it sent.

    Attributes:
        url: for HF_ENDPOINT.
        repos: owner/name -> path -> content.
        sent_bytes: path -> bytes of its content so far.
        ranges: whether parts of files can be asked for.
    """

    url: str = ""
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    sent_bytes: dict[str, int] = field(default_factory=dict)
    ranges: bool = True


@contextmanager
def serve_hub(repos: dict[str, dict[str, bytes]]) -> Iterator[str]:
    """Serve `{owner/name: {file: content}}`; gives the endpoint's address."""
    with serve_models(repos) as hub:
        yield hub.url


@contextmanager
def serve_models(repos: dict[str, dict[str, bytes]]) -> Iterator[ModelHub]:  # noqa: C901  (a branch an answer)
    """Serve repositories until the end of the block, and count what is asked for."""
    hub = ModelHub(repos=repos)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def answer(self, body: str = "") -> None:
            path = unquote(self.path.split("?")[0])
            for repo, files in hub.repos.items():
                rows = [{"type": "file", "path": n, "size": len(c), "oid": sha(c)} for n, c in files.items()]
                if path.startswith(f"/api/models/{repo}/paths-info/"):
                    asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                    return self.json([row for row in rows if row["path"] in asked])
                if path.startswith(f"/api/models/{repo}/tree/"):
                    return self.json(rows)
                if re.fullmatch(rf"/api/models/{repo}(/revision/(main|{COMMIT}))?", path):
                    info = {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0}
                    sized = "blobs=true" in self.path.lower()
                    more = [{"size": len(c), "blobId": sha(c)} if sized else {} for c in files.values()]
                    names = [{"rfilename": name, **size} for name, size in zip(files, more, strict=True)]
                    return self.json(info | {"siblings": names})
                match = re.fullmatch(rf"/{repo}/resolve/[^/]+/(.+)", path)
                if match and match[1] in files:
                    return self.file(match[1], files[match[1]])
                if path.startswith((f"/api/models/{repo}/", f"/{repo}/")):
                    code = "EntryNotFound" if "/resolve/" in path else "RevisionNotFound"
                    return self.json({"error": "not found"}, 404, {"X-Error-Code": code})
            return self.json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

        def json(self, value: object, status: int = 200, more: dict[str, str] | None = None) -> None:
            self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(more or {})})

        def file(self, name: str, content: bytes) -> None:
            marks = {"ETag": f'"{sha(content)}"', "X-Repo-Commit": COMMIT, "Content-Type": "application/octet-stream"}
            span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            status = 200
            if span is not None and hub.ranges:
                first, last = int(span[1]), min(int(span[2] or len(content) - 1), len(content) - 1)
                marks["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                content, status = content[first : last + 1], 206
            if self.command != "HEAD":
                hub.sent_bytes[name] = hub.sent_bytes.get(name, 0) + len(content)
            self.send(status, content, marks)

        def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def sha(content: bytes) -> str:
    """What the Hub calls a file's etag, near enough."""
    return hashlib.sha256(content).hexdigest()
