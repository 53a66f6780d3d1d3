"""Tiles of a place, from a web map service on loopback that fails, stalls and lies."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import mercantile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsclip.io.safe_fetch as web
from lrsclip.errors import AddressError, Cancelled, FetchError, PictureError, TileSourceError
from lrsclip.tiles import open_tiles, xyz
from lrsclip.tiles.xyz import Place, PlaceTiles
from tests.helpers.tile_server import TileServer, serve_tiles

SMALL = "place:37.7600,-122.4500,0.3km@16"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TileServer]:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    monkeypatch.setenv(web.ALLOW_PRIVATE, "1")
    monkeypatch.setitem(web._WAIT_S, "read", 0.4)
    with serve_tiles() as told:
        yield told


def opened(server: TileServer, spec: str = SMALL) -> PlaceTiles:
    source = open_tiles(f"{spec}?service={server.url}&per_second=50")
    assert isinstance(source, PlaceTiles)
    return source


def test_a_place_is_fetched_once_and_every_tile_lies_where_it_says(server: TileServer) -> None:
    source, seen = opened(server), []
    assert len(source) == len(source.tile_ids()) > 3
    assert not server.asked, "nothing is fetched before it is asked for"
    source.prepare(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(source), len(source))
    for name in source.tile_ids():
        zoom, x, y = map(int, name.split("/"))
        assert source.picture(name).getpixel((9, 9)) == (x * 7 % 256, y * 11 % 256, zoom * 13)
        tile, box = source.tile(name), mercantile.bounds(x, y, zoom)
        assert tile.middle_lonlat == pytest.approx(((box.west + box.east) / 2, (box.south + box.north) / 2))
        assert tile.attribution
        assert tile.attribution in server.url
        assert tile.ground_m == pytest.approx(483, rel=0.01)  # 611 m at the equator, times cos 37.76
    again = open_tiles(source.spec)
    assert again.tile_ids() == source.tile_ids()
    assert again.picture(source.tile_ids()[0]).tobytes() == source.picture(source.tile_ids()[0]).tobytes()
    assert set(server.asked.values()) == {1}


def test_a_server_that_fails_stalls_and_lies_costs_single_tiles(server: TileServer) -> None:
    source = opened(server, "place:37.76,-122.45,0.8km@16")
    moods = ["missing", "busy once", "busy", "stall", "html as png", "png as html", "huge", "cut"]
    names = source.tile_ids()[4 : 4 + len(moods)]
    server.moods.update(zip(names, moods, strict=True))
    source.prepare()
    good = {"busy once", "png as html"}
    for name, mood in zip(names, moods, strict=True):
        if mood in good:
            assert source.picture(name).size == (256, 256)
            continue
        asked = server.asked[name]
        with pytest.raises(PictureError, match=name):
            source.picture(name)
        assert server.asked[name] == asked, "what failed is not asked again in one go"
    assert server.asked[names[2]] == server.asked[names[3]] == 4
    assert server.asked[names[0]] == 1
    good_ones = [name for name in source.tile_ids() if server.moods.get(name, "png as html") in good]
    assert all(source.picture(name) for name in good_ones)


def test_tiles_far_larger_than_tiles_are_do_not_fill_the_disk(
    server: TileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xyz, "_MAX_UNTRUSTED_BYTES", 3000)  # four of the server's tiles
    spec = f"place:37.76,-122.505,0.5km@16?service={server.url}"
    for _ in range(2):
        with pytest.raises(TileSourceError, match="far larger than tiles are"):
            cast(PlaceTiles, open_tiles(spec, untrusted=True)).prepare()
        assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= 3000
    whole = cast(PlaceTiles, open_tiles(spec))
    whole.prepare()
    assert all(path.is_file() for path in whole.files())


def test_requests_keep_their_distance(server: TileServer) -> None:
    open_tiles(f"{SMALL}?service={server.url}&per_second=20").prepare()  # type: ignore[attr-defined]
    gaps = np.diff(sorted(server.times_s))
    assert (len(server.times_s) - 1) / (max(server.times_s) - min(server.times_s)) < 25
    assert gaps.mean() > 0.04


def test_a_server_that_is_gone_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LRSCLIP_CACHE", str(tmp_path))
    monkeypatch.setenv(web.ALLOW_PRIVATE, "1")
    monkeypatch.setattr("lrsclip.tiles.xyz._ATTEMPTS", 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{{z}}/{{x}}/{{y}}"
    source = open_tiles(f"place:37.76,-122.45,2km@17?service={url}&per_second=50")
    with pytest.raises(TileSourceError, match=r"nothing can be fetched.*127\.0\.0\.1 does not answer"):
        source.prepare()  # type: ignore[attr-defined]


def test_fetching_stops_when_told_and_goes_on_later(server: TileServer) -> None:
    source, stop = opened(server, "place:37.76,-122.45,1.5km@16"), threading.Event()

    def show(done: int, _total: int) -> None:
        if done >= 5:
            stop.set()

    with pytest.raises(Cancelled):
        source.prepare(show, stop)
    assert 5 <= sum(server.asked.values()) < 12 < len(source)
    opened(server, "place:37.76,-122.45,1.5km@16").prepare()
    assert sum(count > 1 for count in server.asked.values()) <= 4  # those that were under way


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("place:", "is no place"),
        ("place:San Francisco", "is no place"),
        ("place:97,10,1km@17", "off the map"),
        ("place:37.7,-122.4,1km@40", "off the map"),
        ("place:38,-122,37,-121@12", "swapped"),
        ("place:box=-121,37,-122,38@12", "swapped.*west, south, east, north"),
        ("place:box=-122,37,-121,97@12", "off the map: north"),
        ("place:box=-122,37,-121@12", "is no place"),
        ("place:37.76,-122.45,400km@19", "more than the limit of 2,500"),
        ("place:37.76,-122.45,1km@21", "goes to zoom 20"),
        ("place:37.76,-122.45,1km@17?service=Nobody.Knows", "no map service is called"),
        ("place:37.76,-122.45,1km@17?service=MapBox", "needs a key"),
        ("place:37.76,-122.45,1km@17?service=http://a.b/{z}/{x}", "lacks one of"),
        ("place:37.76,-122.45,1km@17?service=file:///etc/{z}/{x}/{y}", "must begin with http"),
        ("place:37.76,-122.45,1km@17?limit=many", "whole number"),
        ("place:37.76,-122.45,1km@17?colour=red", "has no option"),
        ("place:37.76,-122.45,1km@17?service=https://a.b/t?x={x}&y={y}&z={z}", "write an & .* as %26"),
    ],
)
def test_what_is_no_place_is_said_without_a_request(spec: str, reason: str) -> None:
    with pytest.raises(TileSourceError, match=reason):
        open_tiles(spec)


@given(st.floats(-84, 84), st.floats(-179, 179), st.floats(0.01, 3), st.integers(8, 18))
def test_the_tiles_of_a_place_cover_it(latitude: float, longitude: float, radius_km: float, zoom: int) -> None:
    place = Place.parse(f"{latitude:.6f},{longitude:.6f},{radius_km:.3f}km@{zoom}") if abs(longitude) < 178 else None
    if place is None:
        return
    columns, rows = place.columns_rows()
    first, last = mercantile.bounds(columns[0], rows[0], zoom), mercantile.bounds(columns[-1], rows[-1], zoom)
    assert first.west <= place.west + 1e-9
    assert first.north >= place.north - 1e-9
    assert last.east >= place.east - 1e-9
    assert last.south <= place.south + 1e-9


def test_private_addresses_are_refused_at_every_hop(server: TileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    good = server.url.format(z=3, x=1, y=2)
    assert web.fetch(good, max_bytes=10_000).status == 200
    server.moods["3/1/3"] = f"redirect {good}"
    assert (
        web.fetch(server.url.format(z=3, x=1, y=3), max_bytes=10_000).content
        == web.fetch(good, max_bytes=10_000).content
    )
    server.moods["3/1/4"] = "redirect file:///etc/passwd"
    with pytest.raises(AddressError, match="no web address"):
        web.fetch(server.url.format(z=3, x=1, y=4), max_bytes=10_000)
    server.moods["3/1/5"] = f"redirect {server.url.format(z=3, x=1, y=5)}"
    with pytest.raises(FetchError, match="redirects more than"):
        web.fetch(server.url.format(z=3, x=1, y=5), max_bytes=10_000)
    # The first hop is public (as the resolver says), the second is not.
    monkeypatch.setenv(web.ALLOW_PRIVATE, "0")
    real, port = socket.getaddrinfo, int(good.split(":")[2].split("/")[0])
    monkeypatch.setattr(web, "is_public", lambda address: address == "127.0.0.1")
    server.moods["3/1/6"] = f"redirect http://127.0.0.2:{port}/3/1/2"
    with pytest.raises(AddressError, match=r"127\.0\.0\.2"):
        web.fetch(f"http://127.0.0.1:{port}/3/1/6", max_bytes=10_000)
    assert real is socket.getaddrinfo


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://10.1.2.3/",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:secret@example.org/",
        "http:///x",
        "http://[::1",
        "http://münchen.example/{z}",
        "http://example.org/straße",
    ],
)
def test_addresses_that_may_not_be_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(web.ALLOW_PRIVATE, raising=False)
    with pytest.raises(AddressError):
        web.fetch(url, max_bytes=100)


def test_a_place_whose_north_is_unknown_to_the_service_opens_and_opens_again(server: TileServer) -> None:
    names = opened(server, "place:37.76,-122.45,1.5km@16").tile_ids()
    server.moods.update(dict.fromkeys(names[:12], "missing"))
    for _ in range(2):  # the second time all that is still missing is missing for good
        source = opened(server, "place:37.76,-122.45,1.5km@16")
        source.prepare()
        assert all(source.picture(name) for name in names[12:])


def test_a_place_that_the_service_does_not_know_at_all_says_so(server: TileServer) -> None:
    source = opened(server)
    server.moods.update(dict.fromkeys(source.tile_ids(), "missing"))
    with pytest.raises(TileSourceError, match=r"nothing can be fetched.*404"):
        source.prepare()


def test_a_tile_that_comes_later_changes_its_mark(server: TileServer) -> None:
    first = opened(server).tile_ids()[0]
    server.moods[first] = "missing"
    source = opened(server)
    source.prepare()
    assert source.fingerprint(first) == "missing"
    server.moods.clear()
    again = opened(server)
    again.prepare()
    assert again.fingerprint(first) == "kept"


@pytest.mark.parametrize("more", ["?k={apikey}", "?{", "/{x:>99999999}"])
def test_other_braces_in_an_address_are_refused(more: str) -> None:
    with pytest.raises(TileSourceError, match="braces"):
        open_tiles(f"{SMALL}?service=https://tiles.example.com/{{z}}/{{x}}/{{y}}{more}")


def test_a_head_that_never_ends_is_not_waited_for(server: TileServer) -> None:
    server.moods["3/1/2"] = "drip"  # each byte comes long before a single read is given up
    started = time.monotonic()
    with pytest.raises(FetchError, match="does not answer"):
        web.fetch(server.url.format(z=3, x=1, y=2), max_bytes=10_000, max_s=0.8)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("mood", ["redirect http://[::1", "redirect file:///é"])
def test_a_redirect_to_nowhere_is_an_address_error(server: TileServer, mood: str) -> None:
    server.moods["3/1/2"] = mood
    with pytest.raises(AddressError):
        web.fetch(server.url.format(z=3, x=1, y=2), max_bytes=10_000)


def test_a_redirect_to_a_name_beyond_ascii_is_followed(server: TileServer) -> None:
    server.moods.update({"3/1/2": "redirect /caf\u00e9", "caf%E9": "missing"})
    assert web.fetch(server.url.format(z=3, x=1, y=2), max_bytes=10_000).status == 404
    assert server.asked["caf%E9"] == 1


def test_a_wait_that_is_no_number_is_none(server: TileServer) -> None:
    server.moods["3/1/2"] = "patience"
    answer = web.fetch(server.url.format(z=3, x=1, y=2), max_bytes=10_000)
    assert (answer.status, answer.retry_after_s) == (503, None)


def test_a_kept_tile_that_broke_is_fetched_again(server: TileServer) -> None:
    source = opened(server)
    source.prepare()
    name = source.tile_ids()[0]
    source._file(name).write_bytes(b"\x89PNG and then nothing")
    assert source.picture(name).size == (256, 256)
    assert server.asked[name] == 2


@given(st.floats(-84, 84), st.floats(-179, 179), st.floats(0.001, 2))
def test_a_place_opens_again_as_it_was_written(latitude: float, longitude: float, radius_km: float) -> None:
    place = Place.parse(f"{latitude:.6f},{longitude:.6f},{radius_km:.3f}km@10")
    written = PlaceTiles(place, limit=10**9).spec.removeprefix("place:")
    assert Place.parse(written.split("?")[0]) == place


def test_a_box_has_the_order_of_all_areas_and_old_addresses_are_read_as_they_were_meant() -> None:
    box = Place.parse("box=-122.46,37.75,-122.44,37.77@12")
    assert (box.west, box.south, box.east, box.north) == (-122.46, 37.75, -122.44, 37.77)
    assert Place.parse("37.75,-122.46,37.77,-122.44@12") == box
    assert PlaceTiles(box).spec == "place:box=-122.46,37.75,-122.44,37.77@12"


def test_services_that_differ_in_an_option_are_kept_apart() -> None:
    place = Place.parse("37.76,-122.45,0.3km@10")
    kept = {PlaceTiles(place, f"Esri.{name}")._file("10/163/395") for name in ("WorldImagery", "WorldStreetMap")}
    assert len(kept) == 2
