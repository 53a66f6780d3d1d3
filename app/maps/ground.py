"""The ground of the map of hits: the open collections' own pictures as tiles of a web map, served by this server.

The frame that shows the map may ask the network for nothing (see `app.maps.document`): it asks the page around it,
which fetches a square from here and hands its pixels over.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.collections import AppState, Collections
from app.maps.world import draw_square
from app.server.concurrency import LruCache
from app.server.fair_work import DRAWING
from app.server.rate_limit import CLIENT
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
_SQUARES: LruCache[bytes | None] = LruCache(2048)  # of some 10 kB
_SECRET = secrets.token_bytes(16)
_BUDGET_S = 1.5  # of one square; the page asks again for what is not ready by then
_QUALITY = 58
_AHEAD = 8_192  # tiles whose very small pictures are read before anybody looks; of more when they are looked at
_KEPT = {"cache-control": "private, max-age=86400, immutable"}  # the key changes with the index
_UNFINISHED = {"cache-control": "no-store", "x-unfinished": "1"}


@dataclass(frozen=True)
class Square:
    """A square of the map as a file.

    Attributes:
        content: WebP; None where no tile lies.
        complete: whether all of it was ready in time.
    """

    content: bytes | None
    complete: bool


class _UnfinishedError(Exception):
    """Carries a square that must not be kept."""

    def __init__(self, square: Square) -> None:
        super().__init__()
        self.square = square


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


def world_square(zoom: int, x: int, y: int) -> Square:
    """Draw a square of the world, or take the one that is kept.

    Raises:
        IndexArgumentError: there is no such square.
    """

    def draw() -> bytes:
        return encoded(draw_square(zoom, x, y), "WEBP", quality=_QUALITY, method=4)

    return Square(_SQUARES.get((WORLD, zoom, x, y), draw), complete=True)


def square_of(state: AppState, zoom: int, x: int, y: int) -> Square:
    """Draw a square of a collection's map, or take the one that is kept.

    Raises:
        IndexArgumentError: there is no such square.
    """

    def draw() -> bytes | None:
        drawn = web_map_of(state).draw(zoom, x, y, _BUDGET_S)
        content = None
        if drawn.picture is not None:
            solid = drawn.picture.getchannel("A").getextrema()[0] == 255
            picture = drawn.picture.convert("RGB") if solid else drawn.picture
            content = encoded(picture, "WEBP", quality=_QUALITY, method=4)
        if not drawn.complete:
            raise _UnfinishedError(Square(content, complete=False))
        return content

    try:
        return Square(_SQUARES.get((ground_key(state), zoom, x, y), draw), complete=True)
    except _UnfinishedError as unfinished:
        return unfinished.square


def ground_route(collections: Collections) -> Route:
    """Build the route of the squares, to be added to the server; see `app.server.routes` for who may come this far."""

    async def square(request: Request) -> Response:
        key = request.path_params["key"]
        state = next((one for one in collections.opened() if hmac.compare_digest(ground_key(one), key)), None)
        if state is None and key != WORLD:
            return Response("this collection was closed", 404)
        at = tuple(int(request.path_params[name]) for name in ("zoom", "x", "y"))
        draw = partial(world_square, *at) if state is None else partial(square_of, state, *at)
        try:
            found = await DRAWING.run(str(request.scope.get(CLIENT, "")), draw, request.is_disconnected)
        except IndexArgumentError as error:
            return Response(str(error), 404)
        except Cancelled:
            return Response(status_code=204, headers=_UNFINISHED)
        headers = _KEPT if found.complete else _UNFINISHED
        if found.content is None:
            return Response(status_code=204, headers=headers)
        return Response(found.content, media_type="image/webp", headers=headers)

    return Route("/ground/{key}/{zoom:int}/{x:int}/{y:int}.webp", square, methods=["GET", "HEAD"])
