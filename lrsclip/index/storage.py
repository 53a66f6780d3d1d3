"""An index on disk: the vectors, one line per tile, and a manifest, written so that a kill never leaves half of it.

- `vectors-<hash>.safetensors`: (N, D) float16
- `tiles-<hash>.jsonl`: one row per vector
- `manifest.json`: names the two files above and their hashes

The first two carry the start of their hash in their names, so a new state of an index never overwrites the old one.
Replacing manifest.json is the one step that makes the new state count; the files it no longer names go after that.

Vectors are float16: half the size, and as a vector of length one is rounded by at most 2**-11 of each number, a cosine
moves by less than 5e-4 (less than 1e-4 in the tests), well below any difference of scores that matters.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from lrsclip.errors import IndexDamagedError
from lrsclip.index import schema as d
from lrsclip.io.atomic import write_atomically

MANIFEST = "manifest.json"
_VECTORS_NAME = re.compile(r"vectors-[0-9a-f]{16}\.safetensors")
_TILES_NAME = re.compile(r"tiles-[0-9a-f]{16}\.jsonl")
_OWN_NAME = re.compile(rf"({_VECTORS_NAME.pattern}|{_TILES_NAME.pattern}|manifest\.json)(\.[0-9]+\.tmp)?")
LOCK = "build.lock"
_READS = 5  # of an index that another process keeps replacing
_DISTRIBUTIONS = ("lrsclip", "torch", "open-clip-torch", "numpy", "pillow", "faiss-gpu", "faiss-cpu")


def has_index(directory: Path) -> bool:
    """Tell whether there is a manifest in the folder, also one of another program."""
    return (directory / MANIFEST).exists()


def new_manifest(index: d.IndexData, model: d.ModelMark) -> d.Manifest:
    """Build the manifest of an index that is not saved yet."""
    return d.Manifest(
        model=model,
        count=len(index.rows),
        source_specs=index.source_specs,
        skipped=index.skipped,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={"python": platform.python_version(), **_versions()},
    )


def read_manifest(directory: str | os.PathLike[str]) -> d.Manifest:
    """Read and check the manifest of an index, without its vectors.

    Raises:
        IndexDamagedError: there is no index there, only part of one, one of another format, or a broken manifest.
    """
    directory = Path(directory)
    path = directory / MANIFEST
    if not has_index(directory):
        unfinished = "is unfinished; build it again to go on from where it stopped"
        absent = f"is missing (no manifest.json); build it with `{d.build_command(directory)}`"
        state = unfinished if any(directory.glob("parts-*")) else absent
        raise IndexDamagedError(f"the index in {directory} {state}")
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(directory, f"manifest.json cannot be read ({error})") from error
    if not isinstance(facts, dict) or facts.get("format") != d.FORMAT:
        raise IndexDamagedError(f"{path} is not the manifest of an LRSCLIP index; choose another folder")
    if facts.get("format_version") != d.FORMAT_VERSION:
        raise IndexDamagedError(
            f"the index in {directory} has format {facts.get('format_version')!r}, this LRSCLIP reads "
            f"{d.FORMAT_VERSION}; rebuild it with `{d.build_command(directory)} --rebuild`, or use the LRSCLIP that "
            "wrote it"
        )
    try:
        manifest = d.manifest_from_dict(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(directory, f"manifest.json lacks or garbles {error}") from error
    names = (manifest.vectors_file, manifest.tiles_file)
    # The names are taken from a file that may come from elsewhere: they must not lead out of the folder.
    if not _VECTORS_NAME.fullmatch(names[0]) or not _TILES_NAME.fullmatch(names[1]):
        raise _damaged(directory, f"manifest.json names the files {names!r}")
    return manifest


def read_index(directory: Path, model: d.ModelMark) -> tuple[d.Manifest, d.IndexData]:
    """Read a whole index and check it against its manifest and the model at hand.

    Raises:
        IndexMismatchError: another model built it.
        IndexDamagedError: files are missing, cut, or not those of the manifest.
    """
    for _ in range(_READS - 1):
        manifest = read_manifest(directory)
        try:
            return manifest, _read_data(directory, manifest, model)
        except IndexDamagedError:
            # A writer deletes the files of the state before: that is no damage, the new state is there.
            if read_manifest(directory) == manifest:
                raise
    manifest = read_manifest(directory)
    return manifest, _read_data(directory, manifest, model)


def _read_data(directory: Path, manifest: d.Manifest, model: d.ModelMark) -> d.IndexData:
    manifest.model.require(model, f"the index in {directory}", directory)
    raw_tiles = _read_checked(directory, manifest.tiles_file, manifest.tiles_sha256)
    raw_vectors = _read_checked(directory, manifest.vectors_file, manifest.vectors_sha256)
    try:
        rows = tuple(d.row_from_dict(json.loads(line), manifest.source_specs) for line in raw_tiles.splitlines())
        vectors = safetensors.numpy.load(raw_vectors)["vectors"]
    except (KeyError, TypeError, ValueError, IndexError, safetensors.SafetensorError) as error:
        raise _damaged(directory, f"its files do not parse ({error})") from error
    if vectors.shape != (manifest.count, manifest.model.dimension) or vectors.dtype != np.float16:
        raise _damaged(directory, f"its vectors are {vectors.dtype} {vectors.shape}")
    if len({row.tile.tile_id for row in rows}) != manifest.count or len(rows) != manifest.count:
        raise _damaged(directory, f"{manifest.tiles_file} does not hold {manifest.count} different tiles")
    return d.IndexData(rows, vectors, manifest.source_specs, manifest.skipped)


def write_index(directory: Path, index: d.IndexData, manifest: d.Manifest, *, anyhow: bool = False) -> d.Manifest:
    """Save an index; the folder's earlier one counts until the last moment. Requires the folder's lock.

    Args:
        directory: the folder.
        index: rows and vectors.
        manifest: the description of them.
        anyhow: replace also an index that is damaged or of another format.

    Returns:
        The manifest with the names and hashes of the files.

    Raises:
        IndexDamagedError: the folder cannot be written to, or holds another program's manifest.json.
    """
    require_room(directory, anyhow=anyhow)
    vectors = safetensors.numpy.save({"vectors": np.ascontiguousarray(index.vectors)})
    # Escaped, so that any file name fits and splitlines sees the line ends only.
    lines = [json.dumps(d.row_to_dict(row, index.source_specs)) + "\n" for row in index.rows]
    tiles = "".join(lines).encode("ascii")
    vectors_sha256, tiles_sha256 = hashlib.sha256(vectors).hexdigest(), hashlib.sha256(tiles).hexdigest()
    saved = replace(
        manifest,
        vectors_file=f"vectors-{vectors_sha256[:16]}.safetensors",
        vectors_sha256=vectors_sha256,
        tiles_file=f"tiles-{tiles_sha256[:16]}.jsonl",
        tiles_sha256=tiles_sha256,
    )
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / saved.vectors_file, vectors)
        write_atomically(directory / saved.tiles_file, tiles)
        text = json.dumps(d.manifest_to_dict(saved), indent=2) + "\n"
        write_atomically(directory / MANIFEST, text.encode("ascii"))
    tidy(directory, saved)
    return saved


def litter(directory: Path, manifest: d.Manifest) -> list[Path]:
    """List files of earlier states and of broken-off writes, which the manifest does not name."""
    current = (manifest.vectors_file, manifest.tiles_file, MANIFEST)
    return [path for path in directory.iterdir() if _OWN_NAME.fullmatch(path.name) and path.name not in current]


def tidy(directory: Path, manifest: d.Manifest) -> None:
    """Delete the litter. Requires the folder's lock, or a write under way would lose its draft.

    Raises:
        IndexDamagedError: the folder cannot be written to.
    """
    with writing_to(directory):
        for path in litter(directory, manifest):
            path.unlink(missing_ok=True)


def discard_parts(directory: Path) -> None:
    """Delete all parts of unfinished builds. Requires the folder's lock.

    Raises:
        IndexDamagedError: the folder cannot be written to.
    """
    with writing_to(directory):
        for part in directory.glob("parts-*/part-*.safetensors*"):
            part.unlink()
        for folder in directory.glob("parts-*"):
            with suppress(OSError):  # something else lies in it
                folder.rmdir()


def require_room(directory: Path, *, anyhow: bool = False) -> None:
    """Refuse a folder where an index must not be written. Call it before the folder's lock is made.

    Args:
        directory: the folder.
        anyhow: accept an index that is damaged or of another format.

    Raises:
        IndexDamagedError: its manifest.json is another program's, or is damaged or of another format.
    """
    if not has_index(directory):
        return
    if not anyhow:
        read_manifest(directory)
        return
    with writing_to(directory):
        ours = _is_ours(directory / MANIFEST)
    if not ours:
        raise IndexDamagedError(f"{directory / MANIFEST} is another program's; choose another folder")


def _is_ours(manifest: Path) -> bool:
    """Tell whether a manifest is an index's; one that cannot be parsed must at least stand beside its files."""
    names = [path.name for path in manifest.parent.iterdir()]
    beside = any(_VECTORS_NAME.fullmatch(name) or _TILES_NAME.fullmatch(name) for name in names)
    try:
        facts = json.loads(manifest.read_bytes())
    except ValueError:
        return beside or LOCK in names
    return beside or (isinstance(facts, dict) and facts.get("format") == d.FORMAT)


@contextmanager
def writing_to(directory: Path) -> Iterator[None]:
    """Turn an error of the file system while writing into one with a mend.

    Raises:
        IndexDamagedError: the disk is full, the folder write-protected, or the like.
    """
    try:
        yield
    except OSError as error:
        raise IndexDamagedError(
            f"cannot write the index to {directory} ({error}); free space, allow writing, or choose another folder "
            "(LRSCLIP_CACHE says where the cache is)"
        ) from error


def _read_checked(directory: Path, name: str, sha256: str) -> bytes:
    try:
        content = (directory / name).read_bytes()
    except OSError as error:
        raise _damaged(directory, f"{name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(directory, f"{name} is cut or changed (its sha256 is not the manifest's)")
    return content


def _damaged(directory: Path, what: str) -> IndexDamagedError:
    return IndexDamagedError(
        f"the index in {directory} is damaged: {what}; build it again with `{d.build_command(directory)} --rebuild`"
    )


def _versions() -> dict[str, str]:
    found: dict[str, Any] = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # one of the two FAISS packages is always absent
            continue
    return found
