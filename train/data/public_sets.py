"""The public data sets as they lie in a data folder: where, in which layout, and what they are used for.

The one table of them. Training, evaluation, calibration and the data engine all read it; a set that is not in it can be
read with a settings file (see `sources/README.md`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lrsclip.errors import DataError
from train.data.names import class_words
from train.data.sources.base import Source
from train.data.sources.captions import CaptionSource
from train.data.sources.folders import FolderSource

log = logging.getLogger(__name__)
RSICD_FOLDER, RSITMD_FOLDER, CHOICE_FOLDER, AIR_SLT_FOLDER = "RSICD", "RSITMD", "CHOICE", "AIR-SLT"
CHOICE_BOXES, CHOICE_MASKS, CHOICE_CAPTIONS = "visual_grounding", "referring_expression_segmentation", "image_caption"
_RSICD_JSON, _RSICD_PICTURES = f"{RSICD_FOLDER}/dataset_rsicd.json", f"{RSICD_FOLDER}/RSICD_images"
_RSITMD_EXTRA = f"{RSITMD_FOLDER}/rsitmd_captions_on_rsicd_files.json"
_UCM, _RESISC = "UCMerced_LandUse", "NWPU-RESISC45-subset"
_WEB_MAPS = "web-map imagery, research use"


@dataclass(frozen=True)
class PublicSet:
    """One data set. All paths are below the data folder.

    Attributes:
        name: of its source; the first part of its records' keys.
        there_if: the folders and files that tell that the set is there.
        license: of its pictures.
        about: what a model card says of it.
        use: `train`: trained on but for its test pictures, and read by the data engine; `measure`: read by the
            evaluation alone, since its pictures stand in another set; `held out`: never trained on, and the data engine
            takes what looks like it out of training.
        pictures: the folder of pictures, or of class folders.
        captions: caption JSON with the official split; None: class folders, and a hash of a picture's name gives the
            split, or all pictures are `test` where the set is held out.
        extra_captions: JSON of more captions for the same pictures, in the splits of those.
        own_captions: whether the sentences of `captions` count.
        scene: where a picture's class stands: in its folder's name, in the start of its own, or nowhere.
        words: the entry of `class_names.json` with its classes; None: a class reads as its folder's name in words.
        all_classes: `words` has them all, and any other is a fault.
        train_on_val: the validation pictures are trained on, since nothing is measured on them.
        without: caption JSON whose pictures another set gives, so that they are left out here.
        gsd_m: ground size of a pixel in meters, where one number holds for all.
    """

    name: str
    there_if: tuple[str, ...]
    license: str
    about: str
    use: Literal["train", "measure", "held out"]
    pictures: str
    captions: str | None = None
    extra_captions: str | None = None
    own_captions: bool = True
    scene: Literal["none", "folder", "prefix"] = "folder"
    words: str | None = None
    all_classes: bool = False
    train_on_val: bool = False
    without: str | None = None
    gsd_m: float | None = None

    def missing_in(self, data: Path) -> Path | None:
        """Return what a data folder lacks of it, or None where it is there."""
        return next((data / part for part in self.there_if if not (data / part).exists()), None)

    def source(self, data: Path, *, alone: bool = False) -> Source:
        """Return what reads it.

        Args:
            data: the data folder.
            alone: read it as its authors gave it: with the captions of its own JSON alone, with the pictures that
                another set gives as well, and not all put into `test` where it is held out.
        """
        held_out = self.use == "held out"
        words = class_words(self.words) if self.words else {}
        if self.captions is None:
            if self.scene == "prefix":
                raise ValueError(f"{self.name} has class folders, so that no name has a class in front")
            return FolderSource(
                name=self.name,
                license=self.license,
                gsd_m=self.gsd_m,
                split="test" if held_out and not alone else None,
                held_out=held_out,
                classes=words,
                strict_classes=self.all_classes,
                root=data / self.pictures,
                scene=self.scene,
                without=None if alone else _if_there(data, self.without),
            )
        return CaptionSource(
            name=self.name,
            license=self.license,
            gsd_m=self.gsd_m,
            held_out=held_out,
            classes=words,
            strict_classes=self.all_classes,
            annotations=data / self.captions,
            pictures=data / self.pictures,
            extra_captions=None if alone and self.own_captions else _if_there(data, self.extra_captions),
            own_captions=self.own_captions,
            scene=self.scene,
            train_on_val=self.train_on_val,
        )


def _if_there(data: Path, file: str | None) -> Path | None:
    return data / file if file and (data / file).is_file() else None


_ALL = (
    PublicSet(
        name="rsicd",
        there_if=(RSICD_FOLDER,),
        license=_WEB_MAPS,
        about="RSICD, with RSITMD's captions of the same pictures (web-map imagery, research use)",
        use="train",
        pictures=_RSICD_PICTURES,
        captions=_RSICD_JSON,
        extra_captions=_RSITMD_EXTRA,
        scene="prefix",
        words="rsicd30",
        all_classes=True,
    ),
    PublicSet(
        name="ucm",
        there_if=(_UCM,),
        license="USGS, public domain",
        about="UC Merced Land Use with UCM-Captions (USGS, public domain)",
        use="train",
        pictures=f"{_UCM}/Images",
        captions=f"{_UCM}/dataset_UCM.json",
        words="ucm",
    ),
    PublicSet(
        name="nwpu",
        there_if=(f"{_RESISC}/dataset_nwpu.json",),
        license="research use",
        about="NWPU-Captions of the same classes (research use)",
        use="train",
        pictures=_RESISC,
        captions=f"{_RESISC}/dataset_nwpu.json",
        train_on_val=True,
    ),
    PublicSet(
        name="resisc45",
        there_if=(_RESISC,),
        license="research use",
        about="NWPU-RESISC45, 12 classes, class names only (research use)",
        use="train",
        pictures=_RESISC,
        without=f"{_RESISC}/dataset_nwpu.json",
    ),
    PublicSet(
        name="eurosat",
        there_if=("EuroSAT_RGB",),
        license="MIT",
        about="EuroSAT RGB, class names only (Sentinel-2, MIT)",
        use="train",
        pictures="EuroSAT_RGB",
        words="eurosat",
        gsd_m=10,
    ),
    PublicSet(
        name="rsitmd",
        there_if=(f"{RSITMD_FOLDER}/dataset_RSITMD.json", f"{RSITMD_FOLDER}/images"),
        license=_WEB_MAPS,
        about="RSITMD, its own pictures and captions (web-map imagery, research use)",
        use="measure",
        pictures=f"{RSITMD_FOLDER}/images",
        captions=f"{RSITMD_FOLDER}/dataset_RSITMD.json",
        scene="none",
    ),
    PublicSet(
        name="rsitmd-on-rsicd",
        there_if=(_RSITMD_EXTRA, RSICD_FOLDER),
        license=_WEB_MAPS,
        about="RSITMD's captions of RSICD's pictures (web-map imagery, research use)",
        use="measure",
        pictures=_RSICD_PICTURES,
        captions=_RSICD_JSON,
        extra_captions=_RSITMD_EXTRA,
        own_captions=False,
        scene="none",
    ),
    PublicSet(
        name="rsscn7",
        there_if=("RSSCN7",),
        license="research use",
        about="RSSCN7, class names only (research use)",
        use="held out",
        pictures="RSSCN7",
        words="rsscn7",
    ),
    *(
        PublicSet(
            name=f"choice-{part.replace('_', '-')}",
            there_if=(f"{CHOICE_FOLDER}/{part}/images",),
            license="MIT",
            about=f"CHOICE, pictures of {part.replace('_', ' ')} (MIT)",
            use="held out",
            pictures=f"{CHOICE_FOLDER}/{part}/images",
            scene="none",
        )
        for part in (CHOICE_CAPTIONS, CHOICE_MASKS, CHOICE_BOXES)
    ),
)
PUBLIC_SETS = {one.name: one for one in _ALL}
"""By name, those to train on first; records of training come in this order."""


def known_sources(data: Path) -> tuple[Source, ...]:
    """Return the sources of a data folder: those to learn from, then those held out.

    Raises:
        DataError: the folder is missing or holds nothing to learn from.
    """
    if not data.is_dir():
        raise DataError(f"{data} is not a folder; name the one that holds {RSICD_FOLDER}/, {_UCM}/, ...")
    sources = tuple(one.source(data) for one in _ALL if one.use != "measure" and not one.missing_in(data))
    if all(source.held_out for source in sources):
        wanted = dict.fromkeys(Path(one.pictures).parts[0] for one in _ALL if one.use == "train")
        raise DataError(f"{data} holds none of {', '.join(wanted)}; fetch one")
    log.info("sources of %s: %s", data, ", ".join(source.name for source in sources))
    return sources
