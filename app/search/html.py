"""HTML of the Search page: the line over the results, the judgement, a tile's facts; what is not ours is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from app.collections import AppState
from app.search.batch import Row
from app.search.service import Found, public_address
from app.ui.html import list_of
from lrsclip.calibration.match import Match
from lrsclip.index import Hit
from lrsclip.tiles import Tile

EXCLUDE_WHY = (
    "Writing “without cars” above does not work: the model reads the word and finds cars. What stands here "
    "is encoded apart and subtracted from the search: such tiles sink, and some may stay."
)
_SUREST = 95  # per cent; beyond it a figure would read as a promise


def summary(found: Found, tiles: int) -> str:
    """How many were found of how many, the judgement, and where the time went."""
    query = found.query
    area = " in the area" if query.bbox_lonlat is not None else ""
    count = f"<b>{len(found.hits)} of {tiles:,} tiles</b>{area}, best first" if found.hits else "<b>No tiles</b>"
    if query.has_image:
        like = "your picture" if query.image is not None else f"the tile {escape(query.like)}"
        count += f", like {like}" + (" and the description" if query.has_text else "")
    times = f"text {found.text_ms:.0f} ms · index {found.index_ms:.1f} ms · pictures {found.pictures_ms:.0f} ms"
    return f'<p class="summary" role="status">{count}</p>{_judgement(found)}<p class="times">{times}</p>'


def _judgement(found: Found) -> str:
    """Whether what was found is any good: said, and never promised."""
    query, match = found.query, found.match
    if not found.hits:
        if found.best_cos is None:
            where = "no tile lies in this area" if query.bbox_lonlat is not None else "there is nothing else to show"
            return _no_match(f"{where}; make it wider or leave it empty" if query.bbox_lonlat is not None else where)
        return _no_match(
            f"the best tile scores {found.best_cos:.3f}, below your lowest score of {query.min_score_cos:g}; lower it"
        )
    if match is None:
        return ""
    if not match.good:
        where = "the area" if query.bbox_lonlat is not None else "the collection"
        return _no_match(
            f"{where} probably has nothing like this ({_per_cent(match)} that it has). The tiles below are only "
            f"the nearest there are. Of descriptions whose tile was there, {100 * match.miss_rate:.0f} % were told so "
            "by mistake"
        )
    return (
        f'<p class="why">The best tile probably fits ({_per_cent(match)}); of descriptions that nothing fitted, '
        f"{100 * match.false_alarm_rate:.0f} % came as far.</p>"
    )


def _no_match(why: str) -> str:
    return f'<p class="no-match"><b>No good match:</b> {why}.</p>'


def _per_cent(match: Match) -> str:
    shown = round(100 * match.probability)
    return f"over {_SUREST} %" if shown > _SUREST else f"under {100 - _SUREST} %" if shown < 5 else f"{shown} %"


def shown_tiles(hits: Sequence[Hit]) -> str:
    """The ids of the pictures in the gallery, in their order, for the script that links it with the map."""
    return f'<i data-tiles="{escape(json.dumps([hit.tile_id for hit in hits]), quote=True)}"></i>'


def hit_facts(state: AppState, tile: Tile, hit: Hit | None) -> str:
    """A tile's facts as names and values."""
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


def like_note(tile_id: str, picture_url: str) -> str:
    """Which tile is searched by."""
    alt = escape(f"the tile {tile_id}", quote=True)
    return f'<p class="like"><img src="{picture_url}" alt="{alt}"> Like the tile <b>{escape(tile_id)}</b></p>'


def note(sentence: str) -> str:
    """A sentence over the results that stays."""
    return f'<p class="no-match" role="status">{escape(sentence)}</p>' if sentence else ""


def batch_table(rows: Sequence[Row]) -> str:
    """The best tile of each description."""
    lines = "".join(
        f"<tr><td>{row.number}</td><td>{escape(row.text)}</td>"
        + (
            f"<td>{escape(row.found.hits[0].tile_id)}</td><td>{row.found.hits[0].score_cos:.3f}</td>"
            f"<td>{_short_judgement(row.found)}</td></tr>"
            if row.found is not None and row.found.hits
            else f'<td colspan="3">{escape(row.fault or "no tile passes")}</td></tr>'
        )
        for row in rows
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", "Description", "Best tile", "Score", "Judgement"))
    return f'<div class="batch"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'


def _short_judgement(found: Found) -> str:
    if found.match is None:
        return ""
    return "probably fits" if found.match.good else "no good match"
