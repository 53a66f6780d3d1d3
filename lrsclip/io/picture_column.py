"""Pictures in columns of Arrow and Parquet: bytes, `{bytes, path}` structs as on the Hub, and lists of either."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_NAMES = (
    "image",
    "images",
    "img",
    "imgs",
    "picture",
    "pictures",
    "photo",
    "tile",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "pixels",
)


def picture_columns(schema: pa.Schema) -> list[str]:
    """List the columns that may hold pictures, the likeliest first.

    Structs with a field `bytes`, and lists of them, tell it by their type; bytes alone, by their name.
    """
    found = [field.name for field in schema if _is_struct(_inner(field.type))]
    found += [field.name for field in schema if _is_bytes(_inner(field.type)) and field.name.lower() in _NAMES]
    return sorted(found, key=lambda name: name.lower() not in _NAMES)  # sounds are stored alike


def pictures_in(cell: Any) -> list[bytes]:
    """Return the encoded pictures in the value of a cell, in order; nulls and empty ones are passed over."""
    if isinstance(cell, list):
        return [content for part in cell for content in pictures_in(part)]
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    return [content] if isinstance(content, bytes) and content else []


def paths_in(cell: Any) -> list[str]:
    """Return the names of picture files in the value of a cell that holds no bytes of them."""
    if isinstance(cell, list):
        return [path for part in cell for path in paths_in(part)]
    path = cell.get("path") if isinstance(cell, dict) and not cell.get("bytes") else cell
    return [path] if isinstance(path, str) and path.strip() else []


def _inner(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return kind.value_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_struct(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
