"""The shape of a CLIP ViT, read from its tensors, and the tensors that a CLIP of that shape has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lrsclip.errors import CheckpointError
from lrsclip.models.kps import KEPT

CLIP_VOCAB = 49408
_NEEDED = {  # tensors that define the model, and the number of axes of each
    "visual.conv1.weight": 4,
    "visual.positional_embedding": 2,
    "visual.proj": 2,
    "positional_embedding": 2,
    "token_embedding.weight": 2,
    "ln_final.weight": 1,
    "text_projection": 2,
}
_RGB = 3
Size = tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """What the tensors of a CLIP say of it: everything but heads, activation and preprocessing.

    Attributes:
        embed_dim: length of a vector.
        image_px: side of the picture.
        patch_px: side of a patch.
        image_width: of the image tower.
        image_layers: of the image tower.
        image_inner: width inside its feed-forward layers.
        context_length: text positions.
        text_width: of the text tower.
        text_layers: of the text tower.
        text_inner: width inside its feed-forward layers.
        vocab_size: tokens it knows.
    """

    embed_dim: int
    image_px: int
    patch_px: int
    image_width: int
    image_layers: int
    image_inner: int
    context_length: int
    text_width: int
    text_layers: int
    text_inner: int
    vocab_size: int = CLIP_VOCAB


def shapes_of(state: dict[str, Tensor], *, origin: str) -> Shapes:
    """Read the shape of a CLIP ViT from its tensors.

    Args:
        state: names of OpenAI's layout with tensors; those on the meta device will do.
        origin: their source, for the message.

    Raises:
        CheckpointError: a tensor is missing or has a shape that no CLIP ViT for RGB pictures has.
    """
    for name in (*_NEEDED, "logit_scale"):
        if name not in state:
            raise CheckpointError(f"{origin} is not an LRSCLIP, Long-CLIP or CLIP ViT state dict: it lacks {name}")
    for name, axes in _NEEDED.items():
        if state[name].ndim != axes or not state[name].numel():
            raise CheckpointError(f"{origin}: tensor {name} is {tuple(state[name].shape)}, not of {axes} axes")
    width, bands, height, patch_px = state["visual.conv1.weight"].shape
    if bands != _RGB:
        raise CheckpointError(f"{origin} reads pictures of {bands} bands; CLIPs for red, green and blue are read")
    cells = len(state["visual.positional_embedding"]) - 1
    grid = round(cells**0.5)
    if height != patch_px or not grid or grid**2 != cells:
        raise CheckpointError(f"{origin} reads pictures or patches that are not square; square ones are read")
    context, text_width = state["positional_embedding"].shape
    if (vocab := len(state["token_embedding.weight"])) != CLIP_VOCAB:
        raise CheckpointError(
            f"{origin} knows {vocab:,} tokens: it reads with another tokenizer than CLIP's ({CLIP_VOCAB:,}), and its "
            "texts would be other texts here"
        )
    other = state.get("positional_embedding_res")
    if other is not None and other.shape != state["positional_embedding"].shape:
        shapes = f"{(context, text_width)} and {tuple(other.shape)}"
        raise CheckpointError(f"{origin}: the two position tables are {shapes}; they must be alike")
    if context < KEPT:
        raise CheckpointError(
            f"{origin}: kept_positions {KEPT} does not fit context_length {context}; no CLIP has so few"
        )
    return Shapes(
        embed_dim=state["text_projection"].shape[1],
        image_px=grid * patch_px,
        patch_px=patch_px,
        image_width=width,
        image_layers=_depth(state, "visual.transformer."),
        image_inner=_inner(state, "visual.transformer.", width),
        context_length=context,
        text_width=text_width,
        text_layers=_depth(state, "transformer."),
        text_inner=_inner(state, "transformer.", text_width),
        vocab_size=vocab,
    )


def check_tensors(state: dict[str, Tensor], shapes: Shapes, *, origin: str) -> None:
    """Compare tensors with those of a CLIP of that shape, before any memory is taken for one.

    Raises:
        CheckpointError: a tensor is missing, unknown, of another shape, or not of floating numbers.
    """
    needed = tensors_of(shapes)
    for name in sorted(needed.keys() - state.keys()):
        raise CheckpointError(f"{origin}: tensor {name} is missing; is it a CLIP ViT?")
    for name in sorted(state.keys() - needed.keys() - {"positional_embedding_res"}):
        raise CheckpointError(f"{origin}: tensor {name} is unknown; is it a CLIP ViT?")
    for name, size in needed.items():
        tensor = state[name]
        if tuple(tensor.shape) != size and not (name == "logit_scale" and tensor.numel() == 1):
            raise CheckpointError(
                f"{origin}: size mismatch for {name}, {tuple(tensor.shape)} and not {size}; it is damaged or mixed"
            )
    for name, tensor in state.items():
        if not tensor.is_floating_point() or tensor.layout is not torch.strided:
            raise CheckpointError(
                f"{origin}: tensor {name} holds {str(tensor.dtype).removeprefix('torch.')}, not floating numbers; "
                "quantized exports are not read: use the float16 or float32 one"
            )


def check_finite(state: dict[str, Tensor], *, origin: str) -> None:
    """Refuse weights that are no numbers, or too large for float32.

    Raises:
        CheckpointError: a tensor holds such values; the message names the first.
    """
    for name, tensor in state.items():
        if not tensor.is_meta and tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise CheckpointError(
                f"{origin}: tensor {name} holds values that are not finite; fetch it again, or train it again"
            )


def tensors_of(shapes: Shapes) -> dict[str, Size]:
    """List the tensors of a CLIP, in OpenAI's layout, with their shapes."""
    width, text_width, dim = shapes.image_width, shapes.text_width, shapes.embed_dim
    grid = shapes.image_px // shapes.patch_px
    found: dict[str, Size] = {
        "logit_scale": (),
        "visual.conv1.weight": (width, _RGB, shapes.patch_px, shapes.patch_px),
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (grid**2 + 1, width),
        "visual.proj": (width, dim),
        "positional_embedding": (shapes.context_length, text_width),
        "token_embedding.weight": (shapes.vocab_size, text_width),
        "text_projection": (text_width, dim),
    }
    for name, size in (("visual.ln_pre", width), ("visual.ln_post", width), ("ln_final", text_width)):
        found |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    towers = (
        ("visual.", width, shapes.image_layers, shapes.image_inner),
        ("", text_width, shapes.text_layers, shapes.text_inner),
    )
    for prefix, size, layers, inner in towers:
        for number in range(layers):
            block = f"{prefix}transformer.resblocks.{number}."
            found |= {f"{block}{name}": shape for name, shape in _block(size, inner).items()}
    return found


def _block(width: int, inner: int) -> dict[str, Size]:
    matrices = {
        "attn.in_proj_": (3 * width, width),
        "attn.out_proj.": (width, width),
        "mlp.c_fc.": (inner, width),
        "mlp.c_proj.": (width, inner),
    }
    norms: dict[str, Size] = {f"ln_{n}.{kind}": (width,) for n in (1, 2) for kind in ("weight", "bias")}
    for name, size in matrices.items():
        norms |= {f"{name}weight": size, f"{name}bias": size[:1]}
    return norms


def _inner(state: dict[str, Tensor], prefix: str, width: int) -> int:
    weight = state.get(f"{prefix}resblocks.0.mlp.c_fc.weight")
    return 4 * width if weight is None or weight.ndim != 2 else len(weight)


def _depth(state: dict[str, Tensor], prefix: str) -> int:
    start = f"{prefix}resblocks."
    return len({name[len(start) :].split(".")[0] for name in state if name.startswith(start)})
