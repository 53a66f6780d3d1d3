"""Tiles from a data set on the Hugging Face Hub: its Parquet files, read piece by piece.

Nothing is downloaded as a whole: the footer of each file gives its number of rows, and a row group is fetched when one
of its pictures is wanted.
"""

from __future__ import annotations

import io
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError
from PIL import Image

from lrsclip.errors import PictureError, TileSourceError
from lrsclip.io.caption_json import as_given, texts_in
from lrsclip.io.confined import Confined
from lrsclip.io.decode import DECODE_FAULTS, Decoded, decode, image_size
from lrsclip.io.kinds import HEAD_BYTES, kind_of
from lrsclip.io.picture_column import paths_in, picture_columns, pictures_in
from lrsclip.io.reduced import decode_task
from lrsclip.numbers import clipped, whole_of
from lrsclip.tiles.base import Tile, bands_option, check_count

_NAME = r"[A-Za-z0-9_.-]{1,96}"
_ADDRESS = re.compile(rf"(?P<repo>{_NAME}/{_NAME}?)(?::(?P<split>[\w.-]{{1,96}}))?")
_CONVERTED = "refs/convert/parquet"  # the Hub keeps its own conversions there
_CAPTIONS = ("caption", "captions", "text", "description", "sentences", "raw")
# The HTTP library's own errors too, which are no OSError; which library that is changes with huggingface_hub.
_FAULTS: tuple[type[BaseException], ...] = (
    OSError,
    HfHubHTTPError.__mro__[1],
    HFValidationError,
    pa.ArrowException,
    ValueError,
)
_KEPT_GROUPS = 4
_MAX_ROWS = 10_000_000  # a machine can list so many; a Parquet may claim any number
_MAX_FILES, _MAX_GUEST_FILES = 10_000, 64
_MAX_UNTRUSTED_LISTED = 5000  # entries of the repository that are looked through for a stranger
_MAX_FOOTER_BYTES, _MAX_CONTAINED, _FOOTER_END_BYTES = 16 * 2**20, 500_000, 8
_MAX_GROUP_BYTES = 512 * 2**20  # of a row group, unpacked: it is read whole, and strangers name data sets


class HubTiles:
    """The pictures of one split of a data set.

    A tile's id is the file's name and the row in it. The image column is found by its type, the caption column by its
    name; both can be named. Private data sets are read with HF_TOKEN.

    Args:
        repo: owner/name.
        split: such as train or test; None for all files.
        image: name of the image column.
        caption: name of the caption column.
        token: whether HF_TOKEN, if set, is used.
        bands: numbers (from 1) of the bands that are shown as red, green and blue, or of one for gray.
        max_tiles: more are refused as soon as the files' footers add up to so many, and the data set may have
            fewer files; None for the owner of the machine.

    Raises:
        TileSourceError: no such data set, no Parquet in it, no such split, no column of pictures, or it is too large.
    """

    def __init__(
        self,
        repo: str,
        split: str | None = None,
        image: str | None = None,
        caption: str | None = None,
        token: bool = True,
        max_tiles: int | None = None,
        bands: tuple[int, ...] | None = None,
    ) -> None:
        self._bands = bands
        self.repo, self.split, self._max_tiles, self._token = repo, split, max_tiles, token
        self._asked = {"image": image, "caption": caption}
        # Read from the environment now: the library's own constant is as old as its import.
        self._endpoint = endpoint = os.environ.get("HF_ENDPOINT") or None
        self._hub = HfFileSystem(endpoint=endpoint, token=None if token else False, skip_instance_cache=True)
        self._api = HfApi(endpoint=endpoint, token=None if token else False)
        self._lock = threading.Lock()
        self._opened = lru_cache(maxsize=16)(self._open)
        self._group = lru_cache(maxsize=_KEPT_GROUPS)(self._read_group)
        try:
            self._files = self._split_files(split)
            rows = self._rows()
            self.image, self.caption = self._columns(self._opened(self._files[0]).schema_arrow)
        except _FAULTS as error:
            raise TileSourceError(
                f"the data set {repo} cannot be read from the Hub ({_sentence(error)}); check its name, the network, "
                "and HF_TOKEN if it is private"
            ) from error
        self._starts = [0, *accumulate(rows)]
        if not self._starts[-1]:
            raise TileSourceError(f"the data set {repo} has no rows{f' in {split}' if split else ''}")
        self._names = [path.rsplit("/", 1)[1].removesuffix(".parquet") for path in self._files]
        if len(set(self._names)) < len(self._names):
            self._names = [path.split("/", 3)[-1].removesuffix(".parquet") for path in self._files]
        self._number = {name: number for number, name in enumerate(self._names)}

    @classmethod
    def from_spec(cls, address: str, options: Mapping[str, str], max_tiles: int | None = None) -> HubTiles:
        """Open `hub:owner/name` or `hub:owner/name:split`, with options `image`, `caption` and `bands`.

        Args:
            address: the data set.
            options: as texts.
            max_tiles: more are refused before any is listed.

        Raises:
            TileSourceError: the address is no data set, or an option is unknown.
        """
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise TileSourceError(f"{clipped(address)} is no data set; write hub:owner/name or hub:owner/name:split")
        unknown = sorted(set(options) - {"image", "caption", "token", "bands"})
        if unknown:
            raise TileSourceError(
                f"hub has no option {clipped(unknown[0])}; it has image and caption, names of columns, and bands"
            )
        token, bands = options.get("token") != "no", bands_option("hub", options)
        image, caption = options.get("image"), options.get("caption")
        return cls(match["repo"], match["split"], image, caption, token, max_tiles, bands)

    @property
    def spec(self) -> str:
        """Address that opens the same tiles again."""
        asked = {name: column for name, column in self._asked.items() if column}
        asked |= {"bands": ",".join(map(str, self._bands))} if self._bands else {}
        address = f"hub:{self.repo}" + (f":{self.split}" if self.split else "")
        return f"{address}?{urlencode(asked, safe=',')}" if asked else address

    def __len__(self) -> int:
        """Count the rows."""
        return self._starts[-1]

    def tile_ids(self) -> list[str]:
        """List the ids file by file, row by row."""
        counts = [after - before for before, after in zip(self._starts, self._starts[1:], strict=False)]
        return [f"{name}/{row}" for name, count in zip(self._names, counts, strict=True) for row in range(count)]

    def plan(self) -> str:
        """Describe in one sentence how many rows are read from the Hub, as the tiles are looked at."""
        files = "1 file" if len(self._files) == 1 else f"{len(self._files):,} files"
        return f"{len(self):,} rows of {files} are read from the Hub, piece by piece, as the tiles are looked at"

    def tile(self, tile_id: str) -> Tile:
        """Read the facts of a tile, its size from the head of its picture.

        Raises:
            PictureError: its picture cannot be read.
            TileSourceError: there is no such tile, or the Hub does not answer.
        """
        row = self._row(tile_id)
        try:
            content = _bytes(row[self.image], tile_id)
            width, height = (
                self._read(content, tile_id).image.size if self._is_costly(content) else image_size(io.BytesIO(content))
            )
        except DECODE_FAULTS as error:
            if isinstance(error, PictureError):
                raise
            raise PictureError(f"cannot read {tile_id} of {self.repo}: {_sentence(error)}") from error
        return Tile(
            tile_id,
            width,
            height,
            caption=_text(row.get(self.caption)) if self.caption else None,
            attribution=f"{self.repo} on the Hugging Face Hub",
        )

    def picture(self, tile_id: str) -> Image.Image:
        """Read the picture of a tile, upright and in mode RGB.

        Raises:
            PictureError: it cannot be read.
            TileSourceError: there is no such tile, or the Hub does not answer.
        """
        content = _bytes(self._row(tile_id)[self.image], tile_id)
        return self._read(content, tile_id).image

    def summary(self, tile_id: str) -> str:
        """Say which bands a tile shows, and how: "bands 4, 3, 2; stretched 2-98 %".

        Raises:
            PictureError, TileSourceError: as of `picture`.
        """
        content = _bytes(self._row(tile_id)[self.image], tile_id)
        return self._read(content, tile_id).summary

    def _is_costly(self, content: bytes) -> bool:
        """Tell whether a process of its own decodes a picture: a stranger named it, and it is of a costly kind."""
        return self._max_tiles is not None and kind_of(content[:HEAD_BYTES]) not in ("JPEG", "PNG", "WebP", "")

    def _read(self, content: bytes, tile_id: str) -> Decoded:
        name = f"{tile_id} of {self.repo}"
        if not self._is_costly(content):
            return decode(io.BytesIO(content), name=name, bands=self._bands)
        request = {"whole": True, "name": name, "bands": list(self._bands) if self._bands else None}
        facts, pixels = _READER.run(decode_task, request, content, seconds=_PICTURE_SECONDS)
        size_px = int(facts["width"]), int(facts["height"])
        return Decoded(Image.frombytes("RGB", size_px, pixels), str(facts["summary"]))

    def _split_files(self, split: str | None) -> list[str]:
        """List the Parquet files in order; those converted by the Hub where the data set has none of its own."""
        root = f"datasets/{self.repo}"
        found = self._parquet()
        if not found:
            with suppress(RevisionNotFoundError):  # not every data set was converted
                found = self._parquet(_CONVERTED)
        if not found:
            raise TileSourceError(
                f"the data set {self.repo} has no Parquet files; save its pictures to a folder instead"
            )
        if split is None:
            return found
        # data/train-00000-of-00002.parquet, train/0000.parquet or default/train/0000.parquet
        part = re.compile(rf"(^|/){re.escape(split)}([-./]|$)")
        chosen = [path for path in found if part.search(path.removeprefix(root))]
        if not chosen:
            names = ", ".join(path.removeprefix(root + "/") for path in found[:4])
            raise TileSourceError(f"the data set {self.repo} has no split {split!r}; its files are {names}, ...")
        return chosen

    def _rows(self) -> list[int]:
        """Count the rows of each file by its footer; stop reading at the first file that makes them too many."""
        files = _MAX_FILES if self._max_tiles is None else _MAX_GUEST_FILES
        if len(self._files) > files:
            raise TileSourceError(
                f"the data set {self.repo} has {len(self._files):,} files, more than the {files:,} that are opened "
                "here; name a split (hub:owner/name:split)"
            )
        rows: list[int] = []
        for path in self._files:
            rows.append(self._opened(path).metadata.num_rows)
            check_count(f"the data set {self.repo}", sum(rows), self._max_tiles)
            if rows[-1] < 0 or sum(rows) > _MAX_ROWS:
                raise TileSourceError(
                    f"the data set {self.repo} says that it has {sum(rows):,} rows; {_MAX_ROWS:,} can be listed"
                )
        return rows

    def _parquet(self, revision: str | None = None) -> list[str]:
        """List the Parquet files of a revision page by page; refuse a listing that is too long for a stranger."""
        at = f"@{revision.replace('/', '%2F')}" if revision else ""
        found = []
        for number, entry in enumerate(
            self._api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type="dataset")
        ):
            if self._max_tiles is not None and number >= _MAX_UNTRUSTED_LISTED:
                raise TileSourceError(
                    f"the data set {self.repo} has more than {_MAX_UNTRUSTED_LISTED:,} files, too many to be looked "
                    "through for visitors; choose another one"
                )
            if entry.path.endswith(".parquet"):
                found.append(f"datasets/{self.repo}{at}/{entry.path}")
        return sorted(found)

    def _open(self, path: str) -> pq.ParquetFile:
        return _open_parquet(self._hub, path, self.repo)

    def _columns(self, schema: pa.Schema) -> tuple[str, str | None]:
        """Choose the image and the caption column; return their names."""
        for name in self._asked.values():
            if name and name not in schema.names:
                raise TileSourceError(
                    f"the data set {self.repo} has no column {name!r}; it has {', '.join(schema.names)}"
                )
        image = self._asked["image"] or next(iter(picture_columns(schema)), None)
        if image is None:
            raise TileSourceError(
                f"the data set {self.repo} has no column of pictures; name it with ?image=, its columns are "
                f"{', '.join(schema.names)}"
            )
        by_name = {name.lower(): name for name in reversed(schema.names)}
        caption = self._asked["caption"] or next((by_name[name] for name in _CAPTIONS if name in by_name), None)
        return image, caption

    def _row(self, tile_id: str) -> dict[str, Any]:
        name, _, row = tile_id.rpartition("/")
        number = self._number.get(name, -1)
        if number < 0 or (at := whole_of(row)) is None or not 0 <= at < self._starts[number + 1] - self._starts[number]:
            raise TileSourceError(f"the data set {self.repo} has no tile {tile_id!r}; ids look like {self._names[0]}/0")
        with self._lock:  # one reader of a file at a time; a row group serves many tiles
            try:
                metadata = self._opened(self._files[number]).metadata
                sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
                starts = [0, *accumulate(sizes)]
                group = bisect_right(starts, at) - 1
                if group >= len(sizes):
                    raise ValueError("its footer tells of more rows than its row groups hold")
                table = self._group(number, group)
            except _FAULTS as error:
                raise TileSourceError(
                    f"the Hub does not hand out {tile_id} of {self.repo} ({_sentence(error)})"
                ) from error
        found: list[dict[str, Any]] = table.slice(at - starts[group], 1).to_pylist()
        if not found:
            raise TileSourceError(f"{tile_id} of {self.repo} is not there: its row group holds fewer rows than it says")
        return found[0]

    def _read_group(self, number: int, group: int) -> pa.Table:
        columns = [self.image, *([self.caption] if self.caption else [])]
        facts = self._opened(self._files[number]).metadata.row_group(group)
        parts = (facts.column(at) for at in range(facts.num_columns))
        size = sum(part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns)
        if size > _MAX_GROUP_BYTES:
            raise TileSourceError(
                f"a row group of {self.repo} holds {size / 2**20:,.0f} MB of pictures, more than the "
                f"{_MAX_GROUP_BYTES // 2**20} MB that are read at once; write the Parquet with smaller row groups"
            )
        if self._max_tiles is None:
            return self._opened(self._files[number]).read_row_group(group, columns=columns)
        request = {
            "endpoint": self._endpoint, "token": self._token, "repo": self.repo, "path": self._files[number],
            "group": group, "columns": columns,
        }  # fmt: skip
        _, content = _READER.run(read_group_task, request, seconds=_GROUP_SECONDS)
        if len(content) > _SMALL_GROUP_BYTES:
            self._group.cache_clear()  # one at a time
        table: pa.Table = pa.ipc.open_stream(content).read_all()
        return table


_READER = Confined(workers=1, memory_bytes=3 * 2**29, what="a part of the data set")
"""Reads what strangers name: a dictionary of one picture can stand for any number of rows."""
_GROUP_SECONDS, _SMALL_GROUP_BYTES = 120.0, 64 * 2**20
_PICTURE_SECONDS = 60.0


def read_group_task(request: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    """Read a row group in a process of its own; see `Confined.run`.

    Raises:
        TileSourceError: it is larger than its file says, or cannot be read.
    """
    repo, path = str(request["repo"]), str(request["path"])
    try:
        file = _opened_there(request["endpoint"], bool(request["token"]), repo, path)
        table = file.read_row_group(int(request["group"]), columns=list(request["columns"]))
    except MemoryError:
        raise
    except _FAULTS as error:
        raise TileSourceError(f"a part of {repo} cannot be read ({_sentence(error)})") from error
    if table.nbytes > _MAX_GROUP_BYTES:
        raise TileSourceError(
            f"a row group of {repo} holds {table.nbytes / 2**20:,.0f} MB of pictures, more than the "
            f"{_MAX_GROUP_BYTES // 2**20} MB that are read at once; write the Parquet with smaller row groups"
        )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return {}, sink.getvalue()


@lru_cache(maxsize=4)
def _opened_there(endpoint: str | None, token: bool, repo: str, path: str) -> pq.ParquetFile:
    hub = HfFileSystem(endpoint=endpoint, token=None if token else False, skip_instance_cache=True)
    return _open_parquet(hub, path, repo)


def _bytes(cell: Any, tile_id: str) -> bytes:
    """Return the picture of a row, the first one where it has several."""
    if found := pictures_in(cell):
        return found[0]
    if paths_in(cell):
        raise PictureError(
            f"{tile_id} holds no picture, only the name of one; only pictures inside the Parquet are read"
        )
    raise PictureError(f"{tile_id} holds no picture: its cell is empty")


def _text(cell: Any) -> str | None:
    """Extract a caption, or the first of several that says something."""
    return next(iter(texts_in(cell, as_given)), None)


def _sentence(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _open_parquet(hub: HfFileSystem, path: str, repo: str) -> pq.ParquetFile:
    file = hub.open(path, "rb", block_size=2**20)
    # A footer is read whole, and says itself how long it is.
    if file.size >= _FOOTER_END_BYTES:
        file.seek(file.size - _FOOTER_END_BYTES)
        end = file.read(_FOOTER_END_BYTES)
        size = int.from_bytes(end[:4], "little")
        if end.endswith(b"PAR1") and size > _MAX_FOOTER_BYTES:
            raise TileSourceError(
                f"{path.rsplit('/', 1)[-1]} of {repo} has a footer of {size / 2**20:,.0f} MB, more than the "
                f"{_MAX_FOOTER_BYTES // 2**20} MB that are read; write the Parquet with fewer row groups"
            )
        file.seek(0)
    return pq.ParquetFile(file, thrift_string_size_limit=_MAX_FOOTER_BYTES, thrift_container_size_limit=_MAX_CONTAINED)
