"""Texts, file names, captions and properties that are scripts: none of them runs, on any tab, in a real browser.

First every field that is visible on any tab is filled, every file box given a file, every button that starts work
pressed: a page that is added later is covered as it is, but mostly refuses. Then each tab is used as it is meant to be,
with scripts only where any text is welcome, so that they stand in what comes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Browser, Dialog, Locator, Page, expect
from playwright.sync_api import TimeoutError as TooLate

import lrsclip
from app.collections import AppState
from app.localize.heatmap_map import map_document, map_frame
from app.localize.service import Question
from app.maps.results_map import hits_message
from app.search.html import shown_tiles
from app.ui.html import beside
from lrsclip.index import Hit, build_index
from lrsclip.tiles import open_tiles
from tests.helpers.app_parts import TRUTH, answer_of, draw_tile, ground_with, made_heatmap
from tests.helpers.browsing import needs_chromium

pytestmark = needs_chromium
RAN = "a script ran"
_SAYS = f"console.log('{RAN}')"
PAYLOADS = (
    f"<script>{_SAYS}</script>",
    f"</script><script>{_SAYS}</script>",
    f'"><img src=x onerror="{_SAYS}">',
    f'\'><svg onload="{_SAYS}">',
    f'</textarea><body onload="{_SAYS}">',
    f'<iframe srcdoc="<script>{_SAYS}</script>"></iframe>',
    f'<details open ontoggle="{_SAYS}">x</details>',
    f'<input autofocus onfocus="{_SAYS}">',
    f'<a id=bait href="javascript:{_SAYS}">x</a>',
    f"[x](javascript:{_SAYS})",
    "![x](http://injected.invalid/a.png) <img src=http://injected.invalid/b.png>",
    "<style>@import 'http://injected.invalid/c.css';</style><link rel=stylesheet href=http://injected.invalid/d.css>",
    f"`${{{_SAYS}}}` {{{{{_SAYS}}}}} <%= {_SAYS} %>",
    f"\\\"';{_SAYS};//",
    f"\u2028{_SAYS}\u2028 <b onmouseover=\"{_SAYS}\" style='position:fixed;inset:0'>x</b>",
    "<meta http-equiv=refresh content='0;url=http://injected.invalid/e'><base href=http://injected.invalid/>",
)
ALL = " ".join(PAYLOADS)
BRACES = ("{{ 7 * 191 }}", "{% for _ in [1] %}1337{% endfor %}", "{# gone #}", "{{ broken")
# Names of files: what a file system allows, so without a slash.
NAMES = tuple(
    re.sub(r"[/\u2028]", "", payload)[:120]
    for payload in (PAYLOADS[0], *PAYLOADS[2:5], PAYLOADS[6], PAYLOADS[7], PAYLOADS[13], *BRACES)
)
# Runs wherever it is read as HTML, gets out of quotes of either kind, and may be a file's name.
INLINE = f'"\'><img src=x onerror="{_SAYS}">'
IN_LINES = "\n".join(payload.replace("\u2028", "") for payload in PAYLOADS)


@dataclass
class Watch:
    """What must not happen."""

    seen: list[str] = field(default_factory=list)

    def over(self, page: Page) -> Page:
        """Watch a page and all its frames."""
        page.on("console", lambda message: self._note("console", message.text) if message.text == RAN else None)
        page.on("dialog", self._dismiss)
        page.on("popup", lambda popup: self._note("popup", popup.url))
        page.on("request", lambda request: self._look(request.url))
        page.route(re.compile("injected.invalid"), lambda route: route.abort())
        return page

    def _dismiss(self, dialog: Dialog) -> None:
        self._note("dialog", dialog.message)
        dialog.dismiss()

    def _look(self, address: str) -> None:
        if urlsplit(address).hostname not in ("127.0.0.1", None):
            self._note("request", address)

    def _note(self, what: str, text: str) -> None:
        self.seen.append(f"{what}: {text}")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> AppState:
    """Tiles with names and captions that are scripts, and with places, so that they stand on the map too."""
    folder = tmp_path_factory.mktemp("injection") / "tiles"
    folder.mkdir()
    exif = Image.Exif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    captions = []
    for number, name in enumerate(NAMES):
        gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (10.0, 0.0, 3.0 * number)
        gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (50.0, 0.0, 0.0)
        draw_tile("harbour", number).save(folder / f"{name}.jpg", exif=exif)
        captions.append({"filename": f"{name}.jpg", "sentences": [{"raw": ALL}]})
    (folder / "dataset.json").write_text(json.dumps({"images": captions}))
    source, bundle = open_tiles(str(folder)), lrsclip.random_model()
    state = AppState(bundle, build_index(source, bundle, folder.parent / "index"), source)
    assert state.tile_count == len(NAMES)
    assert state.index.tile(state.tile_ids()[0]).center_lonlat is not None
    assert PAYLOADS[0] in (state.index.tile(state.tile_ids()[0]).caption or "")
    return state


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, url: str, watch: Watch) -> Iterator[Page]:
    opened = watch.over(browser.new_page(viewport={"width": 1440, "height": 1600}))
    opened.goto(url)
    expect(opened.locator("#description textarea")).to_be_visible()
    yield opened
    opened.close()


def settle(page: Page) -> None:
    """Wait until nothing is under way any more."""
    page.wait_for_timeout(100)  # it takes a moment to begin
    busy = ".generating, .progress-text, .progress-level, .eta-bar, .wrap.pending"
    page.wait_for_function(f"![...document.querySelectorAll('{busy}')].some(one => one.offsetParent)", timeout=60_000)


def expect_quiet(page: Page, watch: Watch, where: str) -> None:
    """Nothing ran or left the machine, and nothing that was typed became part of the page."""
    page.wait_for_timeout(500)  # what the browser does by itself
    assert watch.seen == [], f"{where}: {watch.seen}"
    assert page.locator("#bait, img[src=x]").count() == 0, f"{where}: typed HTML became part of the page"
    assert page.title().startswith("LRSCLIP")


def open_tab(page: Page, name: str) -> None:
    page.locator("#tabs").get_by_role("tab", name=name, exact=True).first.click()
    settle(page)


def visible(parts: Locator) -> list[Locator]:
    """Those that a visitor sees and can use."""
    return [part for part in parts.all() if part.is_visible() and part.is_enabled()]


def open_all(panel: Page) -> None:
    """Open what can be unfolded."""
    for _ in range(30):  # one by one: what is opened is no longer among those to open, and may hold more
        closed = visible(panel.locator("button.label-wrap:not(.open)"))
        if not closed:
            return
        handle = closed[0].element_handle()
        handle.click()
        panel.wait_for_function("fold => fold.classList.contains('open')", arg=handle)
    raise AssertionError("there is always one more to open")


def fill_all(page: Page, tmp_path: Path) -> int:
    """Give every text box scripts, every file box a file that is called one; gives the number of boxes."""
    boxes = 0
    for box in visible(page.locator("textarea, input[type=text], input:not([type])")):
        if box.get_attribute("readonly") is not None or box.get_attribute("role") in ("listbox", "combobox"):
            continue
        box.fill(IN_LINES if box.evaluate("e => e.tagName === 'TEXTAREA'") else ALL.replace("\u2028", ""))
        boxes += 1
    for box in page.locator("input[type=file]").all():
        if not box.evaluate("e => !!(e.closest('.block') && e.closest('.block').offsetParent)"):
            continue
        csv = re.search("csv|text", box.get_attribute("accept") or "")
        path = tmp_path / (NAMES[1] + (".csv" if csv else ".png"))
        if csv:
            path.write_text("text\n" + "\n".join(json.dumps(payload) for payload in PAYLOADS))
        else:
            draw_tile("road", 3).save(path)
        box.set_input_files(path)
        boxes += 1
    return boxes


def press_all(page: Page) -> int:
    """Press whatever starts something; gives how many that were."""
    pressed = 0
    for button in visible(page.locator("button.primary, button.secondary")):
        if not button.is_visible() or re.search("stop|cancel|clear|remove", button.inner_text(), re.IGNORECASE):
            continue
        try:
            button.click(timeout=3000)
        except TooLate:  # it went, or something lies over it
            continue
        pressed += 1
        settle(page)
    for choice in visible(page.locator(".thumbnail-item"))[:3]:
        if choice.is_visible():
            choice.click()
            settle(page)
    return pressed


def use_search(page: Page, tmp_path: Path) -> None:
    page.locator("#description textarea").fill(INLINE)
    page.get_by_label("Leave out").fill(f"cars {INLINE}")
    page.get_by_label("Hide near-duplicates").uncheck()  # to random weights all tiles look nearly the same
    page.locator("#search-button").click()
    expect(page.locator("#summary")).to_contain_text("best first")
    liked = choose_tile(page, "<img")
    page.get_by_role("button", name="More like this").click()
    expect(page.locator("#like")).to_contain_text(liked)
    expect(page.locator("#summary")).to_contain_text(f"like the tile {liked}")
    for action, box in (("Localize", "#scene"), ("Classify", "#classify-picture")):
        choose_tile(page, "<svg")
        page.get_by_role("button", name=f"{action} this tile").click()
        expect(page.locator(f"{box} img")).to_be_visible()
        open_tab(page, "Search")
    table = tmp_path / f"{INLINE}.csv"
    table.write_text('query\n"' + INLINE.replace('"', '""') + '"\n')
    page.locator("#batch-file input[type=file]").set_input_files(table)
    expect(page.locator("#batch-file")).to_contain_text("onerror")
    page.get_by_role("button", name="Search all").click()
    expect(page.locator("#batch-table tbody td")).to_contain_text(["1", INLINE, ".jpg"])


def choose_tile(page: Page, with_name: str) -> str:
    """Click a tile that is found and has this in its name; gives the name."""
    ids = json.loads(page.locator("#shown-tiles [data-tiles]").get_attribute("data-tiles") or "[]")
    number = next(number for number, tile_id in enumerate(ids) if with_name in tile_id)
    page.locator("#gallery .thumbnail-item").nth(number).click()
    expect(page.locator("#facts")).to_contain_text(ids[number])
    return str(ids[number])


def use_classify(page: Page, tmp_path: Path) -> None:
    page.locator("#labels textarea").fill(f"road {INLINE}\nfield {INLINE}")
    page.locator("#classify-strip .thumbnail-item").first.click()
    expect(page.locator("#classify-picture img")).to_be_visible()
    page.locator("#classify-button").click()
    expect(page.locator("#bars li")).to_have_text([re.compile(re.escape(INLINE))] * 2)
    page.get_by_role("tab", name="Several pictures").click()
    good, bad = tmp_path / f"1{INLINE}.png", tmp_path / f"2{INLINE}.png"
    draw_tile("road", 3).save(good)
    bad.write_text("no picture")
    page.locator("#classify-files input[type=file]").set_input_files([good, bad])
    expect(page.locator("#classify-files")).to_contain_text("onerror")
    page.locator("#classify-all-button").click()
    expect(page.locator("#classified tbody th")).to_have_text([good.name, bad.name])
    expect(page.locator("#classified tbody td", has_text=INLINE)).to_have_count(2)  # the best label and the second


def use_localize(page: Page, tmp_path: Path) -> None:
    page.locator("#scene-strip .thumbnail-item").first.click()
    expect(page.locator("#scene img")).to_be_visible()
    page.locator("#sentence textarea").fill(f"a road {INLINE}, a field {INLINE}")
    page.get_by_label("Compare with").fill(f"a pond {INLINE}")
    page.get_by_label("Leave out").last.fill(f"cars {INLINE}")
    page.get_by_label("One map per clause").check()
    for method, colors, told in (("Windows", "Cividis", "each looked at"), ("Dense", "Viridis", "from one look")):
        page.locator("#method").get_by_label(method).check()
        page.get_by_label(colors).check()
        page.locator("#localize-button").click()
        expect(page.locator("#map .facts").first).to_contain_text(told)
        expect(page.locator("#map .named h3")).to_contain_text([INLINE, f"a pond {INLINE}"])
        expect(page.locator("#map .clauses h4")).to_have_text([f"a road {INLINE}", f"a field {INLINE}"])
        expect(page.locator("iframe.map")).to_be_visible()
        expect(page.frame_locator("iframe.map").locator(".caption b:not(:has(*))")).to_have_count(4)
    page.locator("#make-files").click()
    expect(page.locator("#files")).to_contain_text("geojson")


def use_learn(page: Page, tmp_path: Path) -> None:
    page.locator("#learn-strip .thumbnail-item").first.click()
    expect(page.locator("#learn-tile textarea, #learn-tile input")).not_to_have_value("")
    true, stage = f"A road {INLINE}.", page.locator("#learn-stage")
    page.locator("#learn-text textarea").fill(f"{true} A field {INLINE}.")
    for by, steps in (("clauses", 3), ("sentences", 2)):
        page.get_by_label(by, exact=True).check()
        run_lesson(page, stage.locator(".step"), 1)
        page.get_by_role("button", name="Show all").click()
        expect(page.locator("#learn-table td.text")).to_contain_text(["onerror", "onerror", ""][:steps])
    page.get_by_label("Reorder").check()
    run_lesson(page, stage.locator(".card"), 4)
    page.get_by_label("Swap").check()
    for kind in page.locator("#learn-kind input").all():
        kind.check()
        settle(page)
    page.locator("#learn-true textarea").fill(true)
    page.locator("#learn-false textarea").fill(f"A pond {INLINE}.")
    run_lesson(page, stage.locator(".verdict"), 2)
    expect(stage.locator(".card p", has_text=INLINE)).to_have_count(2)


def run_lesson(page: Page, came: Locator, times: int) -> None:
    """Run what is chosen, wait for what comes of it, and print the hand-out, whose scripts would not run anyway."""
    page.locator("#learn-run").click()
    expect(came).to_have_count(times)
    settle(page)
    page.evaluate("document.querySelector('#learn-paper')?.remove(); document.querySelector('#learn-print').click()")
    expect(page.frame_locator("#learn-paper").locator("main:not(:has(img[src=x]))")).to_contain_text("onerror")


def use_places(page: Page, tmp_path: Path) -> None:
    address = f"place:37.76,-122.45,0.5km@17?service=http://{INLINE}/{{z}}/{{x}}/{{y}}"
    page.locator("#places-address").locator("input, textarea").fill(address)
    page.locator("#places-look").click()
    expect(page.locator("#places-plan")).to_contain_text(f"tiles from {INLINE}")


USES: dict[str, Callable[[Page, Path], None]] = dict(
    Search=use_search, Classify=use_classify, Localize=use_localize, Learn=use_learn, Places=use_places
)


def test_the_watch_sees_a_script_that_runs_and_a_request_that_leaves(browser: Browser, watch: Watch) -> None:
    page = watch.over(browser.new_page())
    page.set_content(f"<p>{PAYLOADS[2]}</p><iframe sandbox='allow-scripts' srcdoc='{PAYLOADS[0]}'></iframe>")
    page.set_content(PAYLOADS[10])
    page.wait_for_timeout(300)
    page.close()
    assert any(one.startswith("console") for one in watch.seen)
    assert any(one.startswith("request") for one in watch.seen)


def test_no_script_runs_from_any_field_of_any_tab(page: Page, watch: Watch, tmp_path: Path) -> None:
    assert set(USES) == {tab.inner_text() for tab in visible(page.locator("#tabs > .tab-wrapper [role=tab]"))}
    for name in USES:
        open_tab(page, name)
        open_all(page)
        assert fill_all(page, tmp_path) > 0, f"{name}: no field was found"
        settle(page)
        assert press_all(page) > 0, f"{name}: no button was found"
        expect_quiet(page, watch, name)


@pytest.mark.parametrize("name", USES)
def test_no_script_runs_from_what_comes_out_on_a_tab(page: Page, watch: Watch, tmp_path: Path, name: str) -> None:
    open_tab(page, name)
    open_all(page)
    USES[name](page, tmp_path)
    expect_quiet(page, watch, name)


def test_no_script_runs_from_the_names_and_captions_of_files(page: Page, watch: Watch, state: AppState) -> None:
    tiles = page.locator("#gallery .thumbnail-item")
    expect(tiles).to_have_count(len(NAMES))
    expect(page.locator("iframe.places-map")).to_be_visible()
    for number in range(len(NAMES)):
        tiles.nth(number).click()
        expect(page.locator("#facts")).to_contain_text(state.tile_ids()[number])
        settle(page)
    inside = page.frame_locator("iframe.places-map")
    for shape in inside.locator(".leaflet-interactive").all()[:4]:
        shape.dispatch_event("mouseover")
        shape.dispatch_event("click")
    expect_quiet(page, watch, "the map of places")


@pytest.mark.parametrize("braces", BRACES)
def test_braces_are_no_template_on_the_server(state: AppState, braces: str) -> None:
    shape = {**TRUTH["features"][0], "properties": {"class": braces}}  # type: ignore[index]
    document = map_document(answer_of(made_heatmap(text=braces)), ground_with({"size_m": 360.0, "features": [shape]}))
    assert document.count(braces) == 2  # the sentence and the thing
    hits = [Hit(tile_id, 0.5, rank) for rank, tile_id in enumerate(state.tile_ids(), 1)]
    assert shown_tiles(hits, hits_message(state, hits, found=True), "").count(braces) == 2  # gallery and map


@pytest.mark.parametrize("payload", [ALL, *PAYLOADS[:4]])
def test_no_script_runs_from_properties_on_a_map(browser: Browser, watch: Watch, payload: str) -> None:
    thing, land = cast(list[dict[str, object]], TRUTH["features"])
    looks = dict.fromkeys(("class", "color", "material"), payload)
    features = [{**thing, "properties": looks}, {**land, "properties": {"land_use": payload}}]
    answer = answer_of(made_heatmap(text=payload), made_heatmap(text=payload), question=Question(payload, payload))
    page = watch.over(browser.new_page())
    page.set_content(beside(map_frame(answer, ground_with({"size_m": 360.0, "features": features}))))
    inside = page.frame_locator("iframe.map")
    inside.locator(".leaflet-control-layers").hover()
    inside.get_by_role("checkbox", name="Ground truth").check()  # off at first
    view = inside.locator(".leaflet-container").first
    outlines, told = view.locator("path.truth"), view.locator(".told :visible")
    expect(outlines).to_have_count(2)
    for number, line in enumerate(("land use", f"{payload} {payload}")):  # the largest is the first
        outlines.nth(number).press("Enter")
        expect(told).to_have_text([payload, line])  # and so nothing else, nor anything within them
        assert view.locator(".told > *").all_text_contents() == [payload, line]
    page.wait_for_timeout(500)
    page.close()
    assert watch.seen == []
