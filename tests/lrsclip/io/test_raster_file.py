"""A raster is what its content says, and leads neither to other files nor to the network."""

from __future__ import annotations

import ast
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.crs import CRS
from rasterio.shutil import copy

from lrsclip.errors import DataError, PictureError, TileSourceError
from lrsclip.io.raster_file import names_other_files, open_raster
from lrsclip.localize.scene import open_scene
from lrsclip.tiles import open_image, open_tiles
from lrsclip.tiles.geotiff import GeoTiffTiles
from tests.helpers.scene_parts import whole, write_raster
from train.data.faults import Faults
from train.data.sources.files import below, picture_files
from train.data.sources.folders import FolderSource

ROOT = Path(__file__).parents[3]
OWN, SECRET = 90, 201
SIDE_PX = 256
_SECONDS = 20

VRT = (
    '<VRTDataset rasterXSize="{0}" rasterYSize="{0}"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    '<SourceFilename>{1}</SourceFilename><SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" xSize="256" '
    'ySize="256"/><DstRect xOff="0" yOff="0" xSize="{0}" ySize="{0}"/></SimpleSource></VRTRasterBand></VRTDataset>'
)
WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{0}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service><DataWindow>'
    "<UpperLeftX>0</UpperLeftX><UpperLeftY>10</UpperLeftY><LowerRightX>10</LowerRightX><LowerRightY>0</LowerRightY>"
    "<TileLevel>3</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY></DataWindow><Projection>EPSG:3857"
    "</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount></GDAL_WMS>"
)
WCS = "<WCS_GDAL><ServiceURL>{0}/wcs?</ServiceURL><CoverageName>x</CoverageName></WCS_GDAL>"
OVERVIEWS = '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{0}</MDI></Metadata></PAMDataset>'


@dataclass
class Loopback:
    """A server of this machine that must hear nothing."""

    address: str
    heard: list[str] = field(default_factory=list)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def handle_one_request(self) -> None:
            heard.append(self.rfile.readline(200).decode("latin-1"))
            self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield Loopback(f"http://127.0.0.1:{server.server_port}", heard)
        server.shutdown()
        thread.join(_SECONDS)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A neighbor in another folder, of one color that is found nowhere else."""
    (tmp_path / "private").mkdir()
    return write_raster(tmp_path / "private" / "secret.tif", np.full((SIDE_PX, SIDE_PX, 1), SECRET, np.uint8))


def raster(path: Path) -> Path:
    return write_raster(path, np.full((512, 512, 1), OWN, np.uint8))


def colors(path: Path) -> list[set[int]]:
    """What each door shows of a raster, whole and small; refusals are left out, silence is not."""
    shown = []
    for untrusted in (False, True):
        try:
            with open_scene(path, untrusted=untrusted) as scene:
                seen = {*np.unique(whole(scene)), *np.unique(scene.read((0, 0, 512, 512), (64, 64)))}
                scene.data_share((0, 0, 512, 512))
                shown.append({int(value) for value in seen})
        except PictureError:
            pass
    try:
        source = GeoTiffTiles(str(path))
        shown.append({int(value) for value in np.unique(np.asarray(source.picture(source.tile_ids()[0])))})
    except TileSourceError:
        pass
    return shown


@pytest.mark.parametrize("kind", ["vrt", "vrt of the network", "wms", "wcs"])
def test_a_description_is_no_raster_whatever_it_is_called(
    tmp_path: Path, secret: Path, loopback: Loopback, kind: str
) -> None:
    path = tmp_path / "a.tif"
    text = {
        "vrt": VRT.format(512, secret),
        "vrt of the network": VRT.format(512, f"/vsicurl/{loopback.address}/a.tif"),
        "wms": WMS.format(loopback.address),
        "wcs": WCS.format(loopback.address),
    }[kind]
    path.write_text(text)
    told = r"gdal_translate mosaic\.vrt mosaic\.tif" if kind.startswith("vrt") else "save it as"
    for untrusted in (False, True):
        with pytest.raises(PictureError, match=told):
            open_scene(path, untrusted=untrusted)
        with pytest.raises(PictureError, match=told):
            open_scene(path, bands=(1,), untrusted=untrusted)
    with pytest.raises(TileSourceError, match=told):
        open_tiles(f"geotiff:{tmp_path}/*.tif")
    assert not loopback.heard


@pytest.mark.parametrize("inside", [True, False], ids=["in the file", "in its .aux.xml"])
@pytest.mark.parametrize("kind", ["a raster", "a VRT of the network", "an address"])
def test_overviews_of_another_file_are_not_followed(
    tmp_path: Path, secret: Path, loopback: Loopback, kind: str, inside: bool
) -> None:
    (tmp_path / "private" / "n.vrt").write_text(VRT.format(SIDE_PX, f"/vsicurl/{loopback.address}/a.tif"))
    target = {
        "a raster": str(secret),
        "a VRT of the network": str(tmp_path / "private" / "n.vrt"),
        "an address": f"/vsicurl/{loopback.address}/b.tif",
    }[kind]
    path = raster(tmp_path / "a.tif")
    if inside:
        with rasterio.open(path, "r+") as data:
            data.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
    else:
        Path(f"{path}.aux.xml").write_text(OVERVIEWS.format(target))
    for untrusted in (False, True) if inside else (False,):
        with pytest.raises(PictureError, match="overviews from another file"):
            open_scene(path, untrusted=untrusted)
    with pytest.raises(TileSourceError, match="overviews from another file"):
        GeoTiffTiles(str(path))
    assert all(seen == {OWN} for seen in colors(path))
    assert not loopback.heard


@pytest.mark.parametrize("ending", [".ovr", ".msk", ".OVR"])
@pytest.mark.parametrize("kind", ["a VRT", "a VRT of the network", "a link out", "a pipe", "one that names another"])
def test_what_lies_beside_a_raster_leads_nowhere(
    tmp_path: Path, secret: Path, loopback: Loopback, ending: str, kind: str
) -> None:
    path = raster(tmp_path / "a.tif")
    beside = Path(f"{path}{ending}")
    if kind == "a VRT":
        beside.write_text(VRT.format(SIDE_PX, secret))
    elif kind == "a VRT of the network":
        beside.write_text(VRT.format(SIDE_PX, f"/vsicurl/{loopback.address}/a.tif"))
    elif kind == "a link out":
        beside.symlink_to(secret)
    elif kind == "a pipe":
        os.mkfifo(beside)
    else:
        write_raster(beside, np.full((SIDE_PX, SIDE_PX, 1), OWN, np.uint8))
        Path(f"{beside}.aux.xml").write_text(OVERVIEWS.format(secret))
    with pytest.raises(PictureError, match=r"beside a\.tif|overviews from another file"):
        open_scene(path)
    with pytest.raises(TileSourceError, match="leave it out"):
        GeoTiffTiles(str(path))
    assert colors(path) == [{OWN}], "a stranger's is read without it"
    assert not loopback.heard


def test_files_of_erdas_beside_a_raster_are_refused(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif")
    with rasterio.Env(USE_RRD="YES"), rasterio.open(path, "r+") as data:
        data.build_overviews([2])
    assert (tmp_path / "a.aux").exists()
    with pytest.raises(PictureError, match=r"a\.aux beside a\.tif"):
        open_scene(path)
    (tmp_path / "a.aux").write_text(r"\relax")  # of TeX
    assert colors(path) == [{OWN}] * 3


def test_harmless_files_beside_a_raster_still_count(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("L", (512, 512), OWN).save(path)
    (tmp_path / "a.tfw").write_text("2\n0\n0\n-2\n500001\n4587999\n")
    (tmp_path / "a.prj").write_text(rasterio.CRS.from_epsg(32710).to_wkt(version="WKT1_ESRI"))
    assert open_scene(path).georeference is not None
    assert open_scene(path, untrusted=True).georeference is None
    write_raster(Path(f"{path}.ovr"), np.full((SIDE_PX, SIDE_PX, 1), OWN + 1, np.uint8))
    assert np.unique(open_scene(path).read((0, 0, 512, 512), (64, 64))).tolist() == [OWN + 1], "its overviews are used"
    assert colors(path)[1] == {OWN}
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a.tif").symlink_to(path)
    (tmp_path / "linked" / "a.tif.ovr").symlink_to(f"{path}.ovr")
    assert OWN + 1 in colors(tmp_path / "linked" / "a.tif")[0], "linked together with their raster"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as data:
        data.write_mask(np.zeros((512, 512), np.uint8))
    assert Path(f"{path}.msk").exists()
    assert open_scene(path).data_share((0, 0, 512, 512)) == 0
    (tmp_path / "a.tfw").unlink()
    Path(f"{path}.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32710</SRS><GeoTransform>500000, 2, 0, 4588000, 0, -2</GeoTransform></PAMDataset>"
    )
    source = GeoTiffTiles(str(path))
    assert source.tile(source.tile_ids()[0]).footprint_lonlat is not None


@pytest.mark.parametrize(
    ("name", "driver"), [("a.jp2", "JP2OpenJPEG"), ("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.webp", "WEBP")]
)
def test_the_other_kinds_that_hold_their_pixels_are_read(tmp_path: Path, name: str, driver: str) -> None:
    pixels = np.full((64, 80, 3), OWN, np.uint8)
    path = tmp_path / "other" / "b.bin"
    path.parent.mkdir()
    copy(write_raster(tmp_path / "a.tif", pixels), tmp_path / name, driver=driver)
    path.write_bytes((tmp_path / name).read_bytes())
    source = GeoTiffTiles(str(path))
    assert abs(int(np.asarray(source.picture(source.tile_ids()[0])).mean()) - OWN) <= 2
    assert abs(int(whole(open_scene(path)).mean()) - OWN) <= 2
    if driver == "JP2OpenJPEG":
        with pytest.raises(PictureError, match="JPEG 2000 image, which is not opened for visitors"):
            open_scene(path, untrusted=True)


def test_a_kind_that_may_name_other_files_is_refused(tmp_path: Path) -> None:
    copy(raster(tmp_path / "a.tif"), tmp_path / "a.img", driver="HFA", USE_SPILL="YES")
    assert (tmp_path / "a.ige").exists(), "its pixels lie in another file"
    with pytest.raises(PictureError, match="save it as GeoTIFF"):
        open_scene(tmp_path / "a.img")
    with pytest.raises(TileSourceError, match="save it as GeoTIFF"):
        open_tiles(f"geotiff:{tmp_path}/a.img")


def test_a_name_is_nothing_but_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = raster(tmp_path / "a.tif").read_bytes()
    for name in ("b.zip!c.tif", "zip+file:d.tif", "GTIFF_DIR:1:a.tif", "e?f=1#g.tif"):
        (tmp_path / name).write_bytes(content)
    source = GeoTiffTiles("*.tif")
    assert len(source) == 5
    assert all(np.unique(np.asarray(source.picture(name))).tolist() == [OWN] for name in source.tile_ids())
    for path in (Path("/vsicurl/http://127.0.0.1:9/a.tif"), Path("/vsizip/a.zip/a.tif")):
        with pytest.raises(PictureError, match="another folder"):
            open_raster(path)


def test_a_pipe_ends_at_once_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "class"
    folder.mkdir(parents=True)
    pipe = folder / "a.tif"
    os.mkfifo(pipe)
    for refused in (lambda: open_raster(pipe), lambda: open_image(pipe), lambda: open_image("/dev/zero")):
        with pytest.raises(PictureError, match="regular file"):
            refused()
    faults = Faults()
    assert picture_files(folder, faults) == []
    assert "no regular file" in faults.examples["picture missing"][0]
    with pytest.raises(DataError, match="no record"):
        list(FolderSource(name="set", root=tmp_path / "set").records(faults))
    for beside in ("a.tfw", "a.prj", "a.tif.aux.xml", "a.TAB"):
        path = raster(tmp_path / "a.tif")
        os.mkfifo(tmp_path / beside)
        if beside == "a.prj":
            assert open_scene(path).georeference is not None
        else:
            with pytest.raises(PictureError, match="no regular file"):
                open_scene(path)
        (tmp_path / beside).unlink()


def test_a_link_out_of_a_data_set_is_left_out(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "set" / "class"
    folder.mkdir(parents=True)
    (folder / "out.tif").symlink_to(secret)
    raster(folder / "own.tif")
    (folder / "same.tif").symlink_to("own.tif")
    faults = Faults()
    assert [path.name for path in picture_files(folder, faults)] == ["own.tif", "same.tif"]
    assert below(folder, "same.tif") is not None
    assert below(folder, "out.tif") is None
    assert "out.tif' leads out of its folder" in faults.examples["link out of the folder"][0]
    assert len(list(FolderSource(name="set", root=tmp_path / "set").records(faults))) == 2


def test_a_raster_swapped_while_it_is_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = raster(tmp_path / "a.tif"), raster(tmp_path / "b.tif")
    kept = rasterio.open

    def swapping(*given: object, **more: object) -> object:
        other.replace(path)
        return kept(*given, **more)

    monkeypatch.setattr(rasterio, "open", swapping)
    with pytest.raises(PictureError, match="replaced while"):
        open_raster(path)


def test_a_grid_that_a_coordinate_system_names_is_not_opened(tmp_path: Path, secret: Path) -> None:
    wkt = (
        f'GEOGCS["x",DATUM["d",SPHEROID["GRS 1980",6378137,298.257222101],EXTENSION["PROJ4_GRIDS","{secret}"]],'
        'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
    )
    assert names_other_files(wkt)
    assert not names_other_files(rasterio.CRS.from_epsg(3857).to_wkt())
    path = tmp_path / "a.tif"
    Image.new("L", (64, 64), OWN).save(path)
    pam = "<PAMDataset><SRS>{}</SRS><GeoTransform>10, 0.1, 0, 50, 0, -0.1</GeoTransform></PAMDataset>"
    for quote in ("&quot;", "&#34;"):
        Path(f"{path}.aux.xml").write_text(pam.format(wkt.replace('"', quote).replace("J4_G", "J4&#95;G")))
        with pytest.raises(PictureError, match="file of shifts"):
            open_scene(path)
        with pytest.raises(TileSourceError, match="file of shifts"):
            GeoTiffTiles(str(path))
    Path(f"{path}.aux.xml").unlink()
    (tmp_path / "a.tfw").write_text("0.1\n0\n0\n-0.1\n10\n50\n")
    (tmp_path / "a.prj").write_text(wkt)
    assert open_scene(path).georeference is None


def test_the_network_is_off_in_there_and_on_for_others(tmp_path: Path, loopback: Loopback) -> None:
    descriptions = [tmp_path / "a.xml", tmp_path / "b.vrt"]
    descriptions[0].write_text(WMS.format(loopback.address))
    descriptions[1].write_text(VRT.format(512, f"/vsicurl/{loopback.address}/a.tif"))

    def read(path: Path) -> None:
        with rasterio.open(path) as data:
            data.read(1)

    file = open_raster(raster(tmp_path / "a.tif"))
    for path in descriptions:
        with pytest.raises(rasterio.errors.RasterioIOError):
            file.use(lambda _data, path=path: read(path))  # type: ignore[misc]
    assert not loopback.heard

    def meanwhile(_data: object) -> None:
        def elsewhere() -> None:
            with suppress(rasterio.errors.RasterioIOError):
                read(descriptions[0])

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(_SECONDS)

    file.use(meanwhile)
    assert loopback.heard, "another thread still reads rasters of the network"
    file.close()


def calls(attribute: str, of: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of `of.attribute(...)` in the program, under whatever name the module goes, with its file."""
    for folder in ("lrsclip", "app", "train", "assets", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.ImportFrom) and node.module == of.lower():
                    assert attribute not in {name.name for name in node.names}, f"{path}: import the module"
                named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                if named and node.func.attr == attribute and ast.unparse(node.func.value) == of:  # type: ignore[attr-defined]
                    yield path.relative_to(ROOT).as_posix(), node  # type: ignore[misc]


def test_there_is_one_door_to_rasters() -> None:
    assert [path for path, _ in calls("open", "rasterio")] == ["lrsclip/io/raster_file.py"]
    for path in sorted((ROOT / "lrsclip").rglob("*.py")):
        assert "import open" not in "".join(line for line in path.read_text().splitlines() if "rasterio" in line)


def test_pillow_is_told_which_decoders_may_run() -> None:
    found = list(calls("open", "Image"))
    assert found
    # The atlas reads what it drew itself, and a change of that file would make all that is kept of it stale.
    untold = {path for path, call in found if "formats" not in {word.arg for word in call.keywords}}
    assert untold == {"lrsclip/tiles/atlas.py"}


def cited(path: Path, text: str) -> Path:
    """A small TIFF at a place, whose coordinate system is written as ArcGIS does it: as text in a citation."""
    said = f"ESRI PE String = {text}|".encode() + b"\0"
    keys = struct.pack(
        "<20H", 1, 1, 0, 4, 1024, 0, 1, 32767, 2048, 0, 1, 4326, 3073, 34737, len(said) - 1, 0, 3076, 0, 1, 9001
    )
    place = struct.pack("<6d", 0, 0, 0, 500_000, 4_430_000, 0)
    extra = {33550: (12, 3, struct.pack("<3d", 1, 1, 0)), 33922: (12, 6, place), 34735: (3, 20, keys)}
    extra[34737] = 2, len(said), said
    pixels, at, values, tags = bytes(1024), 8 + 1024, b"", list[bytes]()
    for code, number in (
        (256, 32),
        (257, 32),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 32),
        (279, 1024),
    ):
        tags.append(struct.pack("<HHII", code, 4, 1, number))
    for code, (kind, count, value) in extra.items():
        tags.append(struct.pack("<HHII", code, kind, count, at + len(values)))
        values += value + b"\0" * (len(value) % 2)
    tags.sort(key=lambda tag: int.from_bytes(tag[:2], "little"))
    directory = struct.pack("<H", len(tags)) + b"".join(tags)
    path.write_bytes(b"II*\0" + struct.pack("<I", at + len(values)) + pixels + values + directory + bytes(4))
    return path


@pytest.mark.parametrize(
    "extension",
    [
        "+init=/dev/ptmx:foo",
        "init=/etc/passwd:foo",
        "+proj=tinshift +file=/etc/passwd",
        "+proj=defmodel +model=/etc/passwd",
        "+proj=pipeline +step +proj=tinshift +file=/etc/passwd",
        "+proj=merc +a=6378137 +b=6378137 +nadgrids=/etc/passwd",
    ],
)
@pytest.mark.parametrize("untrusted", [True, False])
def test_no_coordinate_system_leads_to_a_file(extension: str, untrusted: bool, tmp_path: Path) -> None:
    wkt = CRS.from_epsg(26914).to_wkt(version="WKT1_ESRI")
    path = cited(tmp_path / "a.tif", f'{wkt[:-1]},EXTENSION["PROJ4","{extension}"]]')
    with pytest.raises(PictureError, match="leads to another file"):
        open_raster(path, untrusted=untrusted)


@pytest.mark.parametrize("untrusted", [True, False])
def test_a_coordinate_system_that_arcgis_wrote_as_text_is_read(untrusted: bool, tmp_path: Path) -> None:
    path = cited(tmp_path / "a.tif", CRS.from_epsg(26914).to_wkt(version="WKT1_ESRI"))
    with open_scene(path, untrusted=untrusted) as scene:
        assert scene.georeference is not None
        longitude, _ = scene.georeference.lonlat(0, 0)
    assert float(longitude) == pytest.approx(-99, abs=0.01)


@pytest.mark.parametrize("code", [3857, 4326, 26914, 31467, 2154, 5703, 7415, 27700, 3031])
def test_no_coordinate_system_of_the_registry_is_taken_for_one_that_needs_a_file(code: int) -> None:
    for version in ("WKT2_2019", "WKT1_GDAL"):
        assert not names_other_files(CRS.from_epsg(code).to_wkt(version=version))
