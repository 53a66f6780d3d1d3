"""The public names: all there, imported late, known to type checkers, and file names as text or as `Path`."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import lrsclip
from lrsclip import errors
from lrsclip.atlas.scenes import write_scenes
from lrsclip.checkpoints.native import read_checkpoint, read_manifest, read_tensors, write_checkpoint
from lrsclip.checkpoints.published import read_published
from lrsclip.index import read_manifest as read_index_manifest
from lrsclip.io.atomic import file_sha256, write_json
from lrsclip.localize import Heatmap, WindowMemory, find_regions, open_scene, write_geojson, write_geotiff, write_png
from lrsclip.localize.localizer import localize
from lrsclip.tiles import FolderTiles
from tests.helpers.app_parts import draw_tile
from tests.helpers.app_parts import write_geotiff as make_geotiff
from tests.helpers.published_forward import random_state

SOURCE = Path(lrsclip.__file__)


def test_every_public_name_is_there_and_is_seen_by_type_checkers() -> None:
    assert len(set(lrsclip.__all__)) == len(lrsclip.__all__) and set(lrsclip.__all__) <= set(dir(lrsclip))
    for name in lrsclip.__all__:
        assert getattr(lrsclip, name).__doc__, name
    checked = next(
        node for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )  # fmt: skip
    seen: dict[str, str | None] = {}
    for node in checked.body:
        assert isinstance(node, ast.ImportFrom)
        seen |= {alias.name: node.module for alias in node.names}
    assert sorted(seen) == sorted(lrsclip.__all__)
    for name in set(seen) - {"localize"}:
        assert getattr(lrsclip, name) is getattr(sys.modules[str(seen[name])], name), name
    with pytest.raises(AttributeError, match="no attribute 'lokalize'"):
        _ = lrsclip.lokalize


def test_every_kind_of_error_is_public() -> None:
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds == {name for name in lrsclip.__all__ if name in vars(errors)}
    elsewhere = {
        kind.__name__ for named in kinds for kind in getattr(errors, named).__subclasses__()
        if kind.__module__.startswith("lrsclip.") and not kind.__name__.startswith("_")
    }  # fmt: skip
    assert elsewhere <= kinds


@pytest.mark.parametrize(
    ("script", "heavy"),
    [
        ("import lrsclip; dir(lrsclip)", {"torch", "numpy", "faiss", "PIL"}),
        ("import lrsclip; lrsclip.Query, lrsclip.open_tiles, lrsclip.open_image, lrsclip.TileIndex", {"torch"}),
        ("import lrsclip; lrsclip.localize, lrsclip.classify, lrsclip.search", {"torch"}),
    ],
)
def test_names_bring_no_more_than_they_need(script: str, heavy: set[str]) -> None:
    assert _run(f"{script}; import sys; print(sorted({heavy!r} & set(sys.modules)))") == "[]"


def _run(script: str) -> str:
    command, root = [sys.executable, "-c", script], SOURCE.parents[1]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout.strip()


@pytest.mark.parametrize("first", ["import lrsclip.localize", "from lrsclip import localize_all", "pass"])
def test_localize_is_a_function_and_a_package_whatever_is_imported_first(first: str) -> None:
    script = f"""
import subprocess
import sys
{first}
import lrsclip
function = lrsclip.localize
from lrsclip.localize import find_regions, write_geotiff
import lrsclip.localize
from lrsclip import localize
print(function is lrsclip.localize is localize is sys.modules["lrsclip.localize"], callable(function))
"""
    assert _run(script) == "True True"


def test_the_package_localize_does_what_its_function_does() -> None:
    model, scene = lrsclip.random_model(), draw_tile("harbour", 2, 240)
    by_package = lrsclip.localize(model, scene, "boats", exclude="a road", scales_px=[128], memory=WindowMemory())
    by_function = localize(model, scene, "boats", exclude="a road", scales_px=[128], memory=WindowMemory())
    assert (by_package.scores_cos == by_function.scores_cos).all() and by_package.best == by_function.best
    called = type(lrsclip.localize).__call__
    assert list(inspect.signature(called).parameters) == ["self", *inspect.signature(localize).parameters]
    assert called.__doc__ == localize.__doc__


def heatmap_of(folder: Path) -> Heatmap:
    scene = make_geotiff(folder / "scene.tif", draw_tile("harbour", 2, 240))
    return localize(lrsclip.random_model(), scene, "boats", scales_px=[128], memory=WindowMemory())


def test_a_heat_map_is_written_to_a_name_that_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heatmap = heatmap_of(tmp_path)
    place, regions = heatmap.georeference, find_regions(heatmap.cells, georeference=heatmap.georeference)
    monkeypatch.chdir(tmp_path)
    facts = {"text": "boats", "method": "windows", "model": "random"}
    write_geotiff("heat.tif", heatmap.cells, place, **facts)
    write_geojson("regions.geojson", regions, place, "boats")
    assert write_png("heat.png", heatmap, place)[0] == Path("heat.png")
    (tmp_path / "other").mkdir()
    write_geotiff(tmp_path / "other/heat.tif", heatmap.cells, place, **facts)
    write_geojson(tmp_path / "other/regions.geojson", regions, place, "boats")
    write_png(tmp_path / "other/heat.png", heatmap, place)
    for name in ("heat.tif", "regions.geojson", "heat.png", "heat.pgw"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    with pytest.raises(errors.ExportError, match="there is no folder nowhere"):
        write_geotiff("nowhere/heat.tif", heatmap.cells, place, **facts)


class PurePathLike:
    """A path that is neither text nor `Path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.mark.parametrize("kind", [str, Path, PurePathLike])
def test_file_names_are_text_or_paths(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    model = lrsclip.random_model()
    pictures, index, folder, published = (tmp_path / name for name in ("tiles", "index", "model", "model.pt"))
    pictures.mkdir()
    draw_tile("road", 1).save(pictures / "a.png")
    made = kind(pictures / "a.png")
    assert lrsclip.open_image(made).size == open_scene(made).thumbnail(512).size == Image.open(made).size
    tiles = lrsclip.open_tiles(kind(pictures))
    assert tiles.tile_ids() == ["a.png"] == FolderTiles(kind(pictures)).tile_ids()
    built = lrsclip.build_index(tiles, model, kind(index))
    built.save(kind(tmp_path / "copy"))
    built.remove(_second(tmp_path, built, model, kind), directory=kind(index))
    assert lrsclip.TileIndex.load(kind(index), model).tile_ids() == ["a.png"]
    assert read_index_manifest(kind(index)).count == read_index_manifest(kind(tmp_path / "copy")).count == 1
    assert lrsclip.search(built, model, lrsclip.Query(image=made)).hits[0].score_cos > 0.999
    assert lrsclip.classify(model, [made], ["a road"])[0].label == "a road"
    assert lrsclip.localize(model, made, "a road", memory=WindowMemory(folder=kind(tmp_path / "memory"))).windows
    sha256 = write_checkpoint(kind(folder), model.model, name="m", vocabulary={}, training={}, metrics={})
    assert sha256 == file_sha256(kind(folder / "model.safetensors")) == read_manifest(kind(folder))["sha256"]
    assert read_checkpoint(kind(folder))[1]["name"] == lrsclip.load(kind(folder)).name == "m"
    assert read_tensors(kind(folder / "model.safetensors"))
    torch.save(random_state(64, 64, 1, 1, 32, 32), published)
    assert read_published(kind(published)).config == lrsclip.load(kind(published)).config
    write_json(kind(tmp_path / "a.json"), {})
    assert (tmp_path / "a.json").read_text() == "{}\n"
    assert write_scenes(kind(tmp_path / "scenes"), count=0) == 0


def _second(tmp_path: Path, index: lrsclip.TileIndex, model: lrsclip.LRSCLIP, kind: Callable[[Path], Any]) -> str:
    (tmp_path / "more").mkdir()
    draw_tile("tanks", 2).save(tmp_path / "more/b.png")
    more = lrsclip.open_tiles(kind(tmp_path / "more"))
    index.add(more, model, directory=kind(tmp_path / "index"))
    return more.spec


def test_a_path_is_a_folder_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("atlas")
    draw_tile("road", 1).save("atlas/a.png")
    assert lrsclip.open_tiles(Path("atlas")).tile_ids() == ["a.png"]
    assert len(lrsclip.open_tiles("atlas:?tiles=4")) == 4
