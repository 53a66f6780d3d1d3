"""No value of any call opens, tells of, or changes a file outside the server's own folder, and none hangs a worker."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import matplotlib
import pytest

from app.build import build, serve
from app.server import settings
from app.server.checked_blocks import CheckedBlocks
from app.server.settings import Settings
from app.server.upload_folder import NO_SUCH_UPLOAD, own_folder
from tests.app.server.strangers import Answer, Opened, Stranger, watched_folder
from tests.helpers.app_parts import as_sent, draw_tile, make_state, write_geotiff

OPENED = Opened()
_FEW = 3
MARK = {"meta": {"_type": "gradio.FileData"}}


@dataclass(frozen=True)
class Server:
    """A running server, and a folder beside it that is none of its visitors' business."""

    demo: CheckedBlocks
    url: str
    private: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    private = tmp_path_factory.mktemp("private")
    draw_tile("tanks", 1).save(private / "picture.jpg")
    draw_tile("tanks", 2).save(private / "picture.png")
    write_geotiff(private / "raster.tif", draw_tile("field", 2, 64))
    (private / "queries.csv").write_text("query\na road\n")
    os.mkfifo(private / "pipe")
    settings.use(Settings(requests_per_minute=0))
    demo = build(make_state(tmp_path_factory.mktemp("gate")), untrusted=True)
    try:
        yield Server(demo, serve(demo, host="127.0.0.1", port=None, block=False), private)
    finally:
        demo.close(verbose=False)
        settings.use(Settings())


def paths_of(server: Server) -> list[str]:
    """Paths that lead elsewhere: to what is there, to what is not, and to what would block or be no file."""
    private, root = server.private, own_folder().root
    inside = as_sent(private / "picture.png").path
    (root / "link.png").unlink(missing_ok=True)
    (root / "link.png").symlink_to(private / "picture.png")
    (root / "linked").unlink(missing_ok=True)
    (root / "linked").symlink_to(private)
    up = "../" * 12
    return [
        *(str(private / name) for name in ("picture.jpg", "picture.png", "raster.tif", "queries.csv", "pipe", "none")),
        str(private),
        f"{root}/../{private.name}/picture.png",
        f"{root}/{up}{private}/picture.png",
        f"{root}//{inside.relative_to(root)}",
        f"{root}/./{inside.relative_to(root)}",
        f"{inside}/",
        f"{inside}\0.png",
        str(root / "link.png"),
        str(root / "linked" / "picture.png"),
        str(root / ".lock"),
        str(root),
        os.path.relpath(private / "picture.png"),
        inside.name,
        "app.py",
        "/proc/self/fd/1",
        "/proc/self/environ",
        "/dev/zero",
        "/dev/stdin",
        "/etc/passwd",
        f"file://{private}/picture.png",
        f"/vsizip/{private}/picture.zip/a.png",
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "http://127.0.0.1:9/a.png",
        "https://192.0.2.1/a.png",
        "data:image/png;base64,AAAA",
        "",
        "~/picture.png",
        "x" * 5000,
    ]  # fmt: skip


def file_values(path: str) -> list[Any]:
    """A path in all the shapes in which a file may be named, with and without Gradio's marker."""
    bare = {"path": path}
    return [
        bare,
        bare | MARK,
        {"path": path, "url": path, "orig_name": "a.png", "size": 9} | MARK,
        {"url": path} | MARK,
    ]


def other_values(path: str) -> list[Any]:
    """The same deeper inside, or as a bare text."""
    bare = {"path": path} | MARK
    return [path, [bare], [[bare]], {"value": bare}, {"image": bare, "caption": None}, {"path": bare}, [path, path]]


def start_values(demo: CheckedBlocks, number: int) -> list[Any]:
    """Values that a function can be called with."""
    values: list[Any] = []
    for block in demo.fns[number].inputs:
        choices = getattr(block, "choices", None)
        if isinstance(block, gr.State | gr.Image | gr.File | gr.JSON | gr.Number):
            values.append(None)
        elif isinstance(block, gr.Slider):
            values.append(block.minimum)
        else:
            values.append(choices[0][1] if choices else False if isinstance(block, gr.Checkbox) else "")
    return values


async def asked(server: Server, values: list[Any]) -> dict[tuple[int, int, int], Answer]:
    """Answers to every value in every parameter of every function: (function, parameter, value)."""
    calls: dict[tuple[int, int, int], Any] = {}
    async with Stranger(server.url) as stranger:
        for number, function in server.demo.fns.items():
            start = start_values(server.demo, number)
            for place, block in enumerate(function.inputs):
                # what stands for a session's own state is not looked at, and the function runs as if nothing were sent
                # and where no file goes, a few values stand for all
                most = (
                    len(values) if isinstance(block, gr.Image | gr.File) else 1 if isinstance(block, gr.State) else _FEW
                )
                for which, value in enumerate(values[:most]):
                    data = [*start[:place], value, *start[place + 1 :]]
                    calls[number, place, which] = stranger.join(number, data, {"index": 0, "value": None})
        answers = await asyncio.wait_for(asyncio.gather(*calls.values()), 240)
    return dict(zip(calls, answers, strict=True))


def test_every_parameter_of_every_function_refuses_what_is_no_upload_of_this_server(server: Server) -> None:
    """A walk over the app's own list of functions; a new one is tested with them."""
    demo, private = server.demo, server.private
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in private.iterdir()}
    paths = paths_of(server)
    values = [file_values(path)[0] for path in paths]
    values += [value for path in paths[:2] for value in (*file_values(path)[1:], *other_values(path))]
    with OPENED.listening() as opened, watched_folder(private) as touched:
        answers = asyncio.run(asked(server, values))
    assert touched == []
    allowed = (str(own_folder().root), *_own_files(server))
    strange = {path for path in opened if str(private) in path or not path.startswith(allowed)}
    assert not strange, strange
    assert {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in private.iterdir()} == before
    files = [
        (n, p)
        for n, f in demo.fns.items()
        for p, b in enumerate(f.inputs)
        if isinstance(b, gr.Image | gr.File) and f.fn
    ]
    assert len(files) > 15, "the walk has found the upload boxes"
    alike = len(paths)
    for number, place in files:
        said = {answers[number, place, which].error for which in range(alike)}
        assert len(said) == 1 and NO_SUCH_UPLOAD in str(said), (number, place, said)
    for (number, place, which), answer in answers.items():
        block = demo.fns[number].inputs[place]
        if not isinstance(block, gr.State | gr.Textbox):
            assert not answer.success, (number, place, values[which])
        assert answer.success or answer.error, (number, place, values[which], answer)
    with urllib.request.urlopen(f"{server.url}health", timeout=30) as health:
        assert json.load(health)["status"] == "ok"


def _own_files(server: Server) -> list[str]:
    """Where the server itself may read: its tiles, its code and packages, and temporary files."""
    tiles = server.demo.first.source.spec.removeprefix("folder:")
    return [
        tiles,
        matplotlib.get_cachedir(),
        os.path.dirname(os.__file__),
        *{str(Path(gr.__file__).parents[1])},
        str(Path(__file__).parents[3] / "app"),
    ]


@pytest.mark.parametrize("name", ["classify", "classify_many", "localize", "search"])
def test_no_named_endpoint_takes_a_path(server: Server, name: str) -> None:
    def values(file: Any) -> list[Any]:
        return {
            "classify": [file, "a\nb", "{}", ""],
            "classify_many": [[file], "a\nb", "{}"],
            "localize": ["a road", file, "", "dense", "", None, None],
            "search": ["", 3, "", 0.5, "", file, 1.0, None, None, False],
        }[name]

    async def ask_all() -> list[Answer]:
        async with Stranger(server.url) as stranger:
            given = [values(value) for path in paths_of(server) for value in file_values(path)]
            return list(await asyncio.gather(*(stranger.named(name, one) for one in given)))

    answers = asyncio.run(ask_all())
    assert len({answer.error for answer in answers}) == 1
    assert NO_SUCH_UPLOAD in str(answers[0].error)


def test_an_upload_of_ones_own_is_read_and_stays_as_it_is(server: Server) -> None:
    upload = as_sent(server.private / "picture.png")
    content = upload.path.read_bytes()
    mine = {"path": str(upload.path)}

    async def ask() -> Answer:
        async with Stranger(server.url) as stranger:
            return await stranger.named("classify", [mine, "a road\na field", "{}", ""])

    assert asyncio.run(ask()).success
    assert upload.path.read_bytes() == content


def test_a_file_route_gives_nothing_but_what_lies_in_the_folder(server: Server) -> None:
    given = [path for path in paths_of(server) if path and "\0" not in path and len(path) < 4000]

    async def ask_all() -> set[tuple[int, str]]:
        async with Stranger(server.url) as stranger:
            asked = (stranger.send("GET", f"/gradio_api/file={quote(path, safe='')}") for path in given)
            answers = await asyncio.gather(*asked)
            return {(answer.status_code, answer.text) for answer in answers}

    with OPENED.listening() as opened, watched_folder(server.private) as touched:
        answers = asyncio.run(ask_all())
    assert touched == [] and not [path for path in opened if str(server.private) in path]
    assert {status for status, _ in answers} == {404} and len(answers) <= 2
