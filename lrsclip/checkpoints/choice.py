"""Which files of a folder, or of a repository on the Hub, are a checkpoint: decided by their names alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from lrsclip.checkpoints.facts import read_json
from lrsclip.checkpoints.native import MANIFEST, WEIGHTS
from lrsclip.errors import CheckpointError

OPEN_CLIP, TRANSFORMERS, PREPROCESSOR = "open_clip_config.json", "config.json", "preprocessor_config.json"
CONFIGS = (OPEN_CLIP, TRANSFORMERS, PREPROCESSOR)
INDEX_END = ".index.json"
_OPEN_CLIP_WEIGHTS = (
    *("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin"),
    *("open_clip_pytorch_model.pth", "open_clip_pytorch_model.pt"),
)
_TRANSFORMERS_WEIGHTS = (
    *("model.safetensors", f"model.safetensors{INDEX_END}", "pytorch_model.bin", f"pytorch_model.bin{INDEX_END}"),
)
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")  # the earlier is taken where two are the same but for it
_OF_TRAINERS = ("optimizer", "scheduler", "training_args", "rng_state", "scaler")
_MAX_LISTED, _NAMED = 20_000, 8


@dataclass(frozen=True)
class Choice:
    """The files of a checkpoint, by their paths in its folder or repository.

    Attributes:
        kind: `own` (a folder of LRSCLIP's), `open_clip`, `transformers`, or `bare`: weights without a configuration.
        name: the checkpoint's, for messages.
        weights: files of weights, or the index that lists them.
        configs: small files that are read first.
    """

    kind: Literal["own", "open_clip", "transformers", "bare"]
    name: str
    weights: tuple[str, ...]
    configs: tuple[str, ...] = ()

    @property
    def index(self) -> str | None:
        """The list of parts, where the weights were saved in several and are not yet known."""
        return next((name for name in self.weights if name.endswith(INDEX_END)), None)


def choose(names: Iterable[str], asked: str | None, origin: str) -> Choice:
    """Choose a checkpoint's files.

    Args:
        names: all files there, by their paths with slashes.
        asked: the file of weights that the user wants; None for the only one.
        origin: the folder or repository, for messages.

    Raises:
        CheckpointError: no weights, several, or none by the name that was asked for.
    """
    there = set(names)
    if asked is not None:
        return _asked(there, asked, origin)
    if MANIFEST in there:
        return Choice("own", origin, (WEIGHTS,), (MANIFEST,))
    if OPEN_CLIP in there and (own := next((name for name in _OPEN_CLIP_WEIGHTS if name in there), None)):
        return _configured("open_clip", own, there, origin)
    if TRANSFORMERS in there and (own := next((name for name in _TRANSFORMERS_WEIGHTS if name in there), None)):
        return _configured("transformers", own, there, origin)
    weights = _distinct(there)
    if OPEN_CLIP in there and len(weights) == 1:
        return _configured("open_clip", weights[0], there, origin)
    if len(weights) == 1:
        return Choice("bare", PurePosixPath(weights[0]).name, (weights[0],))
    if not weights:
        raise CheckpointError(
            f"{origin} should hold {MANIFEST}, {OPEN_CLIP}, {TRANSFORMERS} or exactly one .pt file, each with its "
            "weights, and has none; pass the file of weights itself"
        )
    listed = ", ".join(weights[:_NAMED]) + (", ..." if len(weights) > _NAMED else "")
    raise CheckpointError(
        f"{origin} should hold one checkpoint, and has {len(weights)} ({listed}); say which one behind the name, such "
        f"as ?file={weights[0]}"
    )


def files_in(folder: Path) -> list[str]:
    """List the files of a folder by their paths in it, with slashes; links to other folders are not followed.

    Raises:
        CheckpointError: more files than any checkpoint has.
    """
    found = list[str]()
    for here, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [Path(here, name).relative_to(folder).as_posix() for name in names]
        if len(found) > _MAX_LISTED:
            raise CheckpointError(f"{folder} has more than {_MAX_LISTED:,} files; pass the file of weights itself")
    return found


def read_shards(folder: Path, choice: Choice) -> Choice:
    """Replace the index of weights in parts by the parts it lists.

    Raises:
        CheckpointError: the index is unreadable, or lists files that are not beside it.
    """
    if choice.index is None:
        return choice
    listed = read_json(folder / choice.index).get("weight_map")
    parts = sorted(set(listed.values())) if isinstance(listed, dict) and listed else []
    beside = str(PurePosixPath(choice.index).parent)
    for part in parts:
        if not isinstance(part, str) or part != PurePosixPath(part).name or not part.endswith(_SUFFIXES):
            raise CheckpointError(f"{choice.index} of {choice.name} lists {part!r}, which is no file of weights there")
    if not parts:
        raise CheckpointError(f"{choice.index} of {choice.name} lists no weights; fetch the checkpoint again")
    return replace(choice, weights=tuple(str(PurePosixPath(beside, part)) for part in parts))


def _asked(there: set[str], asked: str, origin: str) -> Choice:
    if asked not in there:
        weights = ", ".join(_distinct(there)[:_NAMED]) or "none"
        raise CheckpointError(f"{origin} has no file {asked}; files of weights there: {weights}")
    path = PurePosixPath(asked)
    beside = "" if str(path.parent) == "." else f"{path.parent}/"
    inner = {name.removeprefix(beside) for name in there if name.startswith(beside)}
    kind: Literal["open_clip", "transformers"] = "open_clip" if path.name in _OPEN_CLIP_WEIGHTS else "transformers"
    config = OPEN_CLIP if kind == "open_clip" else TRANSFORMERS
    if path.name in (*_OPEN_CLIP_WEIGHTS, *_TRANSFORMERS_WEIGHTS) and config in inner:
        found = _configured(kind, path.name, inner, path.name)
        configs = tuple(f"{beside}{name}" for name in found.configs)
        return replace(found, weights=(asked,), configs=configs)
    return Choice("bare", path.name, (asked,))


def _configured(kind: Literal["open_clip", "transformers"], weights: str, there: set[str], origin: str) -> Choice:
    more = [PREPROCESSOR] if kind == "transformers" and PREPROCESSOR in there else []
    index = [weights] if weights.endswith(INDEX_END) else []
    config = OPEN_CLIP if kind == "open_clip" else TRANSFORMERS
    return Choice(kind, origin, (weights,), (config, *more, *index))


def _distinct(there: set[str]) -> list[str]:
    """List the files of weights, one for each name without its ending, and none that only a trainer needs."""
    best = dict[str, str]()
    for suffix in _SUFFIXES:
        for name in sorted(there):
            path = PurePosixPath(name)
            if name.endswith(suffix) and not path.name.startswith(_OF_TRAINERS):
                best.setdefault(str(path.with_suffix("")), name)
    return sorted(best.values())
