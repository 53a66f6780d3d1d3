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


def make_ucm(data: Path, per_class: int = 3) -> None:
    """A folder of the UCM-Captions layout: class folders, one sentence for a class and one for a picture."""
    rows = []
    for kind, colour in COLOURS.items():
        for number in range(per_class):
            name = f"{kind}/{kind}{number:02d}.jpg"
            write_picture(data / "UCMerced_LandUse/Images" / name, colour, 200 + number)
            raws = [f"This is a {kind} .", f"This is a {kind} .", f"Here lies {kind} {number} ."]
            split = "test" if number else "train"
            rows.append({"filename": name, "split": split, "sentences": [{"raw": raw} for raw in raws]})
    (data / "UCMerced_LandUse/dataset_UCM.json").write_text(json.dumps({"images": rows}))


def make_rsitmd(data: Path) -> None:
    """RSITMD in its public layout: two TIFF pictures, one of them for testing, five sentences each."""
    rows = []
    for number, (kind, split) in enumerate((("forest", "train"), ("desert", "test"))):
        write_picture(data / f"RSITMD/images/{kind}_{number}.tif", COLOURS[kind], 300 + number)
        raws = [f"{kind} seen {n} times" for n in range(5)]
        rows.append({"filename": f"{kind}_{number}.tif", "split": split, "sentences": [{"raw": raw} for raw in raws]})
    (data / "RSITMD/dataset_RSITMD.json").write_text(json.dumps({"images": rows}))


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
