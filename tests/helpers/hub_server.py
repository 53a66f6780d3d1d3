"""A small Hugging Face Hub on loopback: what `snapshot_download` asks for a repository of a few files."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "a" * 40


@contextmanager
def serve_hub(repos: dict[str, dict[str, bytes]]) -> Iterator[str]:
    """Serve `{owner/name: {file: content}}`; gives the endpoint's address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = unquote(self.path.split("?")[0])
            for repo, files in repos.items():
                if path.startswith(f"/api/models/{repo}/tree/"):
                    rows = [{"type": "file", "path": n, "size": len(c), "oid": sha(c)} for n, c in files.items()]
                    return self.send(200, json.dumps(rows).encode(), "application/json", body)
                if path.startswith(f"/api/models/{repo}"):
                    info = {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0}
                    info["siblings"] = [{"rfilename": n} for n in files]
                    return self.send(200, json.dumps(info).encode(), "application/json", body)
                for name, content in files.items():
                    if path.startswith(f"/{repo}/resolve/") and path.endswith(f"/{name}"):
                        return self.send(200, content, "application/octet-stream", body)
            self.send(404, b'{"error": "Repository not found"}', "application/json", body, "RepoNotFound")
            return None

        def send(self, status: int, content: bytes, kind: str, body: bool, error: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{sha(content)}"')
            self.send_header("X-Repo-Commit", COMMIT)
            if error:
                self.send_header("X-Error-Code", error)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def sha(content: bytes) -> str:
    """What the Hub calls a file's etag, near enough."""
    return hashlib.sha256(content).hexdigest()
