"""Checkpoints on the Hugging Face Hub, through huggingface_hub and its cache."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from lrsclip.checkpoints.native import MANIFEST
from lrsclip.errors import CheckpointError, UnknownModelError

_ADDRESS = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_PATTERNS = ["*.safetensors", "*.pt", MANIFEST]


def is_hub_address(text: str) -> bool:
    """Tell whether `text` has the form `owner/name` or `owner/name@revision`."""
    return _ADDRESS.fullmatch(text) is not None


def fetch(address: str) -> Path:
    """Fetch a checkpoint into the Hub cache (nothing is fetched twice).

    Args:
        address: `owner/name`, or `owner/name@revision` for a fixed commit or branch.

    Returns:
        A folder with our manifest, or the one `.pt` file that the repository holds.

    Raises:
        UnknownModelError: no such repository, or it cannot be reached and is not in the cache.
        CheckpointError: the repository holds no checkpoint, or several.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UnknownModelError(f"{address!r} is not of the form owner/name")
    try:
        folder = Path(snapshot_download(match["repo"], revision=match["revision"], allow_patterns=_PATTERNS))
    except RepositoryNotFoundError as error:
        raise UnknownModelError(f"there is no repository {address} on the Hub, or it is private (HF_TOKEN)") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UnknownModelError(
            f"{address} cannot be fetched from the Hub ({reason}); check name and network"
        ) from error
    if (folder / MANIFEST).is_file():
        return folder
    files = sorted(folder.rglob("*.pt"))
    if len(files) != 1:
        names = ", ".join(f.name for f in files) or "none"
        raise CheckpointError(
            f"{address} should hold {MANIFEST} or exactly one .pt file (it has: {names}); "
            "download the one you want and pass its path"
        )
    return files[0]
