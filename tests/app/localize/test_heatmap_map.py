"""What the Localize page shows and hands out: maps on Earth and in pixels, typed text as text, and files."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from playwright.sync_api import Browser, FrameLocator, Page, expect
from pyproj import Transformer

from app.collections import AppState, Collections
from app.localize.exports import Downloads
from app.localize.heatmap_map import Sheet, map_document, map_frame
from app.localize.html import answer_facts, presence_text
from app.localize.service import (
    Answer,
    Ground,
    Question,
    as_json,
    ask,
    ground_of,
    method_of,
    regions_of,
    scales_of,
    sizes_of,
    threshold_of,
)
from app.maps.overlays import area_text, region_shapes, truth_shapes, window_shape
from app.maps.projection import EarthGround, map_ground
from app.media.scene_input import OpenScene, SceneRef, opened, opened_upload
from lrsclip.calibration.presence import Presence
from lrsclip.errors import PictureError, TextError
from lrsclip.localize import CellMap, GeoReference, open_scene
from tests.helpers.app_parts import (
    HIGH,
    NASTY,
    TRUTH,
    WIDE,
    answer_of,
    as_sent,
    draw_tile,
    ground_with,
    made_heatmap,
    make_state,
    write_geotiff,
)
from tests.helpers.scene_places import PLACES, place, reference


def facts_of(document: str) -> dict[str, Any]:
    """What the maps' script is told of them all."""
    found = re.search(r"lrsclipMaps\((\{.*?\}), \[\{map:", document, re.S)
    assert found is not None
    told: dict[str, Any] = json.loads(found.group(1))
    return told


def lonlat(where: GeoReference, x_px: float, y_px: float) -> tuple[float, float]:
    """Where a point of the scene lies by rasterio's transform and a transformer of the test's own."""
    x, y = rasterio.Affine(*where.transform) @ (x_px, y_px)
    longitude, latitude = Transformer.from_crs(where.crs_wkt, "EPSG:4326", always_xy=True).transform(x, y)
    return float(longitude), float(latitude)


def meters(one: tuple[float, float], other: tuple[float, float]) -> float:
    shrink = math.cos(math.radians(one[1]))
    return math.hypot((one[0] - other[0]) * shrink, one[1] - other[1]) * 111_320


# on Earth


@pytest.mark.parametrize("name", PLACES)
def test_the_corners_of_the_map_are_those_of_the_raster(name: str) -> None:
    where = place(name)
    document = map_document(answer_of(made_heatmap(where)), ground_with())
    assert "L.CRS.EPSG3857" in document
    (south, west), (north, east) = facts_of(document)["bounds"]
    assert f"[[{south}, {west}], [{north}, {east}]]" in document, "the pictures fill the bounds"
    corners = [lonlat(where, x, y) for x in (0, WIDE) for y in (0, HIGH)]
    px_m = 10.4  # of every place, or a little less
    by_raster = (
        (min(c[0] for c in corners), min(c[1] for c in corners)),
        (max(c[0] for c in corners), max(c[1] for c in corners)),
    )
    assert meters((west, south), by_raster[0]) < px_m
    assert meters((east, north), by_raster[1]) < px_m


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_outlines_and_the_read_out_agree_with_the_raster(name: str) -> None:
    where, shown = place(name), made_heatmap(place(name))
    lies = map_ground(ground_with().picture, shown)
    assert isinstance(lies, EarthGround)
    ring = window_shape(shown.best, lies)["features"][0]["geometry"]["coordinates"][0]
    for corner in ((30, 20), (90, 20), (90, 80), (30, 80)):
        assert min(meters(lonlat(where, *corner), point) for point in ring) < 0.1
    found = region_shapes(regions_of(shown, None), lies)["features"]
    assert found and found[0]["properties"]["lines"][2].startswith("Area ")
    assert "px" not in found[0]["properties"]["lines"][2]

    grid = lies.lookup()  # the script interpolates in it, here at the middle of its cells, where it is worst
    (south, west), (north, east) = lies.bounds
    to_map = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    (left, low), (right, high) = to_map.transform(west, south), to_map.transform(east, north)
    for x, y in ((3.0, 5.0), (181.3, 77.7), (WIDE - 4, HIGH - 3)):
        east_m, north_m = to_map.transform(*lonlat(where, x, y))
        u, v = 32 * (east_m - left) / (right - left), 32 * (high - north_m) / (high - low)
        column, row = int(u), int(v)
        a, b, c, d = (np.array(grid[r][k]) for r in (row, row + 1) for k in (column, column + 1))
        p, q = u - column, v - row
        assert (1 - q) * ((1 - p) * a + p * b) + q * ((1 - p) * c + p * d) == pytest.approx((x, y), abs=1)


def test_a_scene_over_the_date_line_stays_in_one_piece() -> None:
    where = reference("EPSG:32601", rasterio.Affine(20, 0, 166_000, 0, -20, 1_000_000))
    shown = made_heatmap(where)
    lies = map_ground(ground_with().picture, shown)
    (_, west), (_, east) = lies.bounds
    assert -180 < west < 180 < east < west + 1
    longitudes = [x for feature in region_shapes(regions_of(shown, None), lies)["features"]
                  for ring in feature["geometry"]["coordinates"] for x, _ in ring]  # fmt: skip
    assert west - 1e-6 <= min(longitudes) <= max(longitudes) <= east + 1e-6


def test_a_scene_beyond_the_end_of_web_maps_is_shown_in_pixels() -> None:
    where = reference("EPSG:4326", rasterio.Affine(1e-4, 0, 10, 0, -1e-4, 89.5))
    assert facts_of(map_document(answer_of(made_heatmap(where)), ground_with()))["bounds"] == [[0, 0], [HIGH, WIDE]]


# in pixels


def test_a_scene_without_a_place_is_shown_in_its_own_pixels() -> None:
    document = map_document(answer_of(made_heatmap()), ground_with())
    facts = facts_of(document)
    assert "L.CRS.Simple" in document and "EPSG3857" not in document.split("lrsclipMaps({")[-1]
    assert facts["bounds"] == [[0, 0], [HIGH, WIDE]] and facts["lookup"] is None
    lies = map_ground(ground_with().picture, made_heatmap())
    ring = window_shape(made_heatmap().best, lies)["features"][0]["geometry"]["coordinates"][0]
    assert {tuple(point) for point in ring} == {(30, 220), (90, 220), (90, 160), (30, 160)}
    large, small = truth_shapes(TRUTH, WIDE, lies)["features"]
    assert large["properties"]["title"] == "field", "the largest comes first, so that small things lie over it"
    assert {tuple(point) for point in small["geometry"]["coordinates"][0]} == {
        (10, 220),
        (60, 220),
        (60, 160),
        (10, 160),
    }


def test_all_maps_have_one_scale_and_the_palette_that_is_asked_for() -> None:
    low = dataclasses.replace(
        made_heatmap(text="b"),
        cells=CellMap(np.full((1, 1), -0.5, np.float32), np.array([0, HIGH]), np.array([0, WIDE])),
    )
    document = map_document(
        answer_of(made_heatmap(), clauses=(low,), question=Question("a", palette="cividis")), ground_with()
    )
    facts = facts_of(document)
    assert (facts["low"], facts["high"]) == ("-0.500", "0.400")
    assert facts["gradient"] != facts_of(map_document(answer_of(made_heatmap()), ground_with()))["gradient"]


@pytest.mark.parametrize(("large", "small"), [(1, 0), (2, 0), (1, 5), (2, 8)])
def test_every_map_of_a_sheet_has_the_scene_s_shape(large: int, small: int) -> None:
    sheet = Sheet(large, small, 300, 200)
    for layout in sheet.facts():
        columns, span, rows, shape = (layout[name] for name in ("columns", "span", "rows", "shape"))
        assert (
            isinstance(columns, int) and isinstance(span, int) and isinstance(rows, list) and isinstance(shape, float)
        )
        unit_px = 1200 / columns
        height = 1200 / shape / sum(rows)
        assert (span * unit_px) / (rows[0] * height) == pytest.approx(1.5)
        assert unit_px / height == pytest.approx(1.5)
        assert len(rows) * columns >= large * span + small


def test_no_typed_text_leaves_its_place_in_the_document() -> None:
    shown = made_heatmap(text=NASTY)
    document = map_document(answer_of(shown, shown, clauses=(shown,)), ground_with(TRUTH))
    assert NASTY not in document and "onerror='window" not in document
    assert re.match(r"<iframe [^<>]*></iframe>$", map_frame(answer_of(shown, shown), ground_with(TRUTH)))
    facts = answer_facts(answer_of(shown, dataclasses.replace(shown, exclude=NASTY)))
    assert "<script" not in facts and "<img" not in facts


def test_map_document_is_whole_and_asks_for_nothing() -> None:
    document = map_document(answer_of(made_heatmap()), ground_with())
    assert "default-src 'none'" in document
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["']?(?!data:)[^\s>]""", re.sub(r"<script>.*?</script>", "", document, flags=re.S)
    )
    style = "".join(re.findall(r"<style>.*?</style>", document, re.S))
    assert set(re.findall(r"url\(([a-z#]+)", style)) <= {"data", "#default#"}
    assert "sourceMappingURL" not in document
    assert "L.CRS.Simple" in document
    # Pictures are left out: among so many random letters any three turn up sooner or later.
    assert "cdn" not in re.sub(r"data:[a-z/+.-]+;base64,[A-Za-z0-9+/=]+", "", document)


def test_map_frame_is_sandboxed_and_escaped() -> None:
    frame = map_frame(answer_of(made_heatmap(text=NASTY)), ground_with())
    tag = re.match(r"<iframe [^<>]*></iframe>$", frame)
    assert tag, "something in the document or the title breaks out of its attribute"
    assert re.findall(r'sandbox="([^"]*)"', frame) == ["allow-scripts"]


# in the browser


@pytest.fixture(scope="module")
def page(browser: Browser) -> Page:
    return browser.new_page(viewport={"width": 1000, "height": 900})


def shown_in(page: Page, asked: Answer, beneath: Ground) -> FrameLocator:
    style = "<style>iframe { width: 100%; aspect-ratio: var(--wide); border: 0 }</style>"
    page.set_content(f"{style}{map_frame(asked, beneath)}")
    frame = page.frame_locator("iframe")
    expect(frame.locator("path.region").first).to_be_attached()
    return frame


@pytest.mark.parametrize("name", ["", "EPSG:26914 turned"])
def test_no_script_that_was_typed_runs_in_the_map(page: Page, name: str) -> None:
    shown = made_heatmap(place(name) if name else None, text=NASTY)
    frame = shown_in(page, answer_of(shown, shown, clauses=(shown, shown)), ground_with(TRUTH))
    expect(frame.locator(".caption").first).to_contain_text(NASTY[:40])
    expect(frame.locator(".caption")).to_have_count(4)
    expect(frame.locator(".truth")).to_have_count(0)  # off by default
    frame.locator(".leaflet-control-layers").hover()
    frame.get_by_role("checkbox", name="Ground truth").check()
    expect(frame.locator(".truth")).to_have_count(4)
    frame.get_by_role("checkbox", name="Regions").uncheck()
    expect(frame.locator("path.region")).to_have_count(0)
    frame.locator(".truth").nth(1).press("Enter")
    told = frame.locator(".leaflet-popup-content")
    expect(told).to_contain_text(NASTY[:40])
    expect(told).to_contain_text("60.0 by 50.0 m")
    assert frame.locator("body").evaluate("() => window.ran === undefined")
    expect(frame.locator(".told img, .caption img, .told script")).to_have_count(0)


def test_the_read_out_tells_cosine_or_that_there_is_no_data(page: Page) -> None:
    frame = shown_in(page, answer_of(made_heatmap()), ground_with())
    view = frame.locator(".folium-map")
    box = view.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.05)
    expect(frame.locator(".readout")).to_have_text(re.compile(r"x 10\d  y 1\d px   cosine 0\.35[45]"))
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.75)
    expect(frame.locator(".readout")).to_have_text(re.compile("no data"))


def test_maps_move_together_and_keep_their_part_when_the_frame_changes(page: Page) -> None:
    shown = made_heatmap(place("EPSG:26914"))
    frame = shown_in(page, answer_of(shown, shown, clauses=(shown, shown)), ground_with())
    views = """() => Object.keys(window).filter(k => k.startsWith("map_")).map(k => window[k])
        .filter(m => m && m.getBounds).map(m => [m.getCenter().lng, m.getCenter().lat,
            m.getBounds().getEast() - m.getBounds().getWest()])"""
    before = np.array(frame.locator("body").evaluate(views))
    assert before.shape == (4, 3)
    frame.get_by_role("button", name="Zoom in").first.click()
    page.wait_for_timeout(400)
    after = np.array(frame.locator("body").evaluate(views))
    assert after[0, 2] < 0.8 * before[0, 2]
    np.testing.assert_allclose(after, np.broadcast_to(after[0], (4, 3)), rtol=0.03)
    page.set_viewport_size({"width": 500, "height": 900})
    page.wait_for_timeout(300)
    smaller = np.array(frame.locator("body").evaluate(views))
    page.set_viewport_size({"width": 1000, "height": 900})
    np.testing.assert_allclose(smaller, after, rtol=0.03)


# the page's work


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    return make_state(tmp_path_factory.mktemp("localize"))


def test_a_question_becomes_maps_for_text_comparison_and_clauses(state: AppState) -> None:
    scene = OpenScene(open_scene(draw_tile("harbour", 4, 300)))
    question = Question("white boats in a harbour. A long road.", compare="a field", exclude="water", by_clause=True)
    found = ask(state, scene, question)
    assert [finding.heatmap.text for finding in found.findings] == [question.text, "a field"]
    assert len(found.clauses) >= 2 and all(shown.exclude == "water" for shown in found.clauses)
    assert found.range_cos[0] <= found.clauses[0].min_cos
    assert ask(state, scene, Question("a road", by_clause=True)).clauses == ()
    assert ground_of(scene).picture.size == (300, 300)
    with pytest.raises(TextError, match="sentence is empty"):
        ask(state, scene, Question(" "))


def test_settings_as_typed() -> None:
    assert scales_of("") is None and scales_of(" automatic ") is None
    assert scales_of("48, 96 px") == (48, 96)
    assert threshold_of("") is None and threshold_of("0.25") == 0.25 and threshold_of(-0.1) == -0.1
    assert sizes_of(None) is None and sizes_of([48, 96]) == (48, 96)
    for wrong in ("x", "1.5", "-3", "9999999"):
        with pytest.raises(PictureError, match="window sizes"):
            scales_of(wrong)
    for value in ("high", "nan", "7", math.inf):
        with pytest.raises(PictureError, match="threshold"):
            threshold_of(value)
    for sizes in ("48", [4.5], [True], list(range(20))):
        with pytest.raises(PictureError, match="scales_px"):
            sizes_of(sizes)
    with pytest.raises(PictureError, match="no method"):
        method_of("magic")


def test_facts_say_what_is_known() -> None:
    assert "Probably" not in answer_facts(answer_of(made_heatmap()))
    there = presence_text(Presence(0.72, "yes", 0.05, 0.2, 0.1))
    assert there.startswith("Probably present (72 %)") and "1 in 20" in there
    assert presence_text(Presence(0.08, "no", 0.1, 0.0, 0.1)).startswith("Probably not here (8 %)")
    unsure = presence_text(Presence(0.44, "unsure", 0.05, 0.1, 0.2))
    assert unsure == "Unsure (44 %). In tests the model could not tell for 20 in 100 sentences."
    facts = answer_facts(answer_of(dataclasses.replace(made_heatmap(place("EPSG:26914")), reused=True)))
    assert "reused from before" in facts and "° N" in facts and "° W" in facts
    assert [area_text(7, area) for area in (None, 950.0, 12_300.0, 3.2e6)] == ["7 px", "950 m²", "1.2 ha", "3.20 km²"]


def test_json_has_null_where_there_is_no_data_and_a_place_where_there_is_one() -> None:
    plain = as_json(answer_of(made_heatmap()).findings[0])
    assert plain["grid_cos"][-1][-1] is None and plain["bounds_lonlat"] is None and plain["presence"] is None
    json.dumps(plain, allow_nan=False)
    placed = as_json(
        answer_of(
            dataclasses.replace(made_heatmap(place("EPSG:4326")), presence=Presence(0.5, "unsure", 0.1, 0.2, 0.3))
        ).findings[0]
    )
    assert placed["bounds_lonlat"] == pytest.approx([-99.02, 40.03 - HIGH * 9e-5, -99.02 + WIDE * 1.2e-4, 40.03])
    assert placed["regions"]["features"] and placed["presence"]["probability"] == 0.5
    assert placed["presence"]["verdict"] == "unsure" and placed["presence"]["present"] is False


# uploads and files


def test_an_upload_keeps_its_place_and_errors_do_not_tell_where_it_lies(state: AppState, tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "scene.tif", draw_tile("field", 1, 200))
    draw_tile("field", 1, 90).save(tmp_path / "shown.png")
    shown = as_sent(tmp_path / "shown.png")
    with opened(Collections(state), shown, SceneRef(str(shown.path), as_sent(path))) as found:
        assert found.scene.georeference is not None
    with opened(Collections(state), as_sent(path), SceneRef("/other.png", shown)) as found:
        assert found.scene.width_px == 200, "what the box shows counts, not what it showed before"
    for content in (b"II*\0damaged", b"no picture"):
        (tmp_path / "bad.tif").write_bytes(content)
        with pytest.raises(PictureError) as caught, opened_upload(bad := as_sent(tmp_path / "bad.tif")):
            pass
        assert str(bad.path.parent) not in str(caught.value)
    with pytest.raises(PictureError, match="upload one"), opened_upload(None):
        pass


def test_files_are_those_of_one_visitor_and_go() -> None:
    downloads, asked = Downloads(), answer_of(made_heatmap(place("EPSG:26914")), made_heatmap(place("EPSG:26914")))
    first = [Path(path) for path in downloads.write("me", asked, "tiny")]
    assert [path.name for path in first] == [
        "heatmap.tif", "regions.geojson", "picture.zip", "heatmap-2.tif", "regions-2.geojson", "picture-2.zip"
    ]  # fmt: skip
    with rasterio.open(first[0]) as data:
        assert data.crs.to_epsg() == 26914 and data.shape == (HIGH, WIDE)
    assert {Path(name).suffix for name in zipfile.ZipFile(first[2]).namelist()} >= {".png", ".pgw", ".prj"}
    other = downloads.write("you", asked, "tiny")
    again = downloads.write("me", asked, "tiny")
    assert not first[0].exists() and Path(other[0]).exists()
    assert Path(again[0]).parent != Path(other[0]).parent and len(Path(other[0]).parent.name) == 64
    downloads.drop("me")
    downloads.drop("nobody")
    assert not Path(again[0]).exists() and Path(other[0]).exists()
    downloads.clear()
    assert not any(Path(path).exists() for path in [*map(str, first), *other, *again])
