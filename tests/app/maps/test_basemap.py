"""An online map under a scene: off until it is asked for, from one server alone, with its credit as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from app.localize.heatmap_map import map_document, map_frame
from app.maps.basemap import BaseMap
from lrsclip.errors import TileSourceError
from tests.helpers.app_parts import answer_of, ground_with, made_heatmap
from tests.helpers.scene_places import place
from tests.helpers.tile_server import serve_tiles

pytestmark = pytest.mark.slow


def test_services_have_their_name_address_and_credit() -> None:
    base = BaseMap.of("USGS.USImagery")
    assert base.url.startswith("https://") and all(mark in base.url for mark in ("{z}", "{x}", "{y}"))
    assert base.origin == "https://basemap.nationalmap.gov"
    assert "<" not in base.credit_html and "U.S. Geological Survey" in base.credit_html
    typed = BaseMap.of("https://{s}.tiles.example:8443/{z}/{x}/{y}.png")
    assert typed.origin == "https://*.tiles.example:8443"
    with pytest.raises(TileSourceError, match="no map service"):
        BaseMap.of("Nowhere.Map")
    for address in ('https://a"b/{z}/{x}/{y}', "https:///{z}/{x}/{y}", "https://a;b/{z}/{x}/{y}"):
        with pytest.raises(TileSourceError, match="no host"):
            BaseMap.of(address)
    with pytest.raises(TileSourceError, match="needs a key"):
        BaseMap.of("MapBox")


@pytest.mark.parametrize("where", ["EPSG:26914", None])
def test_only_a_scene_with_a_place_may_ask_that_server(where: str | None) -> None:
    base = BaseMap.of("https://tiles.example/{z}/{x}/{y}")
    answer = answer_of(made_heatmap(place(where) if where else None))
    policies = [
        re.findall(r'Content-Security-Policy" content="([^"]*)"', map_document(answer, ground))[0]
        for ground in (ground_with(), replace(ground_with(), base=base))
    ]
    assert "img-src data:;" in policies[0]
    assert ("img-src data: https://tiles.example;" in policies[1]) == (where is not None)
    assert policies[1].replace(" https://tiles.example", "") == policies[0]


def test_nothing_is_requested_until_the_map_is_switched_on(browser: Browser) -> None:
    answer = answer_of(made_heatmap(place("EPSG:26914")))
    with serve_tiles() as server:
        base = replace(BaseMap.of(server.url), credit_html="&lt;b&gt;Us&lt;/b&gt;")
        page = browser.new_page(viewport={"width": 900, "height": 700})
        style = "<style>iframe { width: 100%; aspect-ratio: var(--wide); border: 0 }</style>"
        page.set_content(f"{style}{map_frame(answer, replace(ground_with(), base=base))}")
        frame = page.frame_locator("iframe")
        expect(frame.locator("path.region").first).to_be_attached()
        page.wait_for_timeout(300)
        assert not server.asked
        frame.locator(".leaflet-control-layers").hover()
        frame.get_by_role("checkbox", name=base.name).check()
        expect(frame.locator("img.leaflet-tile-loaded").first).to_be_visible()
        expect(frame.locator(".leaflet-control-attribution")).to_have_text("<b>Us</b>")
        assert server.asked
