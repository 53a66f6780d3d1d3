"""Write the collection that comes with the project: `python -m assets.make_collection` (two minutes).

To be run again whenever the drawing program in lrsclip/atlas/ or the embedded checkpoint changes; a test says when.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import lrsclip
from app.shipped_collection import INDEX, MARK, SHIPPED, SPEC, TILES, Mark
from lrsclip.index import build_index, default_cache_dir
from lrsclip.io.decode import opened
from lrsclip.tiles.atlas import AtlasTiles, recipe

MAX_BYTES = 8_000_000
_QUALITY = 64  # of JPEG; at 90, as tiles are kept elsewhere, the file would be 15 MB
_THEN = (1980, 1, 1, 0, 0, 0)  # so that the same tiles make the same file


def main() -> int:
    """Draw, index and pack the collection; return the exit code."""
    with TemporaryDirectory() as folder:  # not the user's cache, which may have been filled from the file itself
        os.environ["LRSCLIP_CACHE"] = folder
        return _made()


def _made() -> int:
    source, bundle = AtlasTiles(), lrsclip.load("tiny")
    source.prepare()
    folder = default_cache_dir(source, bundle)
    build_index(source, bundle, folder)
    SHIPPED.parent.mkdir(parents=True, exist_ok=True)
    mark = Mark(SPEC, recipe(), bundle.sha256, bundle.image_px)
    tiles = source.kept_file(source.tile_ids()[0]).parent
    with zipfile.ZipFile(SHIPPED, "w") as packed:
        _add(packed, MARK, mark.written().encode())
        for path in sorted(tiles.iterdir()):
            if path.suffix == ".jpg":
                _add(packed, TILES + path.name, _smaller(path))
            elif path.suffix == ".json":
                _add(packed, TILES + path.name, path.read_bytes())
        for path in sorted(folder.iterdir()):
            if path.suffix in (".json", ".jsonl", ".safetensors"):
                _add(packed, INDEX + path.name, path.read_bytes())
    size = SHIPPED.stat().st_size
    print(f"{SHIPPED.name}: {size:,} bytes, {len(source):,} tiles, recipe {mark.recipe}")
    if size > MAX_BYTES:
        print(f"error: that is over {MAX_BYTES:,} bytes; lower the quality", file=sys.stderr)
        return 1
    return 0


def _smaller(path: Path) -> bytes:
    buffer = io.BytesIO()
    with opened(path) as picture:
        picture.convert("RGB").save(buffer, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return buffer.getvalue()


def _add(packed: zipfile.ZipFile, name: str, content: bytes) -> None:
    facts = zipfile.ZipInfo(name, _THEN)
    facts.compress_type = zipfile.ZIP_DEFLATED
    packed.writestr(facts, content, compresslevel=9)


if __name__ == "__main__":
    sys.exit(main())
