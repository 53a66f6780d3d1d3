"""Pictures on their way to and from the browser: uploads checked, thumbnails small, nothing carrying metadata."""

from __future__ import annotations

import base64
import math
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import gradio as gr
from PIL import Image

from app.collections import AppState
from app.media.picture_scrub import is_known, without_metadata
from app.media.tiff_scrub import copy_stripped_tiff
from app.server.concurrency import LruCache, WeightedSemaphore
from app.server.encoder_queue import STOP
from app.server.events import INTERNAL, UPLOAD, sentence
from app.server.settings import in_force
from app.server.upload_folder import Upload, UploadFolder, own_folder
from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.confined import Confined
from lrsclip.io.decode import DECODE_FAULTS, opened
from lrsclip.io.encode import encoded
from lrsclip.io.kinds import READ, head_of, kind_of, other_kind
from lrsclip.io.recode import RECODED, recode_task
from lrsclip.io.reduced import KEPT_PX, decode_task, decoded_small
from lrsclip.io.text_file import utf16_without_mark
from lrsclip.io.tiff_tags import TIFF_BEGINS, compressions, hides_its_size, samples_per_pixel, scans_of_a_piece, size_of
from lrsclip.tiles import preview_of

THUMB_PX = 360
_GALLERY_PX, _GALLERY_QUALITY = 240, 62  # of a picture in the gallery: some 5 kB
LARGE_PX = 1600
_LIGHT = ("JPEG", "PNG", "WebP", "BMP")
_SCAN, _READ_AT_ONCE = b"\xff\xda", 2**20
_MAX_SCANS, _MAX_SCANNED_PX = 100, 1_500_000_000  # a progressive JPEG has ten scans; each goes over all pixels
_MAX_BANDS, _MAX_SCANS_OF_A_TILE = 512, 8
_COMPRESSIONS = frozenset({1, 5, 7, 8, 32773, 32946, 34887, 50000, 50001})  # no fax: libtiff tells of each row
_OLD_JPEG = 6
_HEAD_BYTES = 12
_TABLES, _UTF_16 = (".csv", ".tsv", ".txt"), (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")
_SHOWN_PX = 4 * KEPT_PX**2  # of a TIFF that is shown as PNG
_DECODED_AT_ONCE_PX = 50_000_000  # 15 bytes each at worst (WebP), 750 MB of memory; a larger one goes alone
_LOST_GRAY = (203, 213, 225)

DECODING = WeightedSemaphore(_DECODED_AT_ONCE_PX)
"""Pixels of uploads that are decoded whole at the same moment; what is larger waits."""
DECODER = Confined(workers=2, memory_bytes=2 * 2**30, what="the upload")
"""Decodes large uploads, which would keep all others waiting: Pillow holds Python's lock for some formats."""
_AT_HAND_PX, _AT_HAND_BYTES = 4_000_000, 8 * 2**20  # of an upload that is decoded here: some 50 ms
_AT_HAND_TIFF_BYTES = 16 * 2**20  # of pixels in all bands
_MOST_SECONDS = 60.0  # for a picture of the largest size, on a busy machine
_THUMBS: LruCache[Image.Image] = LruCache(128)
_GALLERY: LruCache[Path] = LruCache(1024)
_OF_THE_PAGE = "the page itself"  # whose share of the room the files of tiles are


def upload_box(**settings: Any) -> gr.Image:
    """Build an image box for uploads, which warns at once if a file is no picture.

    Events that read it must pass `preprocess=False` and hand its value to `uploaded`.
    """
    box = gr.Image(sources=["upload", "clipboard"], type="pil", format="png", elem_classes="upload-frame", **settings)
    box.upload(_checked, box, box, show_progress="hidden", **UPLOAD, **INTERNAL)
    return box


def uploaded(upload: Upload | None) -> Image.Image:
    """Read the uploaded picture the way tiles are read: upright, RGB, of the formats meant to be read.

    Gradio's own reading (left out by `preprocess=False`) takes any format that Pillow knows and answers a bad file with
    a bare "Error".

    Args:
        upload: the file, as the gate let it through.

    Raises:
        PictureError: there is no picture, or the file is none.
    """
    return uploaded_as(upload, None)[0]


def uploaded_as(upload: Upload | None, bands: tuple[int, ...] | None) -> tuple[Image.Image, str]:
    """Read the uploaded picture in other bands than the usual ones, and say how it is shown.

    Args:
        upload: the file, as the gate let it through.
        bands: numbers (from 1) of the bands for red, green and blue, or of one for gray; None for the usual ones.

    Returns:
        The picture, and a text such as "bands 4, 3, 2; stretched 2-98 %".

    Raises:
        PictureError: there is no picture, the file is none, or a band is not there.
    """
    with given(upload).open() as file:
        pixels, size = check_pixels(file, whole=True), os.fstat(file.fileno()).st_size
        with DECODING.of(pixels):
            if 0 < pixels <= _AT_HAND_PX and size <= _AT_HAND_BYTES and _is_light(file):
                decoded = decoded_small(file, bands)
                return decoded.image, decoded.summary
            request = {"bands": list(bands) if bands else None}
            facts, content = DECODER.run(decode_task, request, file.read(), seconds=_MOST_SECONDS, stop=STOP.get())
    size_px = int(facts["width"]), int(facts["height"])
    return Image.frombytes("RGB", size_px, content), str(facts["summary"])


def _is_light(file: BinaryIO) -> bool:
    """Tell whether a file is of a kind that costs what its pixels do; a raster may have hundreds of bands."""
    kind = kind_of(head_of(file))
    if kind != "TIFF":
        return kind in _LIGHT
    width_px, height_px, px_bytes = size_of(file)
    file.seek(0)
    return width_px * height_px * px_bytes <= _AT_HAND_TIFF_BYTES


def given(upload: Upload | None) -> Upload:
    """Return the file in an upload box.

    Raises:
        PictureError: there is none.
    """
    if not isinstance(upload, Upload):
        raise PictureError("there is no picture yet; upload one or take a tile")
    return upload


def copy_without_metadata(path: Path, copy: Path) -> bool:
    """Write a copy of an upload without its camera's metadata, so that none of it stays.

    The pixels stay as they are stored, and so do a TIFF's place and a picture's orientation. The file itself is only
    read.

    Args:
        path: the file.
        copy: path of the copy.

    Returns:
        Whether there is one: not of a file that has nothing to leave out, or is no picture.

    Raises:
        PictureError: a TIFF holds too many pictures to be looked through.
        OSError: the disk is full.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith(TIFF_BEGINS):
            return copy_stripped_tiff(path, copy)
        if not is_known(head):
            return False
        content = head + file.read()
    stripped = without_metadata(content)
    if stripped == content:
        return False
    try:
        copy.write_bytes(stripped)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return True


def check_kind(path: Path) -> None:
    """Refuse a file that is neither a picture nor a table, by its first bytes: nothing here reads it.

    Raises:
        PictureError: it is none of these.
    """
    with path.open("rb") as file:
        head = file.read(_READ_AT_ONCE)
    if head.startswith(TIFF_BEGINS) or is_known(head) or kind_of(head) in RECODED:
        return
    is_table = path.suffix.lower() in _TABLES
    if is_table and b"\0" in head and not (head.startswith(_UTF_16) or utf16_without_mark(head)):
        raise PictureError("the upload is no CSV file, whatever its name says; save it as CSV in UTF-8")
    if not is_table:
        told = other_kind(head)
        raise PictureError(f"the upload is {f'{told}, ' if told else ''}no {READ} picture; save it as one of these")


def recoded(path: Path) -> tuple[bytes, str] | None:
    """Write an upload of a costly kind anew, as a plain one without metadata; in a process of its own.

    Args:
        path: the file, which is only read.

    Returns:
        The new file and the ending of its name; None for a kind that stays as it is.

    Raises:
        PictureError: it is damaged, or takes more time or memory than one file may.
    """
    with path.open("rb") as file:
        if kind_of(head_of(file)) not in RECODED:
            return None
        check_pixels(file, whole=True)
        facts, content = DECODER.run(recode_task, {}, file.read(), seconds=_MOST_SECONDS, stop=STOP.get())
    return content, str(facts["suffix"])


def keep(picture: Image.Image, folder: UploadFolder, name: str = "picture.png") -> Path:
    """Write a picture to the folder that Gradio serves, under a name that nobody can guess; trimmed in time.

    Gradio's own names come from a picture's content: an owner of the same picture could tell if somebody looked at it.
    """
    place = folder.new_place(name)
    place.write_bytes(encoded(picture, "PNG"))
    folder.trim_made()
    return place


def check_work(path: Path) -> None:
    """Refuse a file whose decoding takes far longer than its pixels suggest, or of a kind that no map has.

    Raises:
        PictureError: it is a JPEG of very many scans, or a TIFF compressed as faxes are.
    """
    with path.open("rb") as file:
        begin = file.read(4)
        if begin in TIFF_BEGINS:
            check_tiff(path)
        elif begin[:2] == b"\xff\xd8":
            file.seek(0)
            scans = sum(part.count(_SCAN) for part in iter(lambda: file.read(_READ_AT_ONCE), b""))
            if scans > _MAX_SCANS or scans * check_pixels(path) > _MAX_SCANNED_PX:
                raise PictureError(f"the upload is a JPEG of {scans:,} scans; save it anew, and send that")


def check_tiff(path: Path) -> None:
    """Refuse a TIFF that takes far longer than others: of odd compression, bands by the thousand, or odd tiles.

    It is the part of `check_work` for TIFFs.

    Raises:
        PictureError: as `check_work`.
    """
    # A camera's thumbnail may be an old JPEG, and does not stay.
    if strange := compressions(path) - _COMPRESSIONS - {_OLD_JPEG}:
        raise PictureError(
            f"the upload is a TIFF of compression {min(strange)}; save it with deflate or LZW, and send that"
        )
    if (bands := samples_per_pixel(path)) > _MAX_BANDS:
        raise PictureError(f"the upload is a TIFF of {bands:,} bands; {_MAX_BANDS} are the limit: send some of them")
    if (scans := scans_of_a_piece(path)) > _MAX_SCANS_OF_A_TILE:
        raise PictureError(f"the upload is a TIFF whose tiles are JPEGs of {scans:,} scans; save them as baseline JPEG")
    if hides_its_size(path):
        raise PictureError("the upload is a TIFF whose tiles are far larger than itself; save it in tiles of 256 px")


def check_pixels(file: Path | BinaryIO, *, whole: bool = False) -> int:
    """Count the pixels in the head of an uploaded picture before anything is decoded.

    Args:
        file: its path, or the open file, which stands at its start afterwards.
        whole: whether a TIFF counts too; as a scene it is read by windows, and its reader has a limit of its own.

    Returns:
        Number of pixels; 0 for a format that is not checked.

    Raises:
        PictureError: it would have more pixels than are allowed.
    """
    try:
        width_px, height_px = _size_in_head(file, whole)
    except (PictureError, *DECODE_FAULTS):  # another format, or none: its reader says so
        return 0
    finally:
        if not isinstance(file, Path):
            file.seek(0)
    if width_px * height_px > (most := in_force().max_pixels):
        raise PictureError(
            f"the upload has {width_px} x {height_px} pixels; {most:,} in all are the limit: send it smaller, or a part"
        )
    return width_px * height_px


def _size_in_head(file: Path | BinaryIO, whole: bool) -> tuple[int, int]:
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as content:
        kind = kind_of(head_of(content))
        if kind == "TIFF":  # its tags alone
            return size_of(content)[:2] if whole else (0, 0)
        if kind == "JPEG 2000":  # only its process opens it
            return 0, 0
        with opened(content) as head:
            return head.size


def _checked(upload: Upload | None) -> Any:
    """Empty the box if the upload is no picture; show a TIFF, which browsers cannot, as PNG."""
    try:
        picture = uploaded(upload)
    except PictureError as error:
        gr.Warning(sentence(error))
        return None
    is_tiff = given(upload).path.suffix.lower() in (".tif", ".tiff")
    return str(keep(smaller(picture), own_folder())) if is_tiff else gr.skip()


def smaller(picture: Image.Image) -> Image.Image:
    """Reduce a picture that would take tens of megabytes as PNG."""
    return picture.reduce(max(1, math.ceil(math.sqrt(picture.width * picture.height / _SHOWN_PX))))


def thumbnail(state: AppState, tile_id: str) -> Image.Image:
    """Return a tile's picture, at most `THUMB_PX` a side; an even gray if its file has gone since it was indexed."""
    try:
        return _THUMBS.get(
            (state.source.spec, tile_id), lambda: shrunk(tile_picture(state, tile_id, 2 * THUMB_PX), THUMB_PX)
        )
    except PictureError:  # one lost file must not take the other results away; a click on it shows the error
        return Image.new("RGB", (THUMB_PX, THUMB_PX), _LOST_GRAY)


def gallery_file(state: AppState, tile_id: str) -> str:
    """Return the path of a small picture of a tile that Gradio serves; made once, and not again for each search."""
    key = (state.source.spec, state.index.manifest.created, tile_id)

    def write() -> Path:
        small = shrunk(thumbnail(state, tile_id), _GALLERY_PX)
        path = own_folder().new_place("tile.webp", sender=_OF_THE_PAGE)
        path.write_bytes(encoded(small, "WEBP", quality=_GALLERY_QUALITY, method=4))
        return path

    kept = _GALLERY.get(key, write)
    if not kept.exists():  # the folder is bounded, and the oldest go
        _GALLERY.drop(key)
        kept = _GALLERY.get(key, write)
    os.utime(kept)
    return str(kept)


def tile_picture(state: AppState, tile_id: str, min_px: int | None = None) -> Image.Image:
    """Read an indexed tile's picture at full size, or smaller where that is faster: no side shorter than `min_px`.

    Raises:
        TileSourceError: the index has no such tile of this source. It is asked first: the source's own error would
            tell the folder.
        PictureError: the file is gone or damaged.
    """
    if state.index.source_spec(tile_id) != state.source.spec:
        raise TileSourceError(f"the tile {tile_id!r} is of another collection; open that one")
    return state.source.picture(tile_id) if min_px is None else preview_of(state.source, tile_id, min_px)


def shrunk(picture: Image.Image, longest_px: int) -> Image.Image:
    """Copy a picture with its longer side at most `longest_px`, without any metadata."""
    share = min(1.0, longest_px / max(picture.size))
    size = max(1, round(picture.width * share)), max(1, round(picture.height * share))
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    small = rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info.clear()
    return small


def data_url(picture: Image.Image, file_format: str) -> str:
    """Encode a picture as a data URL; `file_format` is JPEG, PNG or WEBP."""
    options = {"quality": 87} if file_format == "JPEG" else {"optimize": True}
    content = encoded(picture, file_format, **options)
    return f"data:image/{file_format.lower()};base64,{base64.b64encode(content).decode()}"
