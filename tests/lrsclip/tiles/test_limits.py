# ruff: noqa: RUF001  (digits of other scripts are what is tried)
"""What strangers may ask of a tile source: numbers are read strictly, and limits hold before anything is listed."""

from __future__ import annotations

import io
import time
import tracemalloc

import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.localize.service import threshold_of
from app.search.link import read_parameters
from lrsclip.errors import LRSCLIPError, TileSourceError
from lrsclip.index import parse_area
from lrsclip.index.__main__ import main as index_command
from lrsclip.numbers import decimal_of, whole_of
from lrsclip.tiles import open_tiles
from lrsclip.tiles.registry import UNTRUSTED_TILES
from tests.helpers.dataset_server import serve_datasets

NO_NUMBERS = [
    "",
    " 4",
    "4 ",
    "+4",
    "4_0",
    "4_000_000",
    "²",
    "٣",
    "４０",
    "1" * 16,
    "9" * 5000,
    "0x10",
    "4.0",
    "nan",
    "-",
]
MAX_BYTES = 6_000_000  # a list of 4,096 names and what belongs to it; the tiles refused would take a hundred times that


def refused(spec: str) -> int:
    """Peak of memory in bytes while a stranger's address is refused."""
    open_tiles("atlas:?tiles=1", untrusted=True)  # imports are no part of it
    tracemalloc.start()
    try:
        with pytest.raises(TileSourceError):
            open_tiles(spec, untrusted=True)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_a_whole_number_is_of_plain_digits(text: str) -> None:
    assert whole_of(text) is None


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1_0", "²", "٣.٥", "", ".", "1e999", "1e", "9" * 400, "1,5", " 1"]
)
def test_a_decimal_is_finite_and_of_plain_digits(text: str) -> None:
    assert decimal_of(text) is None


def test_numbers_are_read_as_written() -> None:
    assert [whole_of(text) for text in ("0", "-7", "007", "1" * 15)] == [0, -7, 7, int("1" * 15)]
    assert [decimal_of(text) for text in ("-0.5", ".5", "5.", "+3", "1e-05")] == [-0.5, 0.5, 5.0, 3.0, 1e-05]


@pytest.mark.parametrize(
    "options",
    [
        "tiles=4_000_000", "tiles=%2B4000000", "tiles=+4000000", "tiles=%C2%B2", "tiles=4000000", "tiles=4097",
        "%74iles=4000000", "tiles=5&tiles=4000000", "tiles=4000000&tiles=5", "TILES=4000000", "tiles=5&%74iles=4000000",
        "tiles=" + "9" * 1900, "tiles=-1", "tiles=٤٠٠", "seed=" + "9" * 1900, "seed=-1", "seed=4294967296", "seed=1e3",
        "px_m=nan", "px_m=inf", "px_m=1_0", "px_m=-1", "px_m=1e99", "limit=9", "per_second=1", "token=yes", "tiles",
        "&".join(f"a{n}=1" for n in range(400)), "tiles=" + "0" * 4000 + "5",
    ],
)  # fmt: skip
def test_an_option_of_the_atlas_that_is_too_much_costs_nothing(options: str) -> None:
    assert refused(f"atlas:?{options}") < 1_000_000


@pytest.mark.parametrize(
    "spec",
    [
        "place:37.76,-122.45,2km@22", "place:-85,-180,85,180@22", "place:37.76,-122.45,2km@99999",
        "place:" + "9" * 400 + ",0,2km@17", "place:٣٧,-122,2km@17", "place:37.7.6,-122,2km@17", "place:+-3,1,2km@3",
        "place:nan,1,2km@3", "place:1,1,1km@1٧", "place:37.76,-122.45,2km@17?limit=4000000", "hub:a b", "hub:../x",
        "hub:" + "a" * 300 + "/b", "folder:/", "/etc", "geotiff:/x.tif", "Atlas:?tiles=5", "x" * 100_000,
    ],
)  # fmt: skip
def test_an_address_that_is_too_much_costs_nothing(spec: str) -> None:
    assert refused(spec) < 2_000_000


@pytest.mark.parametrize("options", ["limit=0", "limit=1_000", "limit=" + "9" * 16, "per_second=nan", "per_second=1_0"])
def test_a_place_has_no_such_numbers(options: str) -> None:
    with pytest.raises(TileSourceError, match=options.split("=")[0]):
        open_tiles(f"place:37.76,-122.45,0.3km@17?{options}")


@pytest.mark.parametrize("options", ["tile_px=5_12", "tile_px=٥١٢", "overlap_px=1e1", "bands=1,²,3", "bands=1,,3"])
def test_a_raster_has_no_such_numbers(options: str) -> None:
    with pytest.raises(TileSourceError, match=options.split("=")[0]):
        open_tiles(f"geotiff:/nowhere/*.tif?{options}")


values = st.one_of(
    st.text(max_size=30),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.text("0123456789_+-.eE²٣４ ", max_size=12),
)
names = st.one_of(
    st.sampled_from(["tiles", "seed", "px_m", "Tiles", "%74iles", "limit", "service"]), st.text(max_size=6)
)
addresses = st.one_of(
    st.lists(st.tuples(names, values), max_size=4).map(lambda some: "atlas:?" + "&".join(f"{a}={b}" for a, b in some)),
    st.text(max_size=60).map("atlas:?".__add__),
    st.text(max_size=60).map("place:".__add__),
    st.tuples(st.lists(values, min_size=3, max_size=4), values).map(
        lambda parts: f"place:{','.join(parts[0])}km@{parts[1]}"
    ),
    st.tuples(
        st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1e4), st.integers(0, 30), st.text(max_size=40)
    ).map(lambda p: f"place:{p[0]:.4f},{p[1]:.4f},{p[2]:.4f}km@{p[3]}?service={p[4]}"),
)


@settings(max_examples=250, deadline=None)
@given(addresses)
def test_any_address_opens_little_or_is_refused(spec: str) -> None:
    open_tiles("atlas:?tiles=1", untrusted=True)
    tracemalloc.start()
    try:
        assert len(open_tiles(spec, untrusted=True)) <= UNTRUSTED_TILES
    except TileSourceError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MAX_BYTES


def claiming(rows: int) -> bytes:
    """A Parquet whose footer tells of so many rows."""
    out = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array([b"x"] * 3), "n": [1, 2, 3]}), out)
    whole = out.getvalue()
    size = int.from_bytes(whole[-8:-4], "little")
    footer = whole[-8 - size : -8]
    # field 3 of FileMetaData, num_rows, is a zigzag varint behind its head 0x16; the first that holds 3 rows
    told, changed = b"\x16\x06", b"\x16" + varint(2 * rows)
    assert told in footer
    at = footer.rindex(told, 0, footer.index(b"\x19\x1c", 20)) if footer.count(told) > 1 else footer.index(told)
    footer = footer[:at] + changed + footer[at + len(told) :]
    return whole[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def test_a_data_set_that_claims_too_much_is_refused_before_it_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    large = claiming(10**12)
    assert pq.ParquetFile(io.BytesIO(large)).metadata.num_rows == 10**12
    out = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array([b"x"] * (UNTRUSTED_TILES + 1))}), out)
    huge_footer = out.getvalue()[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1"
    repos = {
        "a/rows": {"train.parquet": large},
        "a/more": {"train.parquet": out.getvalue()},
        "a/files": {f"train-{n:06d}.parquet": b"PAR1" for n in range(1000)},
        "a/long": {f"{n:06d}.png": b"" for n in range(6000)},
        "a/footer": {"train.parquet": huge_footer},
        "a/short": {"train.parquet": claiming(7)},
    }
    with serve_datasets(repos) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        assert refused("hub:a/rows") < 20_000_000
        with pytest.raises(TileSourceError, match="10,000,000 can be listed"):
            open_tiles("hub:a/rows")
        for name, reason in (
            ("more", "4,097 tiles are more than visitors"),
            ("files", "1,000 files, more than the 64"),
            ("long", "more than 5,000 files"),
            ("footer", "footer of 2,048 MB"),
        ):
            with pytest.raises(TileSourceError, match=reason):
                open_tiles(f"hub:a/{name}", untrusted=True)
        assert len(open_tiles("hub:a/more")) == UNTRUSTED_TILES + 1
        lying = open_tiles("hub:a/short", untrusted=True)
        for name in lying.tile_ids()[3:]:
            with pytest.raises(LRSCLIPError, match="row"):
                lying.picture(name)
        for wrong in ("train/²", "train/7", "train/-1", "train/" + "9" * 5000, "train/"):
            with pytest.raises(TileSourceError, match="no tile"):
                lying.picture(wrong)


def test_eight_look_ups_that_are_refused_cost_no_time() -> None:
    started = time.monotonic()
    for _ in range(8):
        refused("atlas:?tiles=4_000_000")
        refused("atlas:?tiles=%2B4000000")
    assert time.monotonic() - started < 20  # they took 40 s and some GB


@pytest.mark.parametrize(
    "text", ["nan,0,1,1", "1_0,0,20,20", "٣,0,20,20", "1,2,3,4,x", "1,2,3", "inf,0,1,1", "0,0,1," + "9" * 300]
)
def test_an_area_is_of_plain_numbers(text: str) -> None:
    with pytest.raises(LRSCLIPError, match="area"):
        parse_area(text)


def test_links_and_thresholds_are_of_plain_numbers() -> None:
    link = read_parameters({"k": "1_0", "min": "nan", "xw": "٠", "pw": "1e-05"})
    assert link is not None
    assert len(link.faults) == 3
    assert link.query.image_weight == 1e-05
    for text in ("1_0", "nan", "٠", "1e400", "9" * 5000):
        with pytest.raises(LRSCLIPError, match="threshold"):
            threshold_of(text)


@pytest.mark.parametrize("option", [["-k", "1_0"], ["-k", "٣"], ["--min-score", "nan"], ["--image-weight", "1_0"]])
def test_the_index_command_takes_plain_numbers(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        index_command(["search", "nowhere", "a text", *option])
    assert "plain digits" in capsys.readouterr().err


def test_sizes_of_numpy_do_not_matter_to_a_seed() -> None:
    assert np.array_equal(
        np.asarray(open_tiles("atlas:?seed=4294967295&tiles=1", untrusted=True).picture("r000c000")).shape,
        (192, 192, 3),
    )
