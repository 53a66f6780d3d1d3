"""Schema of an index: rows, vectors, the mark of the model that made them, and the manifest."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrsclip.errors import IndexMismatchError
from lrsclip.tiles.base import Tile

FORMAT = "lrsclip-index"
FORMAT_VERSION = 1
METRIC = "cosine"
VECTORS_DTYPE = "float16"


def build_command(directory: str | os.PathLike[str] = "DIR") -> str:
    """Write the shell command that builds an index in a folder, for error messages."""
    return f"python -m lrsclip.index build SPEC --out {shlex.quote(os.fspath(directory))}"


class ImageEncoder(Protocol):
    """The part of a model that an index needs; `lrsclip.LRSCLIP` has it."""

    @property
    def name(self) -> str:
        """The checkpoint's name."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        ...

    @property
    def embed_dim(self) -> int:
        """Length D of a vector."""
        ...

    @property
    def image_px(self) -> int:
        """Side in pixels of the image tower's square input."""
        ...

    def encode_image(self, pictures: list[Image.Image], /) -> NDArray[np.float32]:
        """Encode pictures to L2-normalized vectors, (N, D) float32."""
        ...


@dataclass(frozen=True)
class ModelMark:
    """The mark of a model, to tell its vectors from another model's.

    Attributes:
        name: the checkpoint's name, for people.
        sha256: hash of the weights, for comparison.
        dimension: D, the length of a vector.
        image_px: side of the square the pictures were brought to.
    """

    name: str
    sha256: str
    dimension: int
    image_px: int

    @classmethod
    def of(cls, bundle: ImageEncoder) -> ModelMark:
        """Take the mark of a loaded model."""
        return cls(bundle.name, bundle.sha256, bundle.embed_dim, bundle.image_px)

    def require(self, other: ModelMark, what: str, directory: str | os.PathLike[str] = "DIR") -> None:
        """Refuse another model than this one.

        Args:
            other: the model at hand.
            what: name of the thing that this one built, for the message.
            directory: the index's folder, for the message.

        Raises:
            IndexMismatchError: it is another one; the message names both.
        """
        if (self.sha256, self.dimension, self.image_px) != (other.sha256, other.dimension, other.image_px):
            raise IndexMismatchError(
                f"{what} was built by model {self}, not by {other}; rebuild it with the model at hand "
                f"(`{build_command(directory)} --rebuild`) or load the model that built it (--checkpoint in a shell)"
            )

    def __str__(self) -> str:
        """Format the name, the start of the hash, and the sizes."""
        return f"{self.name} (sha256 {self.sha256[:12]}, D={self.dimension}, {self.image_px} px)"


@dataclass(frozen=True)
class Row:
    """One indexed tile.

    Attributes:
        tile: its facts.
        source_spec: address of the source it came from.
        fingerprint: state of the picture when it was encoded, where the source can tell.
    """

    tile: Tile
    source_spec: str
    fingerprint: str | None = None


@dataclass(frozen=True)
class Skipped:
    """One picture that could not be read, and why."""

    tile_id: str
    reason: str
    source_spec: str
    fingerprint: str | None = None


@dataclass(frozen=True)
class IndexData:
    """The whole content of an index.

    Attributes:
        rows: N rows in the order of the sources and of the tiles within each.
        vectors: (N, D) float16, row for row.
        source_specs: addresses of the sources.
        skipped: pictures that could not be read.
    """

    rows: tuple[Row, ...]
    vectors: NDArray[np.float16]
    source_specs: tuple[str, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Manifest:
    """The description beside the vectors, so that an index can be judged without reading it.

    The names and hashes of the files are empty as long as the index has not been saved.

    Attributes:
        model: the model that made the vectors.
        count: N, number of vectors.
        source_specs: addresses of the tile sources.
        skipped: pictures that could not be read.
        created: date and time (UTC, ISO 8601) of this state of the index.
        libraries: versions of the libraries that built it.
        metric: measure by which vectors are compared.
        vectors_dtype: number type of the vectors on disk.
        vectors_file: name of the vectors file.
        vectors_sha256: its hash.
        tiles_file: name of the rows file.
        tiles_sha256: its hash.
    """

    model: ModelMark
    count: int
    source_specs: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    created: str
    libraries: dict[str, str]
    metric: str = METRIC
    vectors_dtype: str = VECTORS_DTYPE
    vectors_file: str = ""
    vectors_sha256: str = ""
    tiles_file: str = ""
    tiles_sha256: str = ""


def row_to_dict(row: Row, source_specs: tuple[str, ...]) -> dict[str, Any]:
    """Convert a row for JSON; the source becomes its number, since its address may be long."""
    facts = asdict(row.tile)
    facts["source"] = source_specs.index(row.source_spec)
    facts["fingerprint"] = row.fingerprint
    return facts


def row_from_dict(facts: dict[str, Any], source_specs: tuple[str, ...]) -> Row:
    """Convert the facts of `row_to_dict` back to a row.

    Raises:
        KeyError, TypeError, ValueError, IndexError: the facts are not those of a row.
    """
    outline = facts["footprint_lonlat"]
    tile = Tile(
        tile_id=str(facts["tile_id"]),
        width_px=int(facts["width_px"]),
        height_px=int(facts["height_px"]),
        ground_m=facts["ground_m"],
        footprint_lonlat=None if outline is None else tuple((float(lon), float(lat)) for lon, lat in outline),
        caption=facts["caption"],
        attribution=facts["attribution"],
        center_lonlat=None if (middle := facts.get("center_lonlat")) is None else (float(middle[0]), float(middle[1])),
    )
    return Row(tile, source_specs[int(facts["source"])], facts["fingerprint"])


def manifest_to_dict(manifest: Manifest) -> dict[str, Any]:
    """Convert a manifest to the facts of manifest.json."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model_name": manifest.model.name,
        "model_sha256": manifest.model.sha256,
        "dimension": manifest.model.dimension,
        "image_px": manifest.model.image_px,
        "metric": manifest.metric,
        "count": manifest.count,
        "source_specs": list(manifest.source_specs),
        "skipped": [asdict(one) for one in manifest.skipped],
        "created": manifest.created,
        "libraries": manifest.libraries,
        "vectors_dtype": manifest.vectors_dtype,
        "vectors_file": manifest.vectors_file,
        "vectors_sha256": manifest.vectors_sha256,
        "tiles_file": manifest.tiles_file,
        "tiles_sha256": manifest.tiles_sha256,
    }


def manifest_from_dict(facts: dict[str, Any]) -> Manifest:
    """Convert facts of the right format and version back to a manifest; the inverse of `manifest_to_dict`.

    Raises:
        KeyError, TypeError, ValueError: the facts are not those of a manifest.
    """
    return Manifest(
        model=ModelMark(
            str(facts["model_name"]), str(facts["model_sha256"]), int(facts["dimension"]), int(facts["image_px"])
        ),
        count=int(facts["count"]),
        source_specs=tuple(str(spec) for spec in facts["source_specs"]),
        skipped=tuple(Skipped(**one) for one in facts["skipped"]),
        created=str(facts["created"]),
        libraries=dict(facts["libraries"]),
        metric=str(facts["metric"]),
        vectors_dtype=str(facts["vectors_dtype"]),
        vectors_file=str(facts["vectors_file"]),
        vectors_sha256=str(facts["vectors_sha256"]),
        tiles_file=str(facts["tiles_file"]),
        tiles_sha256=str(facts["tiles_sha256"]),
    )
