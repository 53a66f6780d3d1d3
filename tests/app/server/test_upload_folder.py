"""The folder of uploads: what is let through, what is kept, and what goes."""

from __future__ import annotations

import http.client
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from gradio.routes import file_upload_statuses
from hypothesis import given
from hypothesis import strategies as st

from app.server import settings
from app.server.rate_limit import Buckets
from app.server.settings import Settings
from app.server.upload_folder import (
    GRADIO_FOLDER,
    NO_SUCH_UPLOAD,
    Upload,
    UploadFolder,
    UploadFolderError,
    own_folder,
)
from lrsclip.errors import PictureError
from tests.helpers.app_parts import draw_tile, make_state, running


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that keeps 16 MB of files at most, of 4 MB each."""
    settings.use(Settings(requests_per_minute=0, max_upload_mb=4, max_uploads_mb=16))
    try:
        with running(make_state(tmp_path_factory.mktemp("uploads"))) as address:
            yield address
    finally:
        settings.use(Settings())


def send(url: str, *files: tuple[str, bytes]) -> tuple[int, str]:
    """Upload files by hand."""
    parts = [
        b'--eeeeeeee\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in files
    ]
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        form = {"content-type": "multipart/form-data; boundary=eeeeeeee"}
        connection.request("POST", "/gradio_api/upload", b"".join(parts) + b"--eeeeeeee--\r\n", form)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_same_file_sent_twice_lies_in_two_places_that_nobody_can_guess(url: str) -> None:
    first, second = (json.loads(send(url, ("a.csv", b"query\na"))[1])[0] for _ in range(2))
    assert first != second and Path(first).read_bytes() == Path(second).read_bytes()
    assert len(Path(first).parent.name) == 64
    assert Path(first).parent.stat().st_mode & 0o077 == 0 and own_folder().root.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "name", ["../../../x.csv", "/etc/passwd", ".hidden", "", "a" * 400, "x\\y", "%2e%2e%2fx", "é<b>.csv"]
)
def test_a_name_leads_nowhere(url: str, name: str) -> None:
    draw_tile("road", 1).save(buffer := io.BytesIO(), "PNG")
    status, body = send(url, (name, buffer.getvalue()))
    if status == 200:
        path = Path(json.loads(body)[0])
        assert path.parent.parent == own_folder().root and not path.name.startswith(".")
        assert path.read_bytes() == buffer.getvalue()
    else:
        assert status == 400


def test_all_that_is_kept_is_bounded(url: str) -> None:
    paths, before = [], set(own_folder().drafts.glob("*"))  # of other tests of this process
    for _ in range(8):
        status, body = send(url, ("a.csv", os.urandom(1_950_000).hex().encode()))
        assert status == 200
        paths.append(Path(json.loads(body)[0]))
        time.sleep(0.02)  # files of one moment have no order
    others = own_folder()._own  # of servers of other tests in this process
    kept = sum(path.stat().st_size for path in own_folder().root.rglob("*") if path.is_file() and path not in others)
    assert kept <= 16 * 2**20
    assert paths[-1].is_file() and not paths[0].is_file(), "the oldest go"
    assert send(url, ("a.bin", bytes(5_000_000)))[0] == 413
    assert set(own_folder().drafts.glob("*")) <= before, "nothing half-sent stays"


def test_tiny_files_are_bounded_too_and_those_of_others_stay(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path)
    others = folder.new_place("a.csv", "other")
    others.write_bytes(b"x")
    for _ in range(40):
        folder.new_place("a.csv", "many").write_bytes(b"")
    folder.trim(2**20, 3600)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == 8 and others in left


def test_each_file_of_an_upload_counts_as_a_request(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    charged: list[float] = []

    def wait_s(_self: Buckets, _client: str, cost: float = 1.0) -> float:
        charged.append(cost)
        return 7.0 if cost == 3 else 0.0

    monkeypatch.setattr(Buckets, "wait_s", wait_s)
    before = set(own_folder().root.rglob("*.csv"))
    status, body = send(url, *[("a.csv", b"query")] * 4)
    assert status == 429 and "too many files" in body
    assert charged[-1] == 3 and set(own_folder().root.rglob("*.csv")) == before


def test_of_uploads_that_never_were_nothing_is_kept(url: str) -> None:
    before = set(file_upload_statuses._statuses)  # of other tests of this process
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{url}gradio_api/upload_progress?upload_id={'x' * 500}", timeout=30)
    assert set(file_upload_statuses._statuses) == before and not file_upload_statuses._signals
    for number in range(1100):
        file_upload_statuses.track(f"name-{number}")
    assert len(file_upload_statuses._statuses) == 1000
    file_upload_statuses._statuses.clear()


def test_a_form_that_is_none_is_refused_in_words(url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    for body, kind in (
        (b"--eeeeeeee\r\n\r\n--eeeeeeee--", "multipart/form-data; boundary=eeeeeeee"),
        (b"no form", "multipart/form-data; boundary=eeeeeeee"),
        (b"", "multipart/form-data"),
        (b"{}", "application/json"),
        (
            b'--eeeeeeee\r\nContent-Disposition: form-data; name="files"\r\n\r\ntext\r\n--eeeeeeee--\r\n',
            "multipart/form-data; boundary=eeeeeeee",
        ),
    ):
        connection.request("POST", "/gradio_api/upload", body, {"content-type": kind})
        answer = connection.getresponse()
        assert answer.status == 400 and answer.read(), (body, answer.status)
    connection.close()


@given(st.text(max_size=50), st.sampled_from(["", "/", "root", "rootx", "root/..", "root/sub"]))
def test_only_what_the_folder_itself_would_write_is_looked_at(text: str, start: str) -> None:
    folder = UploadFolder(Path("/no/such/folder"))
    path = {
        "root": str(folder.root),
        "rootx": f"{folder.root}x",
        "root/..": f"{folder.root}/..",
        "root/sub": f"{folder.root}/s",
    }
    parts = folder._parts(f"{path.get(start, start)}/{text}")
    if parts is not None:
        assert parts and all(part and not part.startswith(".") and "/" not in part for part in parts)
        assert start in ("root", "root/sub")
    for value in (text, None, 5, [text], {"path": text}, b"x"):
        with pytest.raises(PictureError, match=NO_SUCH_UPLOAD[:20]):
            folder.admit(value)


def test_a_file_is_opened_as_what_it_was_when_it_was_let_through(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path.resolve())
    place = folder.new_place("a.png")
    draw_tile("road", 1).save(place)
    upload = folder.admit(str(place), "../mine.png")
    with upload.open() as file:
        assert file.read(4) == b"\x89PNG"
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")

    def link() -> None:
        place.symlink_to(secret)

    for swap in (link, lambda: os.mkfifo(place), place.mkdir):
        place.unlink()
        swap()
        with pytest.raises(PictureError, match="no such upload"):
            upload.open()
        with pytest.raises(PictureError, match="no such upload"):
            folder.admit(str(place))
    with pytest.raises(PictureError, match="too many pixels"):
        Upload(place, "a", "too many pixels").open()


def test_a_server_without_a_place_for_files_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "from app.server.upload_folder import own_folder; own_folder()"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {GRADIO_FOLDER: str(tmp_path / "file")},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 1 and UploadFolderError.__name__ in told.stderr and GRADIO_FOLDER in told.stderr


@pytest.mark.slow
def test_what_a_killed_server_left_goes_with_the_next_start_and_a_living_one_stays(tmp_path: Path) -> None:
    code = (
        "import os, sys; from app.server.upload_folder import own_folder; folder = own_folder(); "
        "(folder.root / 'left.png').write_bytes(b'x'); print(folder.root, flush=True); sys.stdin.read(); "
        "os._exit(9) if len(sys.argv) > 1 else None"
    )
    environment = os.environ | {GRADIO_FOLDER: str(tmp_path)}

    def start(*arguments: str) -> tuple[subprocess.Popen[str], Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=environment, stdin=-1, stdout=-1, text=True
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    killed, left = start("kill")
    living, stays = start()
    killed.communicate("")
    assert left.is_dir() and stays.is_dir()
    third, own = start()
    assert not left.exists() and stays.is_dir() and own.is_dir()
    for process in (living, third):
        process.communicate("")
    assert not stays.exists() and not own.exists(), "who ends takes its folder along"


def test_what_is_on_its_way_no_longer_goes(tmp_path: Path) -> None:
    folder = UploadFolder(tmp_path.resolve())
    old, fresh, waiting = folder.drafts / "a" / "a.jpg", folder.drafts / "b" / "a.jpg", folder.incoming() / "a.jpg"
    for path in (old, fresh, waiting):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of a camera")
    for path in (old, waiting):
        os.utime(path, (time.time() - 100,) * 2)
    folder.sweep_drafts(90)
    assert not old.parent.exists() and fresh.is_file()
    assert waiting.is_file(), "it is complete, and waits for its turn"
    folder.forget_draft(waiting.parent)
    assert not waiting.parent.exists()
    folder.drafts.rename(tmp_path / "elsewhere")
    folder.sweep_drafts(90)
