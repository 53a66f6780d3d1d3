"""HTML of the Search page: the line over the results, the judgment, a tile's facts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from app.collections import AppState
from app.search.batch import MAX_ROWS, Row
from app.search.service import Found, Query, public_address
from app.ui.html import list_of
from app.ui.render import render
from lrsclip.calibration.match import Match
from lrsclip.index import Hit
from lrsclip.tiles import Tile

EXCLUDE_WHY = (
    "Writing “without cars” above does not work: the model reads the word and finds cars. Put it here instead: "
    "tiles that show it move down the list, though some may remain."
)
_LONGEST_SHOWN, _LONGEST_CHIP = 160, 40  # characters of a text over the results
BATCH_PX = 40
"""A side of the pictures in the table of a batch."""
_SUREST = 95  # per cent; beyond it a figure would read as a promise


@dataclass(frozen=True)
class Chip:
    """A limit in force, which a click takes away; `name` is that of a button of `Controls.clear`."""

    name: str
    text: str


def chips_of(query: Query) -> list[Chip]:
    """List the limits of a query."""
    chips = []
    if query.has_image:
        chips.append(Chip("like", "like your picture" if query.image is not None else f"like the tile {query.like}"))
    if query.exclude.strip() and query.exclude_weight > 0:
        chips.append(Chip("exclude", f"not like “{_shortened(query.exclude, _LONGEST_CHIP)}”"))
    if query.polygon_lonlat is not None:
        chips.append(Chip("area", f"within a polygon of {len(query.polygon_lonlat)} corners"))
    if query.bbox_lonlat is not None:
        west, south, east, north = query.bbox_lonlat
        chips.append(Chip("area", f"within {west:.4g}, {south:.4g} to {east:.4g}, {north:.4g}"))
    if query.min_score_cos is not None:
        chips.append(Chip("least", f"score from {query.min_score_cos:g}"))
    if not query.hide_duplicates:
        chips.append(Chip("duplicates", "near-duplicates shown"))
    return chips


def summary(found: Found, tiles: int) -> Markup:
    """Render the number of hits and tiles, the query, the limits in force, the judgment, and the times."""
    query, match = found.query, found.match
    return render(
        "search/summary.html",
        found=found,
        hits=len(found.hits),
        tiles=tiles,
        text=_shortened(query.text, _LONGEST_SHOWN) if query.has_text else "",
        chips=chips_of(query),
        warning=_warning(found),
        match=match,
        probability=_per_cent(match) if match is not None else "",
    )


def _shortened(text: str, longest: int) -> str:
    words = " ".join(text.split())
    return words if len(words) <= longest else f"{words[:longest].rstrip()} …"


def _warning(found: Found) -> str:
    """Explain why there is no good match; "" where there may be one."""
    query, match = found.query, found.match
    if not found.hits:
        if found.best_cos is None:
            if query.area:
                return "no tile lies in this area; make it wider or leave it empty"
            return "there is nothing else to show"
        return (
            f"the best tile scores {found.best_cos:.3f}, below your lowest score of {query.min_score_cos:g}; lower it"
        )
    if match is None or match.verdict != "no":
        return ""
    where = "the area" if query.area else "the collection"
    return (
        f"{_per_cent(match)} chance that {where} shows this. These are only the closest tiles. In tests, "
        f"{100 * match.miss_rate:.0f} % of descriptions with a matching tile were told so too: unusual wording can "
        "cause it, try simpler words"
    )


def _per_cent(match: Match) -> str:
    shown = round(100 * match.probability)
    return f"over {_SUREST} %" if shown > _SUREST else f"under {100 - _SUREST} %" if shown < 5 else f"{shown} %"


def shown_tiles(hits: Sequence[Hit], message: Mapping[str, Any], parameters: str) -> Markup:
    """Render what the page's script passes on between gallery, map and address bar.

    Args:
        hits: the pictures in the gallery, in their order.
        message: for the map; see `hits_message`.
        parameters: of the address that brings these results back; "" before any search.
    """
    tile_ids = json.dumps([hit.tile_id for hit in hits])
    told = json.dumps(message, separators=(",", ":"))
    return render("search/shown_tiles.html", tile_ids=tile_ids, message=told, parameters=parameters)


def fly_to(tile_id: str) -> Markup:
    """Render the tile that the map shall fly to, for the script that links gallery and map."""
    return render("search/fly_to.html", tile_id=tile_id)


def hit_facts(state: AppState, tile: Tile, hit: Hit | None) -> Markup:
    """Render a tile's facts as names and values; `hit` is None before any search."""
    rows = [("Tile", tile.tile_id)]
    if hit is not None:
        rows += [("Score", f"{hit.score_cos:.3f} of at most 1 (cosine)"), ("Rank", str(hit.rank))]
    rows.append(("Size", f"{tile.width_px} by {tile.height_px} px"))
    if tile.ground_m is not None:
        rows.append(("On the ground", f"{tile.ground_m:,.0f} m a side"))
    if tile.footprint_lonlat:
        rows.append(("Corners", "; ".join(_degrees(corner) for corner in tile.footprint_lonlat)))
    elif tile.middle_lonlat is not None:
        rows.append(("Middle", _degrees(tile.middle_lonlat)))
    if tile.caption:
        rows.append(("Caption", tile.caption))
    rows.append(("Source", public_address(state.source.spec) or "a collection of this machine"))
    if tile.attribution:
        rows.append(("Attribution", tile.attribution))
    return list_of(rows)


def _degrees(lonlat: tuple[float, float]) -> str:
    longitude, latitude = (lonlat[0] + 180) % 360 - 180, lonlat[1]
    return f"{abs(latitude):.5f}° {'NS'[latitude < 0]} {abs(longitude):.5f}° {'EW'[longitude < 0]}"


def like_note(tile_id: str, picture_url: str) -> Markup:
    """Render the tile that is searched by."""
    return render("search/like_note.html", tile_id=tile_id, picture_url=picture_url)


def note(sentence: str) -> Markup:
    """Render a sentence over the results that stays."""
    return render("search/note.html", sentence=sentence) if sentence else Markup()


def batch_hint() -> Markup:
    """Render a hint on the form of a CSV file of descriptions."""
    return render("search/batch_hint.html", max_rows=MAX_ROWS)


def batch_table(rows: Sequence[Row], pictures: Mapping[int, str], notes: Sequence[str] = ()) -> Markup:
    """Render the best tile of each description, below sentences about the file that they come from.

    Args:
        rows: the descriptions with their answers.
        pictures: address of a small picture of the best tile, by the number of its row.
        notes: the sentences.
    """
    return render("search/batch_table.html", rows=rows, pictures=pictures, notes=notes, size_px=BATCH_PX)
