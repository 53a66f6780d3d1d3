"""The gradients of one batch: encoded whole or in pieces (gradient caching), on one process or on several.

Gradient caching (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"): the batch
is encoded piece by piece without a graph, the loss' gradient is taken at the vectors, then each piece is encoded once
more, with a graph, and sent its part of that gradient. The result is the gradient of the whole batch; the memory is
that of one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lrsclip.errors import TrainingError
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.precision import mixed_precision
from train.command import lacks_memory
from train.data.augment import augmented, crop_features
from train.data.batches import Batch
from train.data.feature_cache import Prepared
from train.distributed import World
from train.losses import DualTextLoss, dual_text_loss
from train.settings import Settings
from train.teaching import Lesson, lesson_loss
from train.validate import encode_rows

Encode = Callable[[slice], Tensor]


@dataclass(frozen=True)
class Objective:
    """Objective of a step: the loss' weights and parts.

    Attributes:
        long_weight: a in L = a * L_long + (1 - a) * L_short; a branch of weight 0 is not run.
        pca_components: see `dual_text_loss`.
        micro_batch: pictures that this process encodes at once; None: its whole part of the batch.
        seed: seed of this step's dropout.
        half: whether the towers run in bfloat16 where the hardware is fast at it.
        label_smoothing: see `info_nce`.
    """

    long_weight: float
    pca_components: float | None = None
    micro_batch: int | None = None
    seed: int = 0
    half: bool = True
    label_smoothing: float = 0.0


def add_gradients(
    model: DualEncoder,
    batch: Batch,
    prepared: Prepared,
    objective: Objective,
    world: World,
    lesson: Lesson | None = None,
) -> DualTextLoss:
    """Add the gradient of the whole batch's loss to the parameters' own, the same on all processes.

    Args:
        model: in the mode (training or not) that it is to be run in.
        batch: this process' rows, and the masks of all processes.
        prepared: source of the batch's rows: kept features or pixels.
        objective: the loss' weights and parts.
        world: the processes.
        lesson: texts with their teacher's vectors; the same on all processes.

    Returns:
        The contrastive loss over the whole batch; the lesson's is not in it.
    """
    encoders = _encoders(model, batch, prepared, objective, world.device)
    count = len(batch.rows)
    size = objective.micro_batch or count
    pieces = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    cached = len(pieces) > 1

    def seed(piece: slice) -> None:
        torch.manual_seed(hash((objective.seed, world.rank, piece.start)) % 2**31)

    with world.together(), torch.set_grad_enabled(not cached):
        parts: list[list[Tensor]] = []
        for piece in pieces:
            seed(piece)
            parts.append([encode(piece) for encode in encoders.values()])
        vectors = [torch.cat(same) for same in zip(*parts, strict=True)]
    leaves = {name: v.detach().requires_grad_() for name, v in zip(encoders, vectors, strict=True)}
    gathered = {name: world.gather(leaf) for name, leaf in leaves.items()}
    loss = dual_text_loss(
        gathered["image"],
        gathered.get("long"),
        gathered.get("short"),
        model.scale,
        objective.long_weight,
        batch.true_long.to(world.device),
        batch.true_short.to(world.device),
        objective.pca_components,
        _known(gathered.get("false"), batch.has_false),
        _known(gathered.get("false image"), batch.has_false_rows),
        objective.label_smoothing,
    )
    (loss.total / world.size).backward()
    with world.together():
        gradients = [leaf.grad for leaf in leaves.values()]
        if not cached:
            torch.autograd.backward(vectors, gradients)
        else:
            for piece in pieces:
                seed(piece)  # the same dropout as before
                for encode, gradient in zip(encoders.values(), gradients, strict=True):
                    assert gradient is not None
                    encode(piece).backward(gradient[piece])
        if lesson is not None:
            seed(slice(0, 0))
            with _half(world.device, objective):
                (lesson_loss(model, lesson) / world.size).backward()
    world.add_gradients(model.parameters())
    return loss


def _known(false: Tensor | None, has_one: Tensor) -> Tensor | None:
    """Select the false texts, or pictures, of the rows that have one."""
    return None if false is None else false[has_one.to(false.device)]


def _encoders(
    model: DualEncoder, batch: Batch, prepared: Prepared, objective: Objective, device: torch.device
) -> dict[str, Encode]:
    """Build the encoders of a piece of this process' rows, by name; each opens autocast anew.

    A cast of the weights that was made without a graph must not serve an encoding that needs one.
    """
    half = partial(_half, device, objective)

    def shown(rows: Tensor, piece: slice) -> Tensor:
        rows = rows[piece].to(device)
        if batch.changes is not None:
            change = crop_features if prepared.is_features else augmented
            rows = change(rows, batch.changes[piece])
        with half():
            return encode_rows(model, rows, prepared)

    def image(piece: slice) -> Tensor:
        return shown(batch.rows, piece)

    def false_image(piece: slice) -> Tensor:
        assert batch.false_rows is not None
        return shown(batch.false_rows, piece)

    def long(piece: slice) -> Tensor:
        with half():
            return model.encode_text(batch.long[piece].to(device))

    def short(piece: slice) -> Tensor:
        with half():
            return model.encode_text(batch.short[piece].to(device))

    def false(piece: slice) -> Tensor:
        assert batch.false is not None
        with half():
            return model.encode_text(batch.false[piece].to(device))

    encoders: dict[str, Encode] = {"image": image}
    if objective.long_weight > 0:
        encoders["long"] = long
        if batch.false is not None:
            encoders["false"] = false
        if batch.false_rows is not None:
            encoders["false image"] = false_image
    if objective.long_weight < 1:
        encoders["short"] = short
    return encoders


@contextmanager
def _half(device: torch.device, objective: Objective) -> Iterator[None]:
    # on a CPU the plain attention is faster backwards: 11.8 s against 14.1 s a step of 256 pictures
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with plain, mixed_precision(device, enabled=objective.half):
        yield


@contextmanager
def memory_named(settings: Settings, world: World) -> Iterator[None]:
    """Turn a lack of memory into an error that names the setting to change.

    Raises:
        TrainingError: a GPU or the machine has no memory left.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        at_once = min(settings.micro_batch or settings.batch_size, settings.batch_size // world.size)
        raise TrainingError(
            f"no memory is left on {world.device} with {at_once} pictures at once: set micro_batch to "
            f"{max(1, at_once // 2)} in the settings and go on with --resume (the result stays the same), or lower "
            f"batch_size ({settings.batch_size}) and start with another --out"
        ) from error
