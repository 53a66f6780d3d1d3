"""Checkpoints on the Hugging Face Hub, through huggingface_hub and its cache.

What a repository holds is looked at before anything large is fetched: the list of its files, its configuration, and the
names and shapes of its tensors, which stand at a known place of a safetensors or torch file and take a few requests.
"""

from __future__ import annotations

import glob
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lrsclip.checkpoints.choice import Choice, choose, files_in, read_shards
from lrsclip.checkpoints.facts import MAX_CONFIG_BYTES, Facts, Told
from lrsclip.checkpoints.native import read_manifest
from lrsclip.checkpoints.published import Published, facts_of, joined, plan
from lrsclip.checkpoints.weights_file import Weights, peek_weights
from lrsclip.errors import CheckpointDamagedError, CheckpointError, UnknownModelError
from lrsclip.models.config import ModelConfig

log = logging.getLogger(__name__)
_ADDRESS = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
# The HTTP library's own errors too, which are no OSError; which library that is changes with huggingface_hub.
_FAULTS: tuple[type[BaseException], ...] = (OSError, HfHubHTTPError.__mro__[1], HFValidationError, ValueError)
_PEEK_FAULTS: tuple[type[BaseException], ...] = (*_FAULTS, NotImplementedError, CheckpointDamagedError)
_PEEK_BLOCK_BYTES = 2**18  # of one request; a list of tensors has some hundred kilobytes
_SPARE_BYTES = 2**28
_TOLD_BYTES = 10**8  # smaller fetches take no time that needs an explanation
_MAX_LISTED = 20_000


def is_hub_address(text: str) -> bool:
    """Tell whether `text` has the form `owner/name` or `owner/name@revision`."""
    return _ADDRESS.fullmatch(text) is not None


def fetch(address: str, told: Told | None = None) -> Published:
    """Fetch a checkpoint into the Hub cache (nothing is fetched twice), after a look at whether it can work.

    Args:
        address: `owner/name`, or `owner/name@revision` for a fixed commit or branch.
        told: what the user says of it; `file` chooses among several files of weights.

    Returns:
        Its files in the cache.

    Raises:
        UnknownModelError: no such repository, or it cannot be reached and is not in the cache.
        CheckpointError: the repository holds no checkpoint, several, one that is not read here, or one that is larger
            than the free disk.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UnknownModelError(f"{address!r} is not of the form owner/name")
    told = told or Told()
    repo, revision = match["repo"], match["revision"]
    try:
        sizes, commit = _listed(repo, revision)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise _unknown(address, error) from error
    except _FAULTS as error:
        return _kept(address, repo, revision, told, error)
    choice = choose(sizes, told.file, address)
    if large := [name for name in choice.configs if (sizes.get(name) or 0) > MAX_CONFIG_BYTES]:
        raise CheckpointError(f"{large[0]} of {address} is too large for a configuration")
    folder = _downloaded(address, repo, revision, choice.configs) if choice.configs else None
    if folder is not None:
        choice = read_shards(folder, choice)
    if missing := [name for name in choice.weights if name not in sizes]:
        raise CheckpointError(f"{address} lacks {missing[0]}; a part of its weights was not uploaded")
    absent = [name for name in choice.weights if not isinstance(_in_cache(repo, name, commit), str)]
    if absent:
        _check(address, repo, commit, choice, folder, told)
        _tell_size(address, {name: sizes[name] for name in absent})
    whole = _downloaded(address, repo, revision, (*choice.configs, *choice.weights))
    if folder is not None and folder != whole:
        raise CheckpointError(f"{address} changed while it was fetched; try again")
    return _named(whole, choice, repo)


def _named(folder: Path, choice: Choice, repo: str) -> Published:
    """Call a checkpoint by its file of weights, or by its repository without the revision."""
    return Published(folder, choice if choice.kind == "bare" else replace(choice, name=repo))


def _listed(repo: str, revision: str | None) -> tuple[dict[str, int | None], str]:
    """Ask for a repository's files with their sizes in bytes, and for its commit."""
    info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    files = (info.siblings or [])[:_MAX_LISTED]
    return {file.rfilename: file.size for file in files}, info.sha or ""


def _check(address: str, repo: str, commit: str, choice: Choice, folder: Path | None, told: Told) -> None:
    """Refuse what cannot work, by its configuration and its tensors' names and shapes."""
    if choice.kind == "own":
        assert folder is not None
        manifest = read_manifest(folder)
        ModelConfig.parse(manifest["config"], origin=f"{choice.configs[0]} of {address}")
        return
    facts: Facts | None = None if folder is None else facts_of(folder, choice)
    parts = [_peeked(repo, commit, name) for name in choice.weights]
    known = [part for part in parts if part is not None]
    if known and len(known) == len(parts):
        plan(joined(known), origin=choice.name, facts=facts, told=told, code=known[0].code)


def _peeked(repo: str, commit: str, name: str) -> Weights | None:
    """Read names and shapes of a file on the Hub; None where it, or its server, does not tell them."""
    from huggingface_hub import HfFileSystem  # takes a while to import, and only this needs it

    try:
        with HfFileSystem(skip_instance_cache=True).open(
            f"{repo}@{commit}/{name}", "rb", block_size=_PEEK_BLOCK_BYTES
        ) as file:
            return peek_weights(file, name.rpartition("/")[2])
    except _PEEK_FAULTS as error:  # a server that sends no ranges makes a whole file look damaged
        log.info("%s of %s cannot be looked at before it is fetched (%s)", name, repo, _reason(error))
        return None


def _tell_size(address: str, sizes: Mapping[str, int | None]) -> None:
    """Say how much is fetched, where it is much, and refuse what the disk cannot hold."""
    total = sum(size or 0 for size in sizes.values())
    text = f"{total / 1e9:.1f} GB" if total >= 1e9 else f"{total / 1e6:.0f} MB"
    cache = Path(constants.HF_HUB_CACHE)
    disk = next(folder for folder in (cache, *cache.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(disk).free
    if total + _SPARE_BYTES > free:
        raise CheckpointError(
            f"{address} has {text} of weights, and {disk} has {free / 1e9:.1f} GB free; make room, or set HF_HOME to "
            "another disk"
        )
    log.log(
        logging.WARNING if total >= _TOLD_BYTES else logging.INFO,
        "fetching %s of weights of %s into %s, once",
        text,
        address,
        cache,
    )


def _kept(address: str, repo: str, revision: str | None, told: Told, error: BaseException) -> Published:
    """Use what was fetched before, where the Hub cannot be reached."""
    try:
        # no file is named: a repository is rarely fetched whole, and which files are needed shows in the folder
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=[], local_files_only=True))
    except _FAULTS:
        raise UnknownModelError(
            f"{address} cannot be fetched from the Hub ({_reason(error)}); check name and network"
        ) from error
    choice = read_shards(folder, choose(files_in(folder), told.file, address))
    if missing := [name for name in choice.weights if not (folder / name).is_file()]:
        raise UnknownModelError(
            f"{missing[0]} of {address} is not in the cache, and the Hub cannot be reached ({_reason(error)})"
        ) from error
    return _named(folder, choice, repo)


def _downloaded(address: str, repo: str, revision: str | None, names: tuple[str, ...]) -> Path:
    with _hub_errors(address):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=[glob.escape(name) for name in names]))


def _in_cache(repo: str, name: str, commit: str) -> object:
    return try_to_load_from_cache(repo, name, revision=commit)


@contextmanager
def _hub_errors(address: str) -> Iterator[None]:
    try:
        yield
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise _unknown(address, error) from error
    except _FAULTS as error:
        raise UnknownModelError(
            f"{address} cannot be fetched from the Hub ({_reason(error)}); check name and network"
        ) from error


def _unknown(address: str, error: Exception) -> UnknownModelError:
    if isinstance(error, GatedRepoError):
        return UnknownModelError(f"{address} is given only to who agreed to its terms; agree on the Hub, set HF_TOKEN")
    if isinstance(error, RevisionNotFoundError):
        return UnknownModelError(f"{address}: the repository has no such revision; check what stands behind the @")
    return UnknownModelError(f"there is no repository {address} on the Hub, or it is private (HF_TOKEN)")


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
