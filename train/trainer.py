"""One training run, step by step: stages, learning rates, validation, states on disk."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from lrsclip.checkpoints.native import write_checkpoint
from lrsclip.errors import TrainingError
from lrsclip.models.dual_encoder import MAX_LOGIT_SCALE, DualEncoder
from lrsclip.models.tokenizer import Tokenizer
from train.data.batches import Batch, BatchMaker
from train.data.feature_cache import Prepared
from train.data.records import Record
from train.data.text_pairs import vocabulary
from train.distributed import World
from train.losses import DualTextLoss
from train.parameter_groups import parameter_groups
from train.runlog import LOG_FIELDS, SCORE_FIELDS, read_log, write_log
from train.settings import Settings
from train.state import RunState, give_moments, moments_of, write_state
from train.step import Objective, add_gradients, memory_named
from train.teaching import Lesson, Teaching
from train.validate import class_accuracy, validate

VALIDATION_SOURCE = "rsicd"
CHECKPOINT = "checkpoint"  # folder of the best state by validation, inside a run


@dataclass(frozen=True)
class Corpus:
    """Training and validation records and their prepared pictures.

    Attributes:
        train: to learn from.
        val: with captions.
        prepared: all pictures.
        row_of: key of a record -> its row.
        val_classes: with labels, of several data sets.
        more_rows: key of a record -> rows of further views of it.
    """

    train: list[Record]
    val: list[Record]
    prepared: Prepared
    row_of: dict[str, int]
    val_classes: list[Record] = field(default_factory=list)
    more_rows: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the training records: their keys, labels and captions."""
        digest = hashlib.sha256()
        for record in self.train:
            digest.update(os.fsencode("\0".join((record.key, record.label or "", *record.captions, ""))))
        return digest.hexdigest()

    def rows(self, records: list[Record]) -> list[int]:
        """Return the rows of `prepared` that belong to records."""
        return [self.row_of[r.key] for r in records]

    def views(self, records: list[Record]) -> list[tuple[int, ...]]:
        """Return for each record its rows of `prepared`, as it is and as other sensors would have taken it."""
        return [(self.row_of[r.key], *self.more_rows.get(r.key, ())) for r in records]


class Trainer:
    """One run: builds the model of the stage at hand, steps, validates, saves, and can go on from its last state."""

    def __init__(self, settings: Settings, corpus: Corpus, model: DualEncoder, out: Path, world: World) -> None:
        self.settings, self.corpus, self.out, self.world, self.device = settings, corpus, out, world, world.device
        if settings.batch_size % world.size:
            raise TrainingError(
                f"batch_size {settings.batch_size} does not divide among {world.size} processes; change one of the two"
            )
        self.save_every_s = 120.0
        # for the manifest: files of initial weights with their sha256, and the training entry of the run before
        self.begun_with: dict[str, str] = {}
        self.before: dict[str, Any] | None = None
        self.teaching: Teaching | None = None
        self.model = model.to(self.device)
        self._average: AveragedModel | None = None
        if settings.average_decay:
            self._average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.average_decay))
        with memory_named(settings, world):
            self.maker = BatchMaker(corpus.train, corpus.views(corpus.train), corpus.prepared, settings, world)
        if self.maker.steps == 0:
            raise TrainingError(
                f"{len(corpus.train)} training pictures do not fill one batch of {settings.batch_size}, with "
                f"class_folder_share {settings.class_folder_share:g} of those without captions; lower batch_size"
            )
        self.epoch, self.step, self.best_mr = 0, 0, -1.0
        self.rows: list[dict[str, float]] = []
        self.scores: list[dict[str, float]] = []
        self.optimizer = self._optimizer()
        self._whole = True  # false while a step changes the model

    def resume(self, state: RunState, rows: list[dict[str, float]]) -> None:
        """Go on from a saved state.

        Raises:
            TrainingError: the state was written under other settings.
        """
        if not self.settings.continues(state.settings):
            raise TrainingError(
                f"{self.out} was started with other settings; resume with those or choose another --out"
            )
        if state.data != self.corpus.fingerprint:
            raise TrainingError(f"{self.out} was started on other data; resume with that or choose another --out")
        # between two epochs the model may be that of the stage behind or, if a first step failed, of the stage ahead
        self._stretch_to(state.context_length)
        self.model.load_state_dict(state.model)
        if self._average is not None:
            self._average.load_state_dict(state.average)
        self.optimizer = self._optimizer()
        give_moments(self.model, self.optimizer, state.moments)
        self.begun_with, self.before = state.begun_with, state.before
        self.epoch, self.step, self.best_mr = state.epoch, state.step, state.best_mr
        self.rows, self.scores = rows[: state.log_rows], read_log(self.out / "validation.csv")[: state.epoch]

    def run(self) -> None:
        """Train to the end.

        Raises:
            TrainingError: the loss is not finite, or no memory is left; the state before the step that failed is kept.
        """
        try:
            with memory_named(self.settings, self.world):
                self._run()
        except Exception:
            if self._whole and self.world.is_first and self._is_finite:
                self.save()  # no finished step is lost
            raise

    @property
    def _is_finite(self) -> bool:
        return all(bool(p.isfinite().all()) for p in self.model.parameters())

    def _end_if_broken(self) -> None:
        """Keep weights that are not finite from taking the place of the last state.

        Raises:
            TrainingError: a weight is not finite.
        """
        if not self._is_finite:
            raise TrainingError(
                f"weights are not finite after step {self.step} of epoch {self.epoch + 1}: lower learning_rate "
                f"({self.settings.learning_rate}) and go on with --resume from the last state"
            )

    def _run(self) -> None:
        writer: SummaryWriter | None = None
        if self.world.is_first:
            writer = SummaryWriter(str(self.out / "tensorboard"), purge_step=self._global_step)
        while self.epoch < self.settings.epochs:
            if self.step == 0:
                self._enter_stage(self.epoch)
            self._epoch(writer)
            with self.world.together():
                if writer is not None:
                    self._end_if_broken()
                    self._validate(writer)
                    self.epoch, self.step = self.epoch + 1, 0
                    self.save()
                else:
                    self.epoch, self.step = self.epoch + 1, 0
        if writer is not None:
            writer.close()

    @property
    def kept(self) -> DualEncoder:
        """Model to measure and to write as checkpoint: the average of the weights where the settings ask for one."""
        return self.model if self._average is None else cast(DualEncoder, self._average.module)

    def save(self) -> None:
        """Write the state, then the log up to it."""
        state = RunState(
            epoch=self.epoch,
            step=self.step,
            best_mr=self.best_mr,
            log_rows=len(self.rows),
            model={k: v.detach().cpu() for k, v in self.model.state_dict().items()},
            moments=moments_of(self.model, self.optimizer),
            settings=self.settings.model_dump_json(),
            data=self.corpus.fingerprint,
            begun_with=self.begun_with,
            before=self.before,
            average={k: v.detach().cpu() for k, v in self._average.state_dict().items()} if self._average else {},
        )
        write_log(self.out / "log.csv", LOG_FIELDS, self.rows)
        write_log(self.out / "validation.csv", SCORE_FIELDS, self.scores)
        write_state(self.out, state)

    def _enter_stage(self, epoch: int) -> None:
        """Stretch the positions if the stage of `epoch` reads longer texts than the model does so far."""
        self._stretch_to(self.settings.stage_at(epoch).context_length)

    def _stretch_to(self, wanted: int) -> None:
        if self.model.text.context_length == wanted:
            return
        moments = moments_of(self.model, self.optimizer)
        self.model.stretch()
        if self._average is not None:
            self.kept.stretch()
        if self.model.text.context_length != wanted:
            reached = self.model.text.context_length
            raise TrainingError(f"KPS makes {reached} positions of this model, the stage asks for {wanted}")
        self.optimizer = self._optimizer()
        give_moments(self.model, self.optimizer, moments)

    def _optimizer(self) -> AdamW:
        return AdamW(
            parameter_groups(self.model.named_parameters(), self.settings),
            betas=(0.9, 0.98),
            eps=1e-6,
        )

    def _epoch(self, writer: SummaryWriter | None) -> None:
        saved = started = time.monotonic()
        bar = tqdm(
            total=self.maker.steps,
            initial=self.step,
            desc=f"epoch {self.epoch + 1}/{self.settings.epochs}",
            disable=writer is None,
        )
        with bar:
            for batch in self._batches():
                loss = self._learn(batch)
                now = time.monotonic()
                rate, started = self.settings.batch_size / (now - started), now
                row = self._row(loss, rate)
                self.rows.append(row)
                if writer is not None:
                    self._show(writer, row)
                bar.set_postfix(loss=f"{row['loss']:.3f}", pictures_per_s=f"{rate:.0f}")
                bar.update()
                self.step += 1
                if self.world.is_first and now - saved > self.save_every_s:
                    self._end_if_broken()
                    self.save()
                    saved = now

    def _batches(self) -> Iterator[Batch]:
        """Yield the remaining batches of the epoch; where one process cannot read its own, all stop."""
        batches = self.maker.epoch(self.epoch, self.step, Tokenizer(self.model.text.context_length))
        while True:
            with self.world.together():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _learn(self, batch: Batch) -> DualTextLoss:
        self._set_learning_rate()
        self.model.train()
        if isinstance(trunk := getattr(self.model.visual, "trunk", None), torch.nn.Module):
            trunk.eval()  # batch norm keeps ImageNet's statistics: a fine-tuning set is too small to learn its own
        self.optimizer.zero_grad(set_to_none=True)
        loss = add_gradients(self.model, batch, self.corpus.prepared, self._objective(), self.world, self._lesson())
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if not (torch.isfinite(loss.total) and torch.isfinite(norm)):
            raise TrainingError(
                f"loss {loss.total.detach():.4g} with gradients of norm {norm:.4g} at epoch {self.epoch + 1}, step "
                f"{self.step}: training has come apart; lower learning_rate ({self.settings.learning_rate}) in the "
                "settings and go on with --resume from the state before this step, or start with another --out"
            )
        self._whole = False
        self.optimizer.step()
        with torch.no_grad():  # held here and not in the loss, where a clamp would end its gradient for good
            self.model.logit_scale.clamp_(max=math.log(MAX_LOGIT_SCALE))
        if self._average is not None:
            self._average.update_parameters(self.model)
        self._whole = True
        return loss

    def _lesson(self) -> Lesson | None:
        return None if self.teaching is None else self.teaching.lesson(self.epoch, self.step)

    def _objective(self) -> Objective:
        recipe, total = self.settings.recipe, self.settings.epochs * self.maker.steps
        return Objective(
            long_weight=recipe.weight_at(self._global_step / total, self.settings.stage_at(self.epoch).long_weight),
            pca_components=recipe.pca_components,
            micro_batch=self.settings.micro_batch,
            # dropout draws from torch's global state: seeded by the step, a resumed run draws the same
            seed=hash((self.settings.seed, self.epoch, self.step)),
            label_smoothing=recipe.label_smoothing,
        )

    @property
    def _global_step(self) -> int:
        return self.epoch * self.maker.steps + self.step

    def _set_learning_rate(self) -> None:
        """Set the learning rates of the step: linear warm-up, then half a cosine down to zero over all stages."""
        done, total, warmup = self._global_step, self.settings.epochs * self.maker.steps, self.settings.warmup_steps
        if done < warmup:
            factor = (done + 1) / warmup
        else:
            factor = 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(1, total - warmup)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor

    def _row(self, loss: DualTextLoss, rate: float) -> dict[str, float]:
        values = (
            self.epoch,
            self.step,
            float(loss.total.detach()),
            float(loss.long.detach()),
            float(loss.short.detach()),
            float(self.model.scale.detach()),
            self.optimizer.param_groups[0]["lr"],
            rate,
        )
        return dict(zip(LOG_FIELDS, values, strict=True))

    def _show(self, writer: SummaryWriter, row: dict[str, float]) -> None:
        for name in LOG_FIELDS[2:]:
            if not math.isnan(row[name]):
                writer.add_scalar(name, row[name], self._global_step)

    def _validate(self, writer: SummaryWriter) -> None:
        """Score the validation split; the best checkpoint so far is kept under `checkpoint/`."""
        if not self.corpus.val:
            return self._write_checkpoint({})
        tokenizer = Tokenizer(self.model.text.context_length)
        rows = self.corpus.rows(self.corpus.val)
        short, long = validate(self.kept, self.corpus.val, self.corpus.prepared, rows, tokenizer, self.device)
        writer.add_scalar("val_short_mR", short.mean_recall, self._global_step)
        writer.add_scalar("val_long_mR", long.mean_recall, self._global_step)
        tqdm.write(f"epoch {self.epoch + 1}: validation mR short {short.mean_recall:.2f}, long {long.mean_recall:.2f}")
        by_set = class_accuracy(
            self.kept,
            self.corpus.val_classes,
            self.corpus.prepared,
            self.corpus.rows(self.corpus.val_classes),
            tokenizer,
            self.device,
        )
        classes = sum(by_set.values()) / len(by_set) if by_set else float("nan")
        for name, top1 in by_set.items():
            writer.add_scalar(f"val_{name}_top1", top1, self._global_step)
        if by_set:
            told = ", ".join(f"{name} {top1:.1f}" for name, top1 in by_set.items())
            tqdm.write(f"epoch {self.epoch + 1}: classes in unseen wordings, top-1: {told}")
        values = (self.epoch + 1, short.mean_recall, long.mean_recall, classes)
        self.scores.append(dict(zip(SCORE_FIELDS, values, strict=True)))
        measured = [short.mean_recall, long.mean_recall, *([classes] if by_set else [])]
        score = sum(measured) / len(measured)
        if score > self.best_mr and self.model.text.context_length == self.settings.stages[-1].context_length:
            self.best_mr = score
            prefix = f"{VALIDATION_SOURCE} validation"
            self._write_checkpoint({f"{prefix} short raw": short.as_dict(), f"{prefix} long": long.as_dict()})
        return None

    def _write_checkpoint(self, metrics: dict[str, dict[str, float]]) -> None:
        sources: dict[str, int] = {}
        for record in self.corpus.train:
            sources[record.source] = sources.get(record.source, 0) + 1
        write_checkpoint(
            self.out / CHECKPOINT,
            self.kept,
            name=self.settings.model,
            vocabulary=vocabulary(self.corpus.train),
            training={
                "pictures": sources,
                "settings": self.settings.model_dump(mode="json"),
                "data": self.corpus.fingerprint,
                "begun_with": self.begun_with,
                "before": self.before,
                "epoch": self.epoch + 1,
                "device": str(self.device),
                "torch": torch.__version__,
            },
            metrics=metrics,
        )
