"""POST /gradio_api/upload: files come in under a name that nobody can guess, without their camera's metadata.

It stands in the place of Gradio's own, which names a folder after the file's content (an owner of the same file could
find out whether somebody else sent it) and keeps every file for hours. A picture is stripped on its way in: the file in
the folder is the copy, and no later event writes there.
"""

from __future__ import annotations

import math
import os
import shutil
from functools import partial
from pathlib import Path

import anyio
from gradio.route_utils import upload_fn
from gradio.routes import file_upload_statuses
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app.media.images import check_kind, check_pixels, check_work, copy_without_metadata, recoded
from app.server.fair_work import TAKING_IN
from app.server.rate_limit import CHARGE, CLIENT
from app.server.request_log import log_event
from app.server.routes import API
from app.server.upload_folder import OLDEST_S, UploadFolder
from lrsclip.errors import PictureError


def upload_route(folder: UploadFolder, max_file_bytes: int, max_total_bytes: int) -> Route:
    """Build the route, to stand before Gradio's.

    Args:
        folder: the folder of the files.
        max_file_bytes: of one file.
        max_total_bytes: of all files in the folder; beyond it the oldest of the client that holds most go.
    """

    async def upload(request: Request) -> Response:
        try:
            kept = await _received(request, folder, max_file_bytes)
        except HTTPException as error:
            log_event("request.upload", "refused", code=error.status_code)
            return PlainTextResponse(error.detail, status_code=error.status_code, headers=error.headers)
        log_event("request.upload", "ok")
        await anyio.to_thread.run_sync(folder.trim, max_total_bytes, OLDEST_S)
        return JSONResponse([str(path) for path in kept])

    return Route(f"{API}/upload", upload, methods=["POST"])


async def _received(request: Request, folder: UploadFolder, max_file_bytes: int) -> list[Path]:
    sender = str(request.scope.get(CLIENT, ""))
    upload_id = request.query_params.get("upload_id", "")[:64] or None
    draft = folder.incoming()
    try:
        files, _, _ = await upload_fn(
            request, draft, max_file_bytes, upload_id, force_move=False,
            upload_progress=file_upload_statuses if upload_id else None,
        )  # fmt: skip
        if not files:
            raise HTTPException(400, "the upload is no form with files in it")
        charge = request.scope.get(CHARGE)
        if charge is not None and (wait_s := charge(len(files) - 1)):  # the first one was charged as it began
            wait = {"Retry-After": str(math.ceil(wait_s))}
            raise HTTPException(429, "too many files; wait a moment and send them again", wait)
        return [await TAKING_IN.run(sender, partial(take_in, Path(file), folder, sender)) for file in files]
    except MultiPartException as error:
        large = any(said in error.message for said in ("maximum allowed size", "Too many"))
        raise HTTPException(413 if large else 400, error.message) from error
    except HTTPException:
        raise
    except ClientDisconnect as error:
        raise HTTPException(400, "the connection was closed before the file was there") from error
    except (KeyError, TypeError, ValueError, AttributeError, LookupError) as error:  # of Gradio's parser
        raise HTTPException(400, "the upload is no form with files in it") from error
    except OSError as error:
        raise HTTPException(507, "the server has no room for the file; try again later") from error
    finally:
        if upload_id:
            file_upload_statuses.set_done(upload_id)
        await anyio.to_thread.run_sync(folder.forget_draft, draft)


def take_in(file: Path, folder: UploadFolder, sender: str = "") -> Path:
    """Bring a file to its last place, a picture without metadata; of a refused one only the reason stays.

    Args:
        file: as it came; it is moved, or gone afterwards.
        folder: the folder to put it into.
        sender: the client that sent it.

    Raises:
        OSError: the disk is full or may not be written to.
    """
    place = folder.new_place(file.name, sender)
    try:
        check_kind(file)
        if anew := recoded(file):
            content, suffix = anew
            place = place.with_name(f"{place.name}{suffix}")
            place.write_bytes(content)
        elif not copy_without_metadata(file, place):
            os.replace(file, place)
        # Only now, when it has few parts: Pillow takes a time that grows with the square of a picture's metadata.
        check_work(place)
        check_pixels(place)
    except PictureError as error:
        folder.refuse(place, str(error))
    except BaseException:
        shutil.rmtree(place.parent, ignore_errors=True)
        raise
    return place
