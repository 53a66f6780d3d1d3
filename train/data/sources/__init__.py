"""The sources of the data engine: one small class for each layout, and what a settings file or a data folder names."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from lrsclip.errors import DataError
from train.data.readers import class_words
from train.data.sources.atlas import AtlasSource
from train.data.sources.base import LayoutName, Source
from train.data.sources.captions import CaptionSource
from train.data.sources.detection import CocoSource, DotaSource, VocSource
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
    "known_sources",
    "read_sources",
]

log = logging.getLogger(__name__)

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
_RESEARCH = "research use"
_CHOICE_FOLDERS = ("image_caption", "referring_expression_segmentation", "visual_grounding")


def read_sources(path: Path) -> tuple[Source, ...]:
    """The sources of a TOML file of `[[source]]` tables; paths in it are relative to its folder.

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
    """What is wrong with a table first of all, and what to do."""
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


def known_sources(data: Path) -> tuple[Source, ...]:
    """The sources of a data folder as this project keeps it: those to learn from, then those held out.

    RSITMD's captions join the RSICD picture that they describe, and so its split. RESISC45 pictures that NWPU-Captions
    describes come once, with their captions; its validation split is trained on, since nothing is measured on it.

    Raises:
        DataError: the folder is missing or holds none of the sets.
    """
    if not data.is_dir():
        raise DataError(f"{data} is not a folder; name the one that holds RSICD/, UCMerced_LandUse/, ...")
    sources = (*_captioned(data), *_eurosat(data), *_held_out(data))
    if not any(not source.held_out for source in sources):
        raise DataError(f"{data} holds none of RSICD, UCMerced_LandUse, NWPU-RESISC45-subset, EuroSAT_RGB; fetch one")
    log.info("sources of %s: %s", data, ", ".join(source.name for source in sources))
    return sources


def _captioned(data: Path) -> list[Source]:
    sources: list[Source] = []
    if (root := data / "RSICD").is_dir():
        extra = data / "RSITMD/rsitmd_captions_on_rsicd_files.json"
        sources.append(
            CaptionSource(
                name="rsicd",
                license=f"web-map imagery, {_RESEARCH}",
                annotations=root / "dataset_rsicd.json",
                pictures=root / "RSICD_images",
                extra_captions=extra if extra.is_file() else None,
                scene="prefix",
                classes=class_words("rsicd30"),
            )
        )
    if (root := data / "UCMerced_LandUse").is_dir():
        sources.append(
            CaptionSource(
                name="ucm",
                license="USGS, public domain",
                annotations=root / "dataset_UCM.json",
                pictures=root / "Images",
                scene="folder",
                classes=class_words("ucm"),
            )
        )
    if (root := data / "NWPU-RESISC45-subset").is_dir():
        captions = root / "dataset_nwpu.json"
        captioned = captions if captions.is_file() else None
        if captioned:
            sources.append(
                CaptionSource(
                    name="nwpu",
                    license=_RESEARCH,
                    annotations=captioned,
                    pictures=root,
                    scene="folder",
                    train_on_val=True,
                )
            )
        sources.append(FolderSource(name="resisc45", license=_RESEARCH, root=root, without=captioned))
    return sources


def _eurosat(data: Path) -> list[Source]:
    root = data / "EuroSAT_RGB"
    if not root.is_dir():
        return []
    return [FolderSource(name="eurosat", license="MIT", gsd_m=10, root=root, classes=class_words("eurosat"))]


def _held_out(data: Path) -> list[Source]:
    sources: list[Source] = []
    if (root := data / "RSSCN7").is_dir():
        words = class_words("rsscn7")
        sources.append(
            FolderSource(name="rsscn7", license=_RESEARCH, root=root, split="test", held_out=True, classes=words)
        )
    for part in _CHOICE_FOLDERS:
        if (root := data / "CHOICE" / part / "images").is_dir():
            name = f"choice-{part.replace('_', '-')}"
            sources.append(FolderSource(name=name, license="MIT", root=root, scene="none", split="test", held_out=True))
    return sources
