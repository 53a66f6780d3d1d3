"""From tensors and what is said of them to one configuration, or a refusal that says what to tell.

Nothing is guessed. What is missing comes from the user, the configuration, the code that such a file comes from (two
position tables are Long-CLIP's, which computes with QuickGELU and heads of 64), or open_clip's table of architectures.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from torch import Tensor

from lrsclip.checkpoints.facts import NORMALIZATIONS, OPENAI_PREPROCESS, Activation, Facts, Told, table
from lrsclip.checkpoints.layouts import OPENAI_MARKS
from lrsclip.checkpoints.shapes import Shapes
from lrsclip.errors import CheckpointError
from lrsclip.models.config import ModelConfig
from lrsclip.models.kps import KEPT, STRETCH

log = logging.getLogger(__name__)
HEAD_WIDTH = 64  # of OpenAI's code, and of Long-CLIP's, which is made of it
_STRETCHED = KEPT + (77 - KEPT) * STRETCH
_ONE_TABLE = f"one table of {_STRETCHED} text positions"
_NAMED = 4  # examples in a message
_PARTS = (  # not the picture's side nor the context: both get stretched
    *("embed_dim", "patch_px", "image_width", "image_layers", "image_inner"),
    *("text_width", "text_layers", "text_inner"),
)


@dataclass(frozen=True)
class Signs:
    """What a file shows of the code it comes from.

    Attributes:
        activation: of that code; None where it is not to be seen.
        fixed_heads: whether that code has heads of 64 in every model.
        by: how that is known.
    """

    activation: Activation | None = None
    fixed_heads: bool = False
    by: str = ""


def signs_of(state: dict[str, Tensor], code: str) -> Signs:
    """Look at a state dict, and the source of a TorchScript program, for the code they come from.

    Args:
        state: with the numbers that only OpenAI's files have, where it has them.
        code: "" for none.
    """
    from_openai = all(name in state for name in OPENAI_MARKS)
    if "positional_embedding_res" in state:
        return Signs("quick_gelu", True, "two position tables, as Long-CLIP and LRSCLIP have them")
    if code:  # a CLIP has no other sigmoid than the one in QuickGELU
        quick, exact = "QuickGELU" in code or "sigmoid(" in code, "torch.gelu(" in code
        if quick != exact:
            return Signs("quick_gelu" if quick else "gelu", quick and from_openai, "its TorchScript program")
    if from_openai:
        return Signs("quick_gelu", True, "numbers that OpenAI's own files hold")
    if len(state.get("positional_embedding", ())) == _STRETCHED:
        return Signs("quick_gelu", True, f"{_ONE_TABLE}, as exports of DGTRS-CLIP and Long-CLIP have them")
    return Signs()


def config_of(shapes: Shapes, *, facts: Facts | None, told: Told, signs: Signs, origin: str) -> ModelConfig:
    """Decide on the configuration of a published CLIP.

    Args:
        shapes: what its tensors say.
        facts: what its configuration says; None where there is none.
        told: what the user says; goes before everything else.
        signs: what the file shows of its code.
        origin: its name, for messages.

    Raises:
        CheckpointError: the configuration is of other tensors, or something is not said and has two readings.
    """
    if facts is not None:
        _check_stated(shapes, facts, origin)
    known = Facts(signs.by, signs.activation) if facts is None else facts
    alike = [row for row in table() if all(row.stated[part] == getattr(shapes, part) for part in _PARTS)]
    activation = told.activation or known.activation or _only([row.activation for row in alike])
    image_heads = told.image_heads or known.image_heads or _heads(shapes, "image", signs)
    text_heads = told.text_heads or known.text_heads or _heads(shapes, "text", signs)
    if activation is None or image_heads is None or text_heads is None:
        raise _unsaid(activation, image_heads, text_heads, shapes, alike, origin)
    if signs.by.startswith(_ONE_TABLE) and facts is None and told.activation is None:
        log.warning("%s has %s; QuickGELU is taken (?activation=gelu for the other)", origin, signs.by)
    config = _fields(shapes, activation, image_heads, text_heads)
    preprocess = known.preprocess or OPENAI_PREPROCESS
    if told.normalization is not None:
        mean, std = NORMALIZATIONS[told.normalization]
        preprocess = preprocess.model_copy(update={"mean": mean, "std": std})
    elif known.preprocess is None and not signs.fixed_heads:
        log.warning(
            "%s does not say how its pictures are normalized; OpenAI's mean and deviation are taken, as open_clip does "
            "(?normalization=imagenet or inception for others)",
            origin,
        )
    return ModelConfig.parse(config | {"preprocess": preprocess.model_dump()}, origin=origin)


def identity(sha256: str, config: ModelConfig) -> str:
    """Name a reading of a file of weights, for indexes: vectors of another reading are other vectors.

    Args:
        sha256: of the file.
        config: how it is read.

    Returns:
        The file's own hash where it is read as OpenAI's code would; earlier versions read every file so, and their
        indexes stay good. Otherwise a hash of both.
    """
    heads = (config.image.heads * HEAD_WIDTH, config.text.heads * HEAD_WIDTH)
    as_openai = heads == (config.image.width, config.text.width) and config.preprocess == OPENAI_PREPROCESS
    if config.quick_gelu and as_openai:
        return sha256
    facts = (config.quick_gelu, config.image.heads, config.text.heads, config.preprocess.model_dump_json())
    return hashlib.sha256(f"{sha256} {facts}".encode()).hexdigest()


def _check_stated(shapes: Shapes, facts: Facts, origin: str) -> None:
    for part, value in facts.stated.items():
        if (found := getattr(shapes, part)) != value:
            raise CheckpointError(
                f"{origin}: {facts.origin} says {part} {value}, the weights have {found}; they do not belong together"
            )


def _only(values: list[Activation | None]) -> Activation | None:
    """Return the one value of a list, None where there are several or none."""
    return values[0] if len(set(values)) == 1 else None


def _heads(shapes: Shapes, tower: str, signs: Signs) -> int | None:
    """Look up the heads of a tower by its width, in open_clip's table and the code that the file comes from."""
    width = getattr(shapes, f"{tower}_width")
    found = {getattr(row, f"{tower}_heads") for row in table() if row.stated[f"{tower}_width"] == width}
    if signs.fixed_heads and width % HEAD_WIDTH == 0:
        found.add(width // HEAD_WIDTH)
    return found.pop() if len(found) == 1 else None


def _unsaid(
    activation: Activation | None,
    image_heads: int | None,
    text_heads: int | None,
    shapes: Shapes,
    alike: list[Facts],
    origin: str,
) -> CheckpointError:
    missing, options = [], []
    if activation is None:
        names = ", ".join(f"{row.origin}: {row.activation}" for row in alike[:_NAMED])
        missing.append(f"its activation ({names or 'no such architecture in the table of open_clip'})")
        options.append("activation=gelu")
    for tower, heads in (("image", image_heads), ("text", text_heads)):
        if heads is None:
            width = getattr(shapes, f"{tower}_width")
            likely = _likely_heads(width)
            missing.append(f"the heads of its {tower} tower of width {width} ({likely or 'N'} in a CLIP as others are)")
            options.append(f"{tower}_heads={likely if likely.isdecimal() else 'N'}")
    hint = " (or quick_gelu: OpenAI's CLIPs and what was trained from them; gelu: LAION's and DataComp's)"
    return CheckpointError(
        f"{origin} does not say {' nor '.join(missing)}, and with a wrong one its vectors would be wrong; pass the "
        "folder that holds it as open_clip_pytorch_model beside its open_clip_config.json, or say it behind the name, "
        f"such as ?{'&'.join(options)}{hint if activation is None else ''}"
    )


def _likely_heads(width: int) -> str:
    """List the numbers of heads that a width has with the widths of heads in open_clip's table, as "5 or 4"."""
    head_widths = {row.stated["image_width"] // row.image_heads for row in table() if row.image_heads}
    return " or ".join(str(width // one) for one in sorted(head_widths) if width % one == 0)


def _fields(shapes: Shapes, activation: Activation, image_heads: int, text_heads: int) -> dict[str, object]:
    return {
        "embed_dim": shapes.embed_dim,
        "image": {
            "kind": "vit",
            "image_px": shapes.image_px,
            "width": shapes.image_width,
            "layers": shapes.image_layers,
            "heads": image_heads,
            "mlp_ratio": _ratio(shapes.image_inner, shapes.image_width),
            "patch_px": shapes.patch_px,
        },
        "text": {
            "context_length": shapes.context_length,
            "kept_positions": KEPT,
            "vocab_size": shapes.vocab_size,
            "width": shapes.text_width,
            "layers": shapes.text_layers,
            "heads": text_heads,
            "mlp_ratio": _ratio(shapes.text_inner, shapes.text_width),
        },
        "quick_gelu": activation == "quick_gelu",
    }


def _ratio(inner: int, width: int) -> float:
    """Return a ratio that gives `inner` again when it is multiplied and cut off; for ViT-g the quotient may not."""
    ratio = inner / width
    return ratio if int(width * ratio) == inner else (inner + 0.5) / width
