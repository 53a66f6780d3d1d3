"""Room on disk and in lanes: nobody takes it all, and what others hold is left alone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
from PIL import Image

import app.places.page as page_places
import lrsclip
from app.build import build, serve
from app.collections import AppState, Collections
from app.places.cache import index_dir, kept_while_opening, make_room
from app.places.service import open_collection
from app.server import settings
from app.server.checked_blocks import CheckedBlocks
from app.server.settings import Settings
from app.server.upload_folder import UploadFolder
from lrsclip.errors import LRSCLIPError, TileSourceError
from lrsclip.localize import open_scene
from lrsclip.localize.window_encoding import parts_of
from lrsclip.tiles import open_tiles
from tests.app.server.test_callers import until
from tests.helpers.app_parts import make_state
from tests.helpers.scene_parts import smooth

pytestmark = pytest.mark.slow


def test_who_sends_without_end_pushes_out_own_files_alone(tmp_path: Path) -> None:
    folder, size = UploadFolder(tmp_path.resolve()), 2**17  # as a small file counts

    def sent(sender: str, age_s: float) -> Path:
        path = folder.new_place("a.png", sender)
        path.write_bytes(bytes(size))
        os.utime(path, (time.time() - age_s,) * 2)
        return path

    modest = [sent("192.0.2.1", age) for age in (900, 800)]
    greedy = [sent("192.0.2.2", age) for age in range(30, 0, -1)]
    folder.trim(10 * size, 3600)
    assert all(path.is_file() for path in modest), "though they are the oldest"
    assert [path.is_file() for path in greedy] == [False] * 22 + [True] * 8
    folder.trim(3 * size, 3600)
    assert sum(path.is_file() for path in modest) >= 1, "an equal share is left to each"
    folder.trim(3 * size, 0)
    assert not any(path.exists() for path in (*modest, *greedy))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    return tmp_path


def of_size(path: Path, size: int, age_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_collections_of_visitors_have_a_bound_on_disk(cache: Path) -> None:
    own = of_size(cache / "index" / "of-the-operator" / "vectors", 5000, 90_000)
    old = of_size(cache / "atlas-1-2-3" / "a.jpg", 4000, 9000)
    index = of_size(cache / "visitors" / "key" / "vectors", 4000, 5000)
    tile = of_size(cache / "places" / "key" / "17" / "1" / "2.tile", 1000, 4000)
    fresh, bundle = open_tiles("atlas:?seed=4&tiles=4&px_m=0.5"), lrsclip.random_model()
    new = of_size(cast(Any, fresh).folder / "a.jpg", 3000, 5)
    make_room(12_000, [])
    assert old.is_file(), "all of it fits"
    make_room(9_000, [])
    assert not old.parent.exists() and index.is_file()
    make_room(4_000, [])
    assert not index.exists() and tile.is_file()
    with kept_while_opening(fresh, bundle):
        make_room(100, [])
        assert not tile.exists() and new.is_file(), "it is on its way"
        with pytest.raises(TileSourceError, match="no room for another collection"):
            make_room(100, [], for_another=True)
    make_room(100, [])
    assert own.is_file() and not new.exists()


def test_what_is_open_stays(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    source, bundle = open_tiles("atlas:?seed=4&tiles=4&px_m=0.5"), lrsclip.random_model()
    state = AppState(bundle, cast(Any, None), source)
    held = [
        of_size(index_dir(source, bundle) / "vectors", 900, 9000),
        of_size(cast(Any, source).folder / "a", 900, 9000),
    ]
    make_room(10, [state])
    assert all(path.is_file() for path in held)


def test_a_visitor_opens_a_collection_that_is_kept_apart(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    state = make_state(tmp_path_factory.mktemp("room"))
    collections = Collections(state, untrusted=True)
    opened = open_collection(collections, "atlas:?seed=3&tiles=4&px_m=0.5", lambda *_: None, threading.Event())
    assert (index_dir(opened.source, opened.bundle) / "manifest.json").is_file()
    assert not list(cache.glob("index/*"))
    assert collections.opened() == [state, opened]
    settings.use(Settings(max_cache_mb=64))
    try:
        open_collection(collections, "atlas:?seed=5&tiles=4&px_m=0.5", lambda *_: None, threading.Event())
    finally:
        settings.use(Settings())


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CheckedBlocks, str, threading.Event]]:
    """A server behind a proxy on which opening a collection takes as long as the event is not set."""
    go_on = threading.Event()

    def slow(collections: Collections, *_: Any) -> AppState:
        go_on.wait(60)
        return collections.first

    monkeypatch.setattr(page_places, "open_collection", slow)
    settings.use(Settings(trust_proxy=1))
    demo = build(make_state(tmp_path), untrusted=True)
    try:
        yield demo, serve(demo, host="127.0.0.1", port=None, block=False), go_on
    finally:
        go_on.set()
        demo.close(verbose=False)
        settings.use(Settings())


def test_one_client_opens_two_collections_at_once_and_leaves_the_other_places(
    server: tuple[CheckedBlocks, str, threading.Event],
) -> None:
    demo, url, go_on = server
    number = next(index for index, function in demo.fns.items() if function.concurrency_id == "places")
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        check = demo._check_share

        def noted(call: Any) -> None:
            try:
                check(call)
            except LRSCLIPError as error:
                told.append(f"{call.client}: {error}")
                raise

        patch.setattr(demo, "_check_share", noted)
        for session, client in (("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "192.0.2.1"), ("d", "192.0.2.2")):
            call = {"fn_index": number, "data": ["atlas", None], "session_hash": session}
            answer = httpx.post(f"{url}gradio_api/queue/join", json=call, headers={"X-Forwarded-For": client})
            assert answer.status_code == 200
        until(lambda: len(told) == 1)
        until(lambda: len(demo.callers.running()) == 3)
        assert told == ["192.0.2.1: 2 collections are being opened for you already; wait for one of them, or stop it"]
        go_on.set()


def test_huge_windows_are_read_small_and_mean_the_same() -> None:
    scene, bundle = open_scene(smooth(3000, 3100)), lrsclip.random_model()
    sizes: list[int] = []
    read = scene.read

    def noted(box: Any, size_px: Any = None) -> Any:
        got = read(box, size_px)
        sizes.append(max(got.shape))
        return got

    cast(Any, scene).read = noted
    parts = parts_of(bundle, scene, "windows", (2900,), 4)
    vectors = np.concatenate([part.encode() for part in parts])
    boxes = np.concatenate([part.boxes_px for part in parts])
    assert len(vectors) >= 2 and max(sizes) <= 1100
    full = bundle.encode_image([Image.fromarray(read(tuple(box))) for box in boxes.tolist()])
    assert ((vectors * full).sum(axis=1) > 0.999).all()
