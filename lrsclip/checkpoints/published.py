"""Checkpoints that others published: OpenAI's, LAION's and DataComp's CLIPs, GeoRSCLIP, RemoteCLIP, Long-CLIP, LRSCLIP.

A file of weights is read by what it holds (`weights_file`), its names are brought into OpenAI's layout (`layouts`),
and what tensors cannot say comes from elsewhere or is asked for (`reading`). LRSCLIP and Long-CLIP hold two position
tables, `positional_embedding` (used for the rows that KPS keeps) and `positional_embedding_res` (used for the rest);
here they are merged into the table that the model really uses.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lrsclip.checkpoints.choice import CONFIGS, Choice, choose, files_in, read_shards
from lrsclip.checkpoints.facts import Facts, Told, open_clip_facts, read_json
from lrsclip.checkpoints.layouts import plain_state, weights_of
from lrsclip.checkpoints.reading import config_of, identity, signs_of
from lrsclip.checkpoints.shapes import check_finite, check_tensors, shapes_of
from lrsclip.checkpoints.transformers_config import transformers_facts
from lrsclip.checkpoints.weights_file import Weights, read_weights
from lrsclip.errors import CheckpointError
from lrsclip.io.atomic import file_sha256
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.kps import KEPT


@dataclass(frozen=True)
class Published:
    """A published checkpoint on disk.

    Attributes:
        root: its folder.
        choice: which of the files there are its weights and its configuration.
    """

    root: Path
    choice: Choice

    @property
    def path(self) -> Path:
        """The folder, or the one file of weights where there is no configuration."""
        return self.root / self.choice.weights[0] if self.choice.kind == "bare" else self.root

    @property
    def name(self) -> str:
        """A short name: of the file of weights, or of the folder or repository."""
        if self.choice.kind == "bare":
            return self.path.stem
        return Path(self.choice.name).name

    @property
    def weights(self) -> list[Path]:
        """Its files of weights; several where they were saved in parts."""
        return [self.root / name for name in self.choice.weights]

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights."""
        hashes = [file_sha256(path) for path in self.weights]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def find_published(path: str | os.PathLike[str], told: Told | None = None) -> Published:
    """Find the files of a published checkpoint.

    Args:
        path: a file of weights, or a folder as open_clip or Hugging Face write it.
        told: what the user says; of a folder `file` chooses among several weights.

    Raises:
        CheckpointError: the folder has no weights, or several and none was chosen.
    """
    path, asked = Path(path), None if told is None else told.file
    if path.is_dir():
        return Published(path, read_shards(path, choose(files_in(path), asked, str(path))))
    if asked is not None:
        raise CheckpointError(f"{path.name} is a file already; file= chooses one of a folder or a repository")
    beside = [name for name in CONFIGS if (path.parent / name).is_file()]
    return Published(path.parent, read_shards(path.parent, choose([path.name, *beside], path.name, path.name)))


def read_published(path: str | os.PathLike[str] | Published, told: Told | None = None) -> DualEncoder:
    """Read a published checkpoint.

    Args:
        path: a file of weights (a state dict, alone or under `state_dict` or `model`, as torch or safetensors save it,
            or OpenAI's TorchScript archive), or a folder that open_clip or Hugging Face wrote.
        told: what the user says of what the files do not.

    Returns:
        The model with those weights, in float32.

    Raises:
        CheckpointError: unreadable, not of the CLIP layout, tensors of shapes that do not fit together or with values
            that are not finite, or not all that is needed to compute with them is said.
    """
    told = told or Told()
    found = path if isinstance(path, Published) else find_published(path, told)
    facts = facts_of(found.root, found.choice)
    parts = [read_weights(one) for one in found.weights]
    return from_state_dict(joined(parts), origin=found.choice.name, facts=facts, told=told, code=parts[0].code)


def model_identity(found: Published, config: ModelConfig) -> str:
    """Name a checkpoint and its reading, for indexes."""
    return identity(found.sha256, config)


def facts_of(root: Path, choice: Choice) -> Facts | None:
    """Read the configuration of a published checkpoint, None where it has none.

    Raises:
        CheckpointError: unreadable, or of a model that is not read here.
    """
    if choice.kind == "open_clip":
        return open_clip_facts(read_json(root / choice.configs[0]), origin=choice.configs[0])
    if choice.kind == "transformers":
        config, *more = [read_json(root / name) for name in choice.configs if not name.endswith(".index.json")]
        return transformers_facts(config, more[0] if more else None, origin=choice.configs[0])
    return None


def joined(parts: Sequence[Weights]) -> object:
    """Join weights that were saved in parts."""
    if len(parts) == 1:
        return parts[0].content
    whole: dict[object, object] = {}
    for part in parts:
        if not isinstance(part.content, dict) or whole.keys() & part.content.keys():
            raise CheckpointError("the parts of the weights do not belong together; download them again")
        whole |= part.content
    return whole


def plan(content: object, *, origin: str, facts: Facts | None, told: Told, code: str = "") -> ModelConfig:
    """Tell how a checkpoint would be read, from the shapes of its tensors; those on the meta device will do.

    Raises:
        CheckpointError: as in `read_published`, but for values that are not finite.
    """
    return _planned(plain_state(content, origin=origin), origin, facts, told, code)[1]


def from_state_dict(
    content: object, *, origin: str, facts: Facts | None = None, told: Told | None = None, code: str = ""
) -> DualEncoder:
    """Build the model that a state dict describes.

    Args:
        content: names with tensors, perhaps below a key.
        origin: its name, for messages.
        facts: what its configuration says.
        told: what the user says.
        code: source text of the TorchScript program that it comes from.

    Raises:
        CheckpointError: names are missing or left over, shapes do not fit, values are not finite, or not all is said.
    """
    plain = plain_state(content, origin=origin)
    check_finite(weights_of(plain), origin=origin)
    state, config = _planned(plain, origin, facts, told or Told(), code)
    frozen, trained = state.pop("positional_embedding"), state.pop("positional_embedding_res", None)
    table = merge_positions(frozen, trained)
    state["logit_scale"] = state["logit_scale"].reshape(())  # some keep it as a list of one
    model = seeded_model(config, seed=0)
    model.text.positions.load_table(table)
    left = model.load_state_dict({_rename(name): tensor for name, tensor in state.items()}, strict=False)
    odd = [name for name in (*left.missing_keys, *left.unexpected_keys) if not name.startswith("text.positions")]
    if odd:
        raise CheckpointError(f"{origin}: tensor {odd[0]} has no place in the model; is it a CLIP ViT?")
    return model


def merge_positions(frozen: Tensor, trained: Tensor | None, kept: int = KEPT) -> Tensor:
    """Join rows 0 to `kept` of the frozen table with the trained rest: the mask of the published forward pass."""
    return frozen if trained is None else torch.cat([frozen[:kept], trained[kept:]])


def _planned(
    plain: dict[str, Tensor], origin: str, facts: Facts | None, told: Told, code: str
) -> tuple[dict[str, Tensor], ModelConfig]:
    state = weights_of(plain)
    shapes = shapes_of(state, origin=origin)
    check_tensors(state, shapes, origin=origin)
    return state, config_of(shapes, facts=facts, told=told, signs=signs_of(plain, code), origin=origin)


def _rename(name: str) -> str:
    return name if name.startswith("visual.") or name == "logit_scale" else f"text.{name}"
