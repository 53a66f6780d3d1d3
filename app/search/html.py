"""HTML of the Search page: the line over the results, the judgment, a tile's facts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup

from app.collections import AppState
from app.search.batch import MAX_ROWS, Row
from app.search.service import Found, public_address
from app.ui.html import list_of
from app.ui.render import render
from lrsclip.calibration.match import Match
from lrsclip.index import Hit
from lrsclip.tiles import Tile

EXCLUDE_WHY = (
    "Writing “without cars” above does not work: the model reads the word and finds cars. What stands here "
    "is encoded apart and subtracted from the search: such tiles sink, and some may stay."
)
_SUREST = 95  # per cent; beyond it a figure would read as a promise


def summary(found: Found, tiles: int) -> Markup:
    """Render the number of hits and tiles, the judgment, and the time of each stage."""
    query, match = found.query, found.match
    like = ""
    if query.has_image:
        like = "your picture" if query.image is not None else f"the tile {query.like}"
    return render(
        "search/summary.html",
        found=found,
        hits=len(found.hits),
        tiles=tiles,
        in_area=query.bbox_lonlat is not None,
        like=like,
        with_text=query.has_text,
        warning=_warning(found),
        match=match,
        probability=_per_cent(match) if match is not None else "",
    )


def _warning(found: Found) -> str:
    """Explain why there is no good match; "" where there may be one: a good match is never promised."""
    query, match = found.query, found.match
    if not found.hits:
        if found.best_cos is None:
            if query.bbox_lonlat is not None:
                return "no tile lies in this area; make it wider or leave it empty"
            return "there is nothing else to show"
        return (
            f"the best tile scores {found.best_cos:.3f}, below your lowest score of {query.min_score_cos:g}; lower it"
        )
    if match is None or match.good:
        return ""
    where = "the area" if query.bbox_lonlat is not None else "the collection"
    return (
        f"{where} probably has nothing like this ({_per_cent(match)} that it has). The tiles below are only "
        f"the nearest there are. Of descriptions whose tile was there, {100 * match.miss_rate:.0f} % were told so "
        "by mistake"
    )


def _per_cent(match: Match) -> str:
    shown = round(100 * match.probability)
    return f"over {_SUREST} %" if shown > _SUREST else f"under {100 - _SUREST} %" if shown < 5 else f"{shown} %"


def shown_tiles(hits: Sequence[Hit]) -> Markup:
    """Render the ids of the pictures in the gallery, in their order, for the script that links it with the map."""
    return render("search/shown_tiles.html", tile_ids=json.dumps([hit.tile_id for hit in hits]))


def fly_to(tile_id: str) -> Markup:
    """Render the tile that the map shall fly to, for the script that links gallery and map."""
    return render("search/fly_to.html", tile_id=tile_id)


def hit_facts(state: AppState, tile: Tile, hit: Hit | None) -> Markup:
    """Render a tile's facts as names and values."""
    rows = [("Tile", tile.tile_id)]
    if hit is not None:
        rows += [("Score", f"{hit.score_cos:.4f} cosine"), ("Rank", str(hit.rank))]
    rows.append(("Size", f"{tile.width_px} by {tile.height_px} px"))
    if tile.ground_m is not None:
        rows.append(("On the ground", f"{tile.ground_m:,.0f} m a side"))
    if tile.footprint_lonlat:
        rows.append(("Corners", "; ".join(_degrees(corner) for corner in tile.footprint_lonlat)))
    elif tile.middle_lonlat is not None:
        rows.append(("Middle", _degrees(tile.middle_lonlat)))
    if tile.caption:
        rows.append(("Caption", tile.caption))
    rows.append(("Source", public_address(state.source.spec) or "this page's own collection"))
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


def batch_table(rows: Sequence[Row]) -> Markup:
    """Render the best tile of each description."""
    return render("search/batch_table.html", rows=rows)
