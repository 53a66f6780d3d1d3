"""The ground of the map of hits: the open collections' own pictures as tiles of a web map, served by this server.

The frame that shows the map may ask the network for nothing (see `app.maps.document`): it asks the page around it,
which fetches a square from here and hands its pixels over.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from functools import partial
from pathlib import Path
from threading import Thread

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.collections import AppState, Collections
from app.maps.kept_squares import KeptSquares, Square
from app.maps.world import draw_square
from app.server.concurrency import LruCache
from app.server.fair_work import DRAWING
from app.server.rate_limit import CHARGE, CLIENT
from app.server.request_log import log_event
from lrsclip.errors import Cancelled, IndexArgumentError
from lrsclip.io.encode import encoded
from lrsclip.tiles.web_map import WebMap

GROUND_SCRIPT = Path(__file__).with_name("ground.js")
"""The part of a map's script that asks for squares."""
SQUARES = Path(__file__).with_name("squares.js")
"""The page's part, which brings them."""
WORLD = "world"
"""Name of the ground on which a place is chosen."""
_MAPS: LruCache[WebMap] = LruCache(8)  # as many as collections can be open, or nearly
_SQUARES = KeptSquares()
_FOR_GOOD_ZOOM = 5  # up to which the world's squares stay: 1,365 of some 2 kB, with which every visit begins
_DRAWING_COST = 0.2  # requests that a square costs beside its own if it must be drawn, which takes up to 1.5 s
_SECRET = secrets.token_bytes(16)
_BUDGET_S = 1.5  # of one square; the page asks again for what is not ready by then
_QUALITY = 58
_AHEAD = 8_192  # tiles whose very small pictures are read before anybody looks; of more when they are looked at
_KEPT = {"cache-control": "private, max-age=86400, immutable"}  # the key changes with the index
_TOO_MANY = "too many squares of the map; wait a moment"
_UNFINISHED = {"cache-control": "no-store", "x-unfinished": "1"}


def web_map_of(state: AppState) -> WebMap:
    """Return the map of a collection, made once for each index."""
    return _MAPS.get(
        (state.source.spec, state.index.manifest.created),
        lambda: WebMap(state.source, (state.index.tile(tile_id) for tile_id in state.tile_ids())),
    )


def read_ahead(state: AppState) -> None:
    """Begin to read what the first look at the map needs, in a thread of its own: decoding leaves Python free."""

    def fill() -> None:
        if len(ground := web_map_of(state)) <= _AHEAD:
            ground.fill()

    Thread(target=fill, name="ground", daemon=True).start()


def ground_key(state: AppState) -> str:
    """Return the name of a collection's ground in addresses; it tells nothing of the collection's own address."""
    said = f"{state.source.spec}\n{state.index.manifest.created}".encode()
    return hmac.new(_SECRET, said, hashlib.sha256).hexdigest()[:16]


def world_square(zoom: int, x: int, y: int, client: str = "") -> Square:
    """Draw a square of the world for a client, or take the one that is kept.

    Raises:
        IndexArgumentError: there is no such square.
    """
    name = _name_of(WORLD, zoom, x, y)
    if (kept := _SQUARES.get(name)) is not None:
        return kept
    drawn = Square(encoded(draw_square(zoom, x, y), "WEBP", quality=_QUALITY, method=4), complete=True)
    _SQUARES.put(name, drawn, client, for_good=zoom <= _FOR_GOOD_ZOOM)
    return drawn


def square_of(state: AppState, zoom: int, x: int, y: int, client: str = "") -> Square:
    """Draw a square of a collection's map for a client, or take the one that is kept.

    Raises:
        IndexArgumentError: there is no such square.
    """
    name = _name_of(ground_key(state), zoom, x, y)
    if (kept := _SQUARES.get(name)) is not None:
        return kept
    drawn = web_map_of(state).draw(zoom, x, y, _BUDGET_S)
    content = None
    if drawn.picture is not None:
        solid = drawn.picture.getchannel("A").getextrema()[0] == 255
        picture = drawn.picture.convert("RGB") if solid else drawn.picture
        content = encoded(picture, "WEBP", quality=_QUALITY, method=4)
    square = Square(content, drawn.complete)
    if square.complete:
        _SQUARES.put(name, square, client)
    return square


def _name_of(ground: str, zoom: int, x: int, y: int) -> str:
    return f"{ground}/{zoom}/{x}/{y}"


def ground_route(collections: Collections) -> Route:
    """Build the route of the squares, to be added to the server; see `app.server.routes` for who may come this far."""

    async def square(request: Request) -> Response:
        key = request.path_params["key"]
        state = next((one for one in collections.opened() if hmac.compare_digest(ground_key(one), key)), None)
        if state is None and key != WORLD:
            return Response("this collection was closed", 404)
        zoom, x, y = (int(request.path_params[name]) for name in ("zoom", "x", "y"))
        found = _SQUARES.get(_name_of(key, zoom, x, y))  # and then it waits behind no drawing
        if found is None:
            charge = request.scope.get(CHARGE)  # the front door has charged what a kept one costs
            if charge is not None and (wait_s := charge(_DRAWING_COST)):
                log_event("request", "refused", code=429)
                return JSONResponse({"error": _TOO_MANY}, 429, headers={"Retry-After": str(math.ceil(wait_s))})
            client = str(request.scope.get(CLIENT, ""))
            draw = world_square if state is None else partial(square_of, state)
            try:
                found = await DRAWING.run(client, partial(draw, zoom, x, y, client), request.is_disconnected)
            except IndexArgumentError as error:
                return Response(str(error), 404)
            except Cancelled:
                return Response(status_code=204, headers=_UNFINISHED)
        headers = _KEPT if found.complete else _UNFINISHED
        if found.content is None:
            return Response(status_code=204, headers=headers)
        return Response(found.content, media_type="image/webp", headers=headers)

    return Route("/ground/{key}/{zoom:int}/{x:int}/{y:int}.webp", square, methods=["GET", "HEAD"])
