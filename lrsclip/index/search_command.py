"""The shell's `search`: from its arguments to a query, and from the result to lines or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from lrsclip.index.filters import parse_area
from lrsclip.index.index import TileIndex
from lrsclip.io.bands import bands_argument
from lrsclip.io.decode import decode
from lrsclip.io.look import is_plain
from lrsclip.numbers import decimal_argument, whole_argument
from lrsclip.retrieval import Query, SearchResult

_K = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `search` to a parser."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of the index")
    parser.add_argument(
        "text", nargs="?", default="", metavar="TEXT", help="the description; not needed with --image or --like"
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="an image that the tiles should be like")
    parser.add_argument("--bands", type=bands_argument, metavar="R,G,B", help="bands of that image, or one for gray")
    parser.add_argument("--like", default="", metavar="TILE", help="id of a tile that they should be like")
    parser.add_argument(
        "--image-weight",
        type=decimal_argument,
        default=Query.image_weight,
        metavar="SHARE",
        help="of the image or tile beside TEXT, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument("--exclude", default="", metavar="TEXT", help="what the tiles should not show")
    parser.add_argument(
        "--exclude-weight",
        type=decimal_argument,
        default=Query.exclude_weight,
        metavar="WEIGHT",
        help="how much of it is subtracted, 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "-k", type=whole_argument, default=_K, metavar="N", help="number of hits (default: %(default)s)"
    )
    parser.add_argument("--min-score", type=decimal_argument, metavar="COS", help="leave out tiles that score less")
    parser.add_argument("--area", metavar="W,S,E,N", help="only tiles whose center lies there, degrees")
    parser.add_argument("--source", action="append", metavar="URI", help="only this source's tiles; may be repeated")
    parser.add_argument("--keep-duplicates", action="store_true", help="show tiles that look like a better hit too")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    parser.add_argument("--checkpoint", help="the model (default: the one named in the index)")


def joined(argv: Sequence[str]) -> list[str]:
    """Join `--area -95,29,-94,30` to `--area=...`, because argparse takes a value that begins with - for an option."""
    out: list[str] = []
    for argument in argv:
        if out and out[-1] == "--area":
            out[-1] = f"--area={argument}"
        else:
            out.append(argument)
    return out


def make_query(asked: argparse.Namespace) -> Query:
    """Make the query that the arguments ask for, of all sources.

    Raises:
        IndexArgumentError: a number is out of range, or the area is no box.
        PictureError: the image cannot be read.
    """
    area = parse_area(asked.area or "")
    return Query(
        asked.text,
        image=_image(asked.image, asked.bands),
        like=asked.like,
        image_weight=asked.image_weight,
        exclude=asked.exclude,
        exclude_weight=asked.exclude_weight,
        k=asked.k,
        min_score_cos=asked.min_score,
        bbox_lonlat=area.bbox_lonlat,
        polygon_lonlat=area.polygon_lonlat,
        hide_duplicates=not asked.keep_duplicates,
    )


def _image(path: Path | None, bands: tuple[int, ...] | None) -> Image.Image | None:
    if path is None:
        return None
    decoded = decode(path, bands=bands)
    if not is_plain(decoded.summary):
        print(f"{path}: {decoded.summary}", file=sys.stderr)  # beside the hits, which programs read
    return decoded.image


def as_lines(result: SearchResult) -> str:
    """Write a result for people: rank, score and id of each hit, then the judgment."""
    hits = [f"{hit.rank:4d}  {hit.score_cos:+.4f}  {hit.tile_id}" for hit in result.hits]
    return "\n".join([*hits, *_verdict(result)])


def _verdict(result: SearchResult) -> list[str]:
    query, match = result.query, result.match
    if not result.hits:
        if result.best_cos is not None:
            bar = f"the best tile scores {result.best_cos:.4f}, below --min-score {query.min_score_cos:g}; lower it"
            return [f"no good match: {bar}"]
        nowhere = "no tile lies in the area; make it wider" if query.area else "there is no other tile"
        return [f"no good match: {nowhere}"]
    if match is None:
        return []
    where = "the area" if query.area else "the index"
    if match.verdict == "yes":
        return [f"probably a match ({match.probability:.0%})"]
    if match.verdict == "unsure":
        return [f"unsure whether anything matches ({match.probability:.0%} chance that {where} shows this)"]
    return [
        f"probably no match: {match.probability:.0%} chance that {where} shows this; these are only the closest tiles"
    ]


def as_json(index: TileIndex, result: SearchResult) -> str:
    """Write a result for programs: hits with the facts of their tiles, match, fits and best_cos."""
    hits: list[dict[str, Any]] = []
    for hit in result.hits:
        tile = index.tile(hit.tile_id)
        facts = {"center_lonlat": tile.middle_lonlat, "caption": tile.caption, "attribution": tile.attribution}
        hits.append(asdict(hit) | facts | {"source": index.source_spec(hit.tile_id)})
    match = None if result.match is None else asdict(result.match)
    told = {"hits": hits, "match": match, "fits": result.fits, "best_cos": result.best_cos}
    return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False)
