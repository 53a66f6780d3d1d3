"""A settings file's tables as sources: every layout that can be named in one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from lrsclip.errors import DataError
from train.data.sources.atlas import AtlasSource
from train.data.sources.base import LayoutName, Source
from train.data.sources.captions import CaptionSource
from train.data.sources.coco import CocoSource
from train.data.sources.detection import DotaSource, VocSource
from train.data.sources.files import CONTEXT_FOLDER
from train.data.sources.folders import FolderSource
from train.data.sources.masks import MaskSource
from train.data.sources.parquet import ParquetSource
from train.data.sources.tags import TagSource
from train.data.sources.webdataset import WebDatasetSource

__all__ = [
    "AnySource",
    "AtlasSource",
    "CaptionSource",
    "CocoSource",
    "DotaSource",
    "FolderSource",
    "MaskSource",
    "ParquetSource",
    "Source",
    "TagSource",
    "VocSource",
    "WebDatasetSource",
    "read_sources",
]

AnySource = Annotated[
    CaptionSource
    | FolderSource
    | DotaSource
    | VocSource
    | CocoSource
    | MaskSource
    | TagSource
    | WebDatasetSource
    | ParquetSource
    | AtlasSource,
    Field(discriminator="layout"),
]
_ANY: TypeAdapter[Source] = TypeAdapter(AnySource)


def read_sources(path: Path) -> tuple[Source, ...]:
    """Read the sources of a TOML file of `[[source]]` tables; paths in it are relative to its folder.

    Raises:
        DataError: the file is missing or broken, a table is none of a layout, names something that is not there, or
            has the name of another.
    """
    try:
        with path.open("rb") as file:
            read = tomllib.load(file)
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; write it, or mend the path to the sources") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: neither UTF-8 nor TOML
        raise DataError(f"{path} cannot be read as TOML ({error}); mend it") from error
    tables = read.get("source")
    if not isinstance(tables, list) or not tables:
        raise DataError(f"{path} names no source; write a [[source]] table with name and layout for each")
    if surplus := sorted(read.keys() - {"source"}):
        raise DataError(f"{path} has {surplus[0]!r} outside a [[source]] table; move it into one or remove it")
    sources = tuple(_source(table, number, path) for number, table in enumerate(tables, 1))
    names = [source.name for source in sources]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path} names two sources {doubled[0]!r}; rename one of them")
    return sources


def _source(table: Any, number: int, path: Path) -> Source:
    try:
        return _ANY.validate_python(table, context={CONTEXT_FOLDER: path.absolute().parent})
    except ValidationError as error:
        name = table.get("name") if isinstance(table, dict) else None
        raise DataError(f"{path}, source {number} ({name or 'without name'}): {_mend(error)}") from error


def _mend(error: ValidationError) -> str:
    """Say what is wrong with a table first of all, and what to do."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])  # the first part is the layout
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = first.get("ctx", {}).get("tag")
        return f"layout is {given or 'missing'}; choose one of {', '.join(get_args(LayoutName))}"
    if first["type"] == "extra_forbidden":
        return f"there is no setting {field!r} in the layout {first['loc'][0]}; mend its name or remove it"
    if first["type"] == "missing":
        return f"the setting {field!r} is missing; add it"
    return f"{field}: {first['msg'].removeprefix('Value error, ')} (given {str(first['input'])[:80]!r}); mend it"
