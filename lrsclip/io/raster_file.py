"""The one door to rasters on disk: recognized by content, and never a way to other files or to the network."""

from __future__ import annotations

import html
import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import rasterio
from rasterio._err import CPLE_BaseError  # GDAL's own error; published under no other name
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.kinds import HEAD_BYTES, kind_of, other_kind, refusal_of
from lrsclip.io.look import Facts, Look, look_at, upright_size_px
from lrsclip.io.picture_parts import orientation_of_png
from lrsclip.io.plain_file import open_plain
from lrsclip.io.tiff_tags import Source, is_premultiplied, orientation_of, texts_of

T = TypeVar("T")

RASTER_FAULTS = (RasterioError, CPLE_BaseError, OSError, MemoryError)

# First bytes of each. GDAL offers a file to every driver it has, and many of them read descriptions of data
# that lie elsewhere (VRT, WMS, WCS, WMTS, STAC, GTI, ENVI, ERDAS .img with its .ige, netCDF, Zarr, ...). These hold
# their pixels themselves, and are the common formats of rasters:
_SIGNATURES = {
    b"II*\0": "GTiff",  # GeoTIFF and COG; a file named in it (OVERVIEW_FILE) is refused when it is opened
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",  # BigTIFF
    b"MM\0+": "GTiff",
    b"\xff\xd8\xff": "JPEG",  # exports of maps, with a world file
    b"\x89PNG\r\n": "PNG",  # the same
    b"RIFF": "WEBP",  # the same
    b"\0\0\0\x0cjP  \r\n\x87\n": "JP2OpenJPEG",  # Sentinel-2; addresses in its GML boxes are not followed
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",  # its bare code stream
}
_FOR_STRANGERS = frozenset({"GTiff", "JPEG", "PNG", "WEBP"})
_MAX_XML_BYTES = 64 * 2**20

_CACHE_BYTES = 64 * 2**20  # of decoded blocks, in the whole process; by default GDAL takes a twentieth of the memory
# A second wall: no accepted file asks for these. GDAL has no switch for all of its network, so no file of
# /vsicurl/ and its kin has an allowed name, and all other requests go by a proxy that cannot be.
_NO_NETWORK = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none", "GDAL_HTTP_PROXY": "none://off"}
_ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": False}
_WITH_SIDECARS = {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE", "GDAL_PAM_ENABLED": True}  # TRUE: by name, not listed

_CITATIONS = 34737  # GeoTIFF's texts, in one of which ArcGIS writes a whole coordinate system
_MAX_CITED_BYTES = 2**20
# Words in WKT or a PROJ text that make PROJ look for a file. An extension is a PROJ text of its own.
_LEADS_TO_FILES = (
    "extension[", "proj4", "proj-based", "proj=", "init=", "nadgrids", "grids=", "file=", "model=", "tinshift",
    "defmodel", "gridshift", "parameterfile",
)  # fmt: skip
_NAME_IN_MEMORY = re.compile(r"(?:/vsimem/\S*?)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\S*?: ")
# Web Mercator as GDAL wrote it in WKT 1: sphere, no shift.
_WEB_MERCATOR = re.compile(
    r'EXTENSION\["PROJ4","\+proj=merc \+a=6378137 \+b=6378137 \+lat_ts=0(?:\.0)? \+lon_0=0(?:\.0)? \+x_0=0(?:\.0)? '
    r'\+y_0=0(?:\.0)? \+k=1(?:\.0)? \+units=m \+nadgrids=@null \+wktext(?: \+no_defs)?"\]',
    re.IGNORECASE,
)

_RASTERS_BESIDE = (".ovr", ".OVR", ".msk", ".MSK")
# GDAL reads these as text where it looks for metadata of satellites; only pipes among them could do harm.
_TEXTS_BESIDE = ("XML", "IMD", "RPB", "PVL", "TXT", "RPC", "PASS", "xml", "imd", "rpb", "pvl", "txt", "rpc", "pass")
_TEXT_ENDINGS = ("_rpc.txt", "_RPC.TXT", "_metadata.txt", "_METADATA.txt", "_MTL.txt", "_MTL.TXT", "_metadata.xml")
_TEXTS_OF_FOLDER = ("METADATA.DIM", "metadata.dim", "summary.txt", "SUMMARY.TXT")


class RasterFile:
    """A raster that is open for reading, from any thread, by one at a time.

    Attributes:
        path: its file.
    """

    def __init__(
        self,
        path: Path,
        data: rasterio.DatasetReader,
        options: dict[str, Any],
        facts: Facts,
        memory: MemoryFile | None = None,
    ) -> None:
        self.path = path
        self._data, self._options, self._facts, self._memory = data, options, facts, memory
        self._lock = threading.Lock()

    @property
    def upright_size_px(self) -> tuple[int, int]:
        """Width and height as the raster is shown."""
        return self.use(lambda data: upright_size_px(data, self._facts))

    def look(self, bands: tuple[int, ...] | None = None) -> Look:
        """Choose how the raster is shown; see `look_at`.

        Args:
            bands: numbers (from 1) of three bands or one; None for the file's own.

        Raises:
            TileSourceError: a band is not there, or the bands hold complex numbers.
            RasterioError: the file is damaged.
        """

        def look(data: rasterio.DatasetReader) -> Look:
            try:
                return look_at(data, bands, self._facts)
            except TileSourceError as error:  # GDAL calls a raster in memory by a number
                raise TileSourceError(str(error).replace(data.name, str(self.path))) from error
            except (ValueError, LookupError, TypeError, ArithmeticError) as error:  # rasterio's, of an odd file
                raise RasterioError(f"its head is damaged ({error})") from error

        return self.use(look)

    def use(self, work: Callable[[rasterio.DatasetReader], T]) -> T:
        """Run a function on the data set, and return its result.

        Everything that reads belongs in here: GDAL opens overviews and masks only when they are asked for, under the
        options that hold then.

        Args:
            work: the function; it must not keep the data set.

        Raises:
            RasterioError: the file is gone, damaged or closed; and whatever else `work` raises.
        """

        def alone() -> T:
            with self._lock:  # in here, so that a thread that is no longer waited for still keeps others out
                return work(self._data)

        return _with_options(alone, self._options)

    def close(self) -> None:
        """Close the file once nobody reads it."""
        with self._lock:
            self._data.close()
            if self._memory is not None:
                self._memory.close()


def open_raster(path: Path, *, untrusted: bool = False) -> RasterFile:
    """Open a raster of this machine: a TIFF, JPEG 2000, JPEG, PNG or WebP file by its content, whatever its name.

    Beside it may lie a world file, .aux.xml, and .ovr and .msk that are TIFFs, none of which may point elsewhere.

    Args:
        path: the file.
        untrusted: whether a stranger sent it: JPEG 2000 is then not opened, and no file beside it is looked at.

    Raises:
        PictureError: it is none of these, gone or damaged, or it or a file beside it names other files.
    """
    path = Path(os.path.abspath(path))  # links stay: the files beside one belong to it
    if str(path).startswith("/vsi"):
        raise PictureError(f"{path} lies where GDAL keeps files that are not on the disk; move it to another folder")
    driver = driver_of(path, untrusted=untrusted)
    if driver is None:
        raise _refused(path, untrusted)
    _check_citations(path, path, driver)
    options = _ALONE if untrusted or not has_sidecars(path) else _WITH_SIDECARS
    if options is _WITH_SIDECARS:
        check_sidecars(path)
    try:
        data = _with_options(lambda: _open(path, driver), options)
    except RASTER_FAULTS as error:
        raise damaged(path, error) from error
    return RasterFile(path, data, options, _facts_of(path, driver))


def open_raster_bytes(content: bytes, name: str, *, untrusted: bool = False) -> RasterFile:
    """Open a raster in memory, as of a data set; of the same kinds as one on disk, and nothing lies beside it.

    Args:
        content: the file.
        name: for messages.
        untrusted: as of `open_raster`.

    Raises:
        PictureError: it is of none of the kinds, damaged, or names other files.
    """
    path = Path(name)
    driver = _driver_in(content[:HEAD_BYTES], untrusted)
    if driver is None:
        raise PictureError(f"cannot read {name}: {refusal_of(content[:HEAD_BYTES])}")
    _check_citations(io.BytesIO(content), path, driver)

    def opened() -> tuple[MemoryFile, rasterio.DatasetReader]:
        memory = MemoryFile(content)
        try:
            data = memory.open(driver=driver, sharing=False)
            _check_overviews(data, path)
        except BaseException:
            memory.close()
            raise
        return memory, data

    try:
        memory, data = _with_options(opened, _ALONE)
    except RASTER_FAULTS as error:
        raise damaged(path, error) from error
    return RasterFile(path, data, _ALONE, _facts_of(io.BytesIO(content), driver), memory)


def _facts_of(source: Source, driver: str) -> Facts:
    if driver == "PNG":
        with open_plain(source) if isinstance(source, Path) else nullcontext(source) as file:
            return Facts(orientation_of_png(file))
    return Facts(orientation_of(source), is_premultiplied(source)) if driver == "GTiff" else Facts()


def driver_of(path: Path, *, untrusted: bool = False) -> str | None:
    """Choose the GDAL driver for a file by its first bytes, since names lie; None for a kind that is not opened.

    Raises:
        PictureError: the file cannot be read.
    """
    return _driver_in(_head(path), untrusted)


def _driver_in(head: bytes, untrusted: bool) -> str | None:
    found = next((driver for signature, driver in _SIGNATURES.items() if head.startswith(signature)), None)
    if found == "WEBP" and head[8:12] != b"WEBP":
        return None
    return None if untrusted and found not in _FOR_STRANGERS else found


def has_sidecars(path: Path) -> bool:
    """Tell whether files beside a raster add to it: place, mask, overviews, GDAL's metadata."""
    return any(os.path.lexists(name) for names in (_worlds(path), _descriptions(path)) for name in names) or any(
        os.path.lexists(f"{path}{ending}") for ending in _RASTERS_BESIDE
    )


def check_sidecars(path: Path) -> None:
    """Refuse a raster with a file beside it that leads elsewhere or would never end.

    Raises:
        PictureError: it names the file, and what to do.
    """
    for name in (*_worlds(path), *_descriptions(path), *_texts(path)):
        if os.path.lexists(name):
            _check_plain(Path(name), path)
    if os.path.lexists(f"{path}.aux.xml"):
        _check_description(Path(f"{path}.aux.xml"), path)
    for aux in (name for name in _descriptions(path) if name.lower().endswith(".aux")):
        if os.path.lexists(aux) and _head(Path(aux)).startswith(b"EHFA_HEADER_TAG"):
            raise PictureError(
                f"{aux} beside {path.name} is of a kind that may name other files; move it away, and build overviews "
                f"with gdaladdo if {path.name} needs some"
            )
    for ending in _RASTERS_BESIDE:
        beside = Path(f"{path}{ending}")
        if os.path.lexists(beside):
            _check_plain(beside, path)
            if driver_of(beside) != "GTiff":
                raise PictureError(f"{beside} beside {path.name} is no TIFF; move it away, or build it anew")
            check_sidecars(beside)
            try:
                _with_options(lambda file=beside: _open(file, "GTiff").close(), _WITH_SIDECARS)  # type: ignore[misc]
            except RASTER_FAULTS as error:
                raise damaged(beside, error) from error


def damaged(path: Path, error: BaseException) -> PictureError:
    """Turn a fault of rasterio or the system into an error that names the file and the mend."""
    return PictureError(f"cannot read {path}: {plain_reason(error)}; replace the file, or give another one")


def plain_reason(error: BaseException) -> str:
    """Put a library's error on one line, without the name that a file in memory has there."""
    return _NAME_IN_MEMORY.sub("", " ".join(str(error).split())) or type(error).__name__


def names_other_files(crs_wkt: str) -> bool:
    """Tell whether a coordinate system leads PROJ to a file: a grid of shifts, a mesh, a list of definitions.

    PROJ opens any path of the machine that it is given as soon as a transformation is made, and a device or a pipe
    among them is never read to its end.
    """
    told = _WEB_MERCATOR.sub("", crs_wkt.replace("\0", "")).casefold()
    return any(word in told for word in _LEADS_TO_FILES)


def _open(path: Path, driver: str) -> rasterio.DatasetReader:
    before = _identity(path)
    data = rasterio.open(str(path), driver=driver, sharing=False)
    try:
        _check_overviews(data, path)
        if _identity(path) != before:
            raise PictureError(f"{path} was replaced while it was opened; open it again")
    except BaseException:
        data.close()
        raise
    return data


def _check_overviews(data: rasterio.DatasetReader, path: Path) -> None:
    """Refuse a raster that names a file: GDAL follows it when it next looks for overviews or masks, before no read."""
    if any(name.upper() == "OVERVIEW_FILE" for name in data.tags(ns="OVERVIEWS")):
        raise PictureError(
            f"{path} takes its overviews from another file, which is not followed; save its pixels as a new "
            "GeoTIFF, as by Export in QGIS"
        )


def _with_options(work: Callable[[], T], options: dict[str, Any]) -> T:
    """Run a function while GDAL has these options, in this thread alone."""

    def inside() -> T:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, **_NO_NETWORK, **options):
            return work()

    if threading.current_thread() is not threading.main_thread():
        return inside()
    # rasterio sets the main thread's options for the whole process: other code that reads rasters of the network in
    # another thread would then find that switched off. One thread for good, since PROJ opens its database anew in
    # every thread, which takes longer than most reads.
    return _apart().submit(inside).result()


@lru_cache(maxsize=1)
def _apart() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "raster")


if hasattr(os, "register_at_fork"):  # a process that is forked off has none of the threads
    os.register_at_fork(after_in_child=_apart.cache_clear)


def _check_citations(source: Source, path: Path, driver: str) -> None:
    """Refuse a raster whose own texts lead PROJ to a file: GDAL passes them on once the system is asked for.

    Raises:
        PictureError: they do.
    """
    try:
        if driver == "GTiff":
            told = b"\n".join(texts_of(source, _CITATIONS, _MAX_CITED_BYTES))
        elif driver == "JP2OpenJPEG":  # a small GeoTIFF stands in one of its boxes, before the pixels
            with open_plain(source) if isinstance(source, Path) else nullcontext(source) as file:
                told = file.read(_MAX_CITED_BYTES)
            told = told[told.find(b"ESRI PE String") :] if b"ESRI PE String" in told else b""
        else:
            return
    except OSError as error:
        raise damaged(path, error) from error
    if names_other_files(told.decode("latin-1")):
        raise PictureError(
            f"{path.name} has a coordinate system that leads to another file, which is not followed; set one without, "
            "as by gdal_translate -a_srs EPSG:32633"
        )


def _refused(path: Path, untrusted: bool) -> PictureError:
    head = _head(path)
    if b"<VRTDataset" in head:
        return PictureError(
            f"{path.name} is a virtual raster, whose pixels lie in other files; save it as one of its own, as by "
            "gdal_translate mosaic.vrt mosaic.tif"
        )
    if kind_of(head) == "JPEG 2000":
        return PictureError(
            f"{path.name} is a JPEG 2000 image, which is not opened for visitors; save it as GeoTIFF, as by "
            "gdal_translate"
        )
    told = other_kind(head)
    known = "no TIFF, JPEG, PNG or WebP picture" if untrusted else "no TIFF, JPEG 2000, JPEG, PNG or WebP file"
    called = f"{told}, {known}" if told else f"{known}, whatever its name says"
    mend = "save it as one of these" if untrusted else "save it as GeoTIFF, as by gdal_translate"
    return PictureError(f"{path.name if untrusted else path} is {called}; {mend}")


def _head(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise damaged(path, error) from error


def _identity(path: Path) -> tuple[int, int, int, int]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _check_plain(beside: Path, path: Path) -> None:
    """Refuse a sidecar unless it is a regular file in the folder of its raster, or of the raster's link target."""
    folders = {path.parent.resolve(), path.resolve().parent}
    try:
        with open_plain(beside):
            if beside.resolve().parent in folders:
                return
            reason = "leads to another folder"
    except (OSError, RuntimeError):  # RuntimeError: links that run in a circle, before Python 3.13
        reason = "is no regular file that can be read"
    raise PictureError(f"{beside} beside {path.name} {reason}; move it away, or put the file itself there")


def _check_description(beside: Path, path: Path) -> None:
    """Refuse GDAL's notes on a raster if they name a grid, which PROJ opens as soon as the system is looked at."""
    with open_plain(beside) as file:
        content = file.read(_MAX_XML_BYTES + 1)
    if len(content) > _MAX_XML_BYTES or names_other_files(html.unescape(content.decode("utf-8", "replace"))):
        raise PictureError(
            f"{beside} beside {path.name} is huge, or has a coordinate system that needs a file of shifts, which is "
            "not read; move it away, or set a system without"
        )


def _worlds(path: Path) -> Iterator[str]:
    """Yield names of files that georeference a raster: .tfw, .tifw, .wld, .tab and their like."""
    ending = path.suffix[1:]
    short = f"{ending[0]}{ending[-1]}w" if ending else "w"
    for kind in dict.fromkeys((short, f"{ending}w", "jpw", "wld", "tab")):
        yield from (str(path.with_suffix(f".{spelled}")) for spelled in (kind.lower(), kind.upper()))


def _descriptions(path: Path) -> Iterator[str]:
    """Yield names of GDAL's own notes on a raster, and of ERDAS' files."""
    yield f"{path}.aux.xml"
    for stem in (str(path), str(path.with_suffix(""))):
        yield from (f"{stem}.aux", f"{stem}.AUX")


def _texts(path: Path) -> Iterator[str]:
    stem = path.with_suffix("")
    yield from (f"{stem}.{ending}" for ending in _TEXTS_BESIDE)
    yield from (f"{stem}{ending}" for ending in (*_TEXT_ENDINGS, "_METADATA.XML"))
    yield from (str(path.with_name(name)) for name in _TEXTS_OF_FOLDER)
    yield from (str(path.with_name(f"{part}{stem.name[3:]}.txt")) for part in ("HDR", "RPC"))
