"""Small data sets of the public layouts, made from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from lrsclip.vision import ResNetV2Trunk

COLOURS = {"forest": (30, 90, 40), "desert": (200, 180, 120), "harbour": (40, 70, 130), "airport": (130, 130, 130)}


def write_picture(path: Path, colour: tuple[int, int, int], seed: int, px: int = 64) -> None:
    """A noisy picture of one colour."""
    noise = np.random.default_rng(seed).integers(-25, 25, (px, px, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


def make_rsicd(data: Path, per_class: int = 10) -> None:
    """A folder of the RSICD layout: pictures of four kinds, two sentences each, with the three splits."""
    rows = []
    for kind, colour in COLOURS.items():
        for number in range(per_class):
            name = f"{kind}_{number}.jpg"
            write_picture(data / "RSICD/RSICD_images" / name, colour, number)
            split = "val" if number == 0 else "test" if number == 1 else "train"
            raws = [
                f"A piece of {kind} number {number} .",
                f"There is a {kind} in the picture",
                f"a piece of {kind} number {number}",
            ]
            rows.append({"filename": name, "split": split, "sentences": [{"raw": raw} for raw in raws]})
    (data / "RSICD/dataset_rsicd.json").write_text(json.dumps({"dataset": "rsicd", "images": rows}))


def make_class_folders(root: Path, per_class: int = 4) -> None:
    """Class folders."""
    for kind, colour in COLOURS.items():
        for number in range(per_class):
            write_picture(root / kind.title() / f"{kind.title()}_{number}.jpg", colour, 100 + number)


def write_trunk(path: Path) -> None:
    """Trunk weights of the published key layout, random."""
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v for k, v in ResNetV2Trunk().state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file(tensors, path)
