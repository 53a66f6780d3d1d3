"""Small data sets of the public layouts, made from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from lrsclip.models.config import ImageConfig, ModelConfig, PreprocessConfig, TextConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.image_tower import ResNetV2Trunk
from train.data.feature_cache import Prepared
from train.data.records import Record
from train.trainer import Corpus

COLORS = {"forest": (30, 90, 40), "desert": (200, 180, 120), "harbour": (40, 70, 130), "airport": (130, 130, 130)}


def write_picture(path: Path, color: tuple[int, int, int], seed: int, px: int = 64) -> None:
    """A noisy picture of one color."""
    noise = np.random.default_rng(seed).integers(-25, 25, (px, px, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)).save(path)


def make_rsicd(data: Path, per_class: int = 10, more: str = "") -> None:
    """A folder of the RSICD layout: pictures of four kinds, two sentences each, with the three splits.

    Args:
        data: folder that it is put into.
        per_class: pictures of a kind.
        more: end of the second sentence.
    """
    rows = []
    for kind, color in COLORS.items():
        for number in range(per_class):
            name = f"{kind}_{number}.jpg"
            write_picture(data / "RSICD/RSICD_images" / name, color, number)
            split = "val" if number == 0 else "test" if number == 1 else "train"
            raws = [
                f"A piece of {kind} number {number} .",
                f"There is a {kind} in the picture{more}",
                f"a piece of {kind} number {number}",
            ]
            rows.append({"filename": name, "split": split, "sentences": [{"raw": raw} for raw in raws]})
    (data / "RSICD/dataset_rsicd.json").write_text(json.dumps({"dataset": "rsicd", "images": rows}))


def make_ucm(data: Path, per_class: int = 3) -> None:
    """A folder of the UCM-Captions layout: class folders, one sentence for a class and one for a picture."""
    rows = []
    for kind, color in COLORS.items():
        for number in range(per_class):
            name = f"{kind}/{kind}{number:02d}.jpg"
            write_picture(data / "UCMerced_LandUse/Images" / name, color, 200 + number)
            raws = [f"This is a {kind} .", f"This is a {kind} .", f"Here lies {kind} {number} ."]
            split = "test" if number else "train"
            rows.append({"filename": name, "split": split, "sentences": [{"raw": raw} for raw in raws]})
    (data / "UCMerced_LandUse/dataset_UCM.json").write_text(json.dumps({"images": rows}))


def make_rsitmd(data: Path) -> None:
    """RSITMD in its public layout: two TIFF pictures, one of them for testing, five sentences each."""
    rows = []
    for number, (kind, split) in enumerate((("forest", "train"), ("desert", "test"))):
        write_picture(data / f"RSITMD/images/{kind}_{number}.tif", COLORS[kind], 300 + number)
        raws = [f"{kind} seen {n} times" for n in range(5)]
        rows.append({"filename": f"{kind}_{number}.tif", "split": split, "sentences": [{"raw": raw} for raw in raws]})
    (data / "RSITMD/dataset_RSITMD.json").write_text(json.dumps({"images": rows}))


def make_class_folders(root: Path, per_class: int = 4) -> None:
    """Class folders."""
    for kind, color in COLORS.items():
        for number in range(per_class):
            write_picture(root / kind.title() / f"{kind.title()}_{number}.jpg", color, 100 + number)


def write_trunk(path: Path) -> None:
    """Trunk weights of the published key layout, random."""
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v for k, v in ResNetV2Trunk().state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(tensors, path)


def small_model(seed: int = 0, dropout: float = 0.0, pixels: bool = False) -> DualEncoder:
    """A model that is fast to train, on pictures of 32 px: with a trunk and a grid of 2 x 2, or on pixels alone."""
    image = (
        ImageConfig(kind="vit", image_px=32, width=32, layers=1, heads=2)
        if pixels
        else ImageConfig(kind="resnetv2", image_px=32, width=32, layers=1, heads=2, grid=2, dropout=dropout)
    )
    text = TextConfig(context_length=77, width=32, layers=1, heads=2, embed_rank=4)
    preprocess = PreprocessConfig(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    return seeded_model(ModelConfig(embed_dim=16, image=image, text=text, preprocess=preprocess), seed)


def made_up_corpus(pictures: int, pixels: bool = False) -> Corpus:
    """Records with three sentences each and random prepared pictures, for training without a file on disk."""
    kinds = list(COLORS)
    train = [
        Record(
            "rsicd",
            Path(f"{kinds[n % 4]}_{n}.jpg"),
            "train",
            (
                f"A piece of {kinds[n % 4]} number {n} .",
                f"The {kinds[n % 4]} lies here",
                f"Seen {n} times from above .",
            ),
        )
        for n in range(pictures)
    ]
    random = np.random.default_rng(0)
    prepared = (
        Prepared(random.integers(0, 256, (pictures, 3, 32, 32), dtype=np.uint8), is_features=False)
        if pixels
        else Prepared(random.standard_normal((pictures, 4, 1024)).astype(np.float16), is_features=True)
    )
    return Corpus(train, [], prepared, {record.key: row for row, record in enumerate(train)})
