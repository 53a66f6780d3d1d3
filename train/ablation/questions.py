"""What a study of long texts asks of each model: every answer is kept, so that two models are compared text by text.

Atlas worlds that nothing is trained on (their descriptions have 115 tokens in the middle), captions of one picture in a
row, and claims whose false word a reader of 77 tokens never sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lrsclip.atlas.seeds import GROUNDING_SEED
from lrsclip.metrics import hit_chances
from lrsclip.models.dual_encoder import DualEncoder
from lrsclip.models.tokenizer import Tokenizer
from lrsclip.tiles.atlas import AtlasTiles
from train.data.feature_cache import Prepared, prepare
from train.data.records import Record
from train.data.text_pairs import sentences_of
from train.evaluation.atlas import pairs_of
from train.evaluation.sets import NotHere, rsicd_captions, rsitmd_captions, ucm_captions
from train.settings import Settings
from train.validate import picture_vectors, text_vectors

CLIP_TOKENS, MOST_TOKENS = 77, 248
_ANY = (0, 10_000)
# tokens of the whole text, start and end mark included
BUCKETS = {"all": _ANY, "up to 77": (0, 77), "78 to 120": (78, 120), "over 120": (121, 10_000), "over 77": (78, 10_000)}
Answers = dict[str, np.ndarray]  # measure -> one value of 0 to 100 for each question


@dataclass(frozen=True)
class Gallery:
    """Pictures to be found, and the long text of each.

    Attributes:
        name: as it stands in the measures.
        records: the pictures.
        prepared: the image tower's input of `records`, in their order.
        sentences: of each picture's long text.
        captions: whether each caption alone is asked for as well, as a short text.
    """

    name: str
    records: list[Record]
    prepared: Prepared
    sentences: list[list[str]]
    captions: bool = False


@dataclass(frozen=True)
class Claims:
    """Tiles, and pairs of a true and a false description that differ behind token 77 alone."""

    records: list[Record]
    prepared: Prepared
    pairs: list[tuple[int, str, str]]  # number of the tile, true text, false text


@dataclass(frozen=True)
class Questions:
    """All that a model is asked."""

    galleries: tuple[Gallery, ...]
    claims: Claims | None = None


def world_records(source: AtlasTiles, count: int) -> list[Record]:
    """Draw what is missing of a world, and return its first tiles as pictures with their descriptions."""
    source.prepare()
    return [
        Record("atlas", source.kept_file(tile_id), "test", source.texts(tile_id).sentences)
        for tile_id in source.tile_ids()[:count]
    ]


def questions_of(
    data: Path,
    worlds: dict[str, tuple[int, ...]],
    tiles: int,
    model: DualEncoder,
    cache: Path,
    settings: Settings,
) -> Questions:
    """Collect what is measured: worlds of the atlas, and the caption sets that are there, all of them test splits.

    Args:
        data: the folder of the data sets.
        worlds: name of a part ("val", "test") -> its worlds; "val" is asked apart.
        tiles: of each world.
        model: prepares the pictures.
        cache: the folder of prepared pictures.
        settings: say what the image tower reads.

    Raises:
        DataError: a set that is there cannot be read.
        TileSourceError: the user's cache cannot be written.
    """
    galleries = []
    for part, seeds in worlds.items():
        for seed in seeds:
            records = world_records(AtlasTiles(seed, tiles), tiles)
            name = "atlas" if part == "test" else f"atlas {part}"
            galleries.append(
                Gallery(name, records, prepare(records, model, cache, settings), [list(r.captions) for r in records])
            )
    for name, read in (("rsicd", rsicd_captions), ("rsitmd", rsitmd_captions), ("ucm", ucm_captions)):
        try:
            records = list(read(data, "test").records)
        except NotHere:
            continue
        prepared = prepare(records, model, cache, settings)
        galleries.append(Gallery(name, records, prepared, [sentences_of(r) for r in records], captions=True))
    return Questions(tuple(galleries), _claims(tiles, model, cache, settings))


def _claims(tiles: int, model: DualEncoder, cache: Path, settings: Settings) -> Claims:
    source = AtlasTiles(GROUNDING_SEED, tiles)
    records, cut = world_records(source, tiles), Tokenizer(CLIP_TOKENS)
    pairs = [
        (pair.tile, pair.true, pair.false)
        for pair in pairs_of(source, tiles)
        if cut.describe(pair.true).kept == cut.describe(pair.false).kept
    ]
    return Claims(records, prepare(records, model, cache, settings), pairs)


@torch.inference_mode()
def answers_of(model: DualEncoder, questions: Questions, device: torch.device) -> Answers:
    """Ask a model everything.

    Args:
        model: reads as many tokens as it has positions.
        questions: the same for all models of a study.
        device: of the model.

    Returns:
        Measure, such as "atlas, over 77: R@1", to a value of 0 to 100 for each question, in the same order for every
        model. Worlds of one name stand one behind the other. R@1 is of texts that look for their picture; mR is the
        mean of both directions and of 1, 5 and 10.
    """
    model = model.to(device).eval()
    tokenizer, found = Tokenizer(model.text.context_length), dict[str, list[np.ndarray]]()
    for gallery in questions.galleries:
        image = picture_vectors(model, gallery.prepared, list(range(len(gallery.records))), device)
        for measure, values in _of_gallery(model, gallery, image, tokenizer, device).items():
            found.setdefault(measure, []).append(values)
    if questions.claims is not None and questions.claims.pairs:
        found["claims behind token 77"] = [_of_claims(model, questions.claims, tokenizer, device)]
    return {measure: np.concatenate(parts) for measure, parts in found.items()}


def _of_gallery(
    model: DualEncoder, gallery: Gallery, image: np.ndarray, tokenizer: Tokenizer, device: torch.device
) -> Answers:
    whole = [" ".join(sentences) for sentences in gallery.sentences]
    tokens = np.array([Tokenizer(MOST_TOKENS).count(text) for text in whole])
    out: Answers = {}

    def ask(texts: list[str], parts: dict[str, tuple[int, int]]) -> None:
        rows = [row for row, text in enumerate(texts) if text]
        if not rows:
            return
        vectors = text_vectors(model, [texts[row] for row in rows], tokenizer, device)
        own = np.arange(len(image))[None] == np.array(rows)[:, None]
        to_picture = hit_chances(vectors @ image.T, own)
        to_text = hit_chances(image[rows] @ vectors.T, np.eye(len(rows), dtype=np.bool_))
        both = np.stack([to_picture, to_text]).mean(axis=(0, 2))
        for part, (low, high) in parts.items():
            some = (tokens[rows] >= low) & (tokens[rows] <= high)
            if some.any():
                out[f"{gallery.name}, {part}: R@1"] = 100 * to_picture[some, 0]
                out[f"{gallery.name}, {part}: mR"] = 100 * both[some]

    ask(whole, BUCKETS)
    ask([" ".join(sentences[1:]) for sentences in gallery.sentences], {"beheaded": _ANY})
    ask([behind(text, CLIP_TOKENS) for text in whole], {"tail only": _ANY})
    if gallery.captions:
        out[f"{gallery.name}, short: mR"] = _short(model, gallery, image, tokenizer, device)
    return out


def behind(text: str, tokens: int) -> str:
    """Return what stands behind the first tokens of a text, "" where all of it is read."""
    return text[len(Tokenizer(tokens).describe(text).kept) :].strip()


def _short(
    model: DualEncoder, gallery: Gallery, image: np.ndarray, tokenizer: Tokenizer, device: torch.device
) -> np.ndarray:
    """Return the hits of each caption, then those of each picture, weighted so that their mean is mR (protocol raw)."""
    captions = [caption for record in gallery.records for caption in record.captions]
    owner = np.repeat(np.arange(len(image)), [len(record.captions) for record in gallery.records])
    vectors = text_vectors(model, captions, tokenizer, device)
    own = owner[:, None] == np.arange(len(image))[None]
    to_picture = hit_chances(vectors @ image.T, own).mean(axis=1)
    to_text = hit_chances(image @ vectors.T, own.T).mean(axis=1)
    count = len(captions) + len(image)
    weighted = np.concatenate([to_picture * count / (2 * len(captions)), to_text * count / (2 * len(image))])
    return 100 * weighted


def _of_claims(model: DualEncoder, claims: Claims, tokenizer: Tokenizer, device: torch.device) -> np.ndarray:
    image = picture_vectors(model, claims.prepared, list(range(len(claims.records))), device)
    tiles = [tile for tile, _, _ in claims.pairs]
    # as the model reads them: what is equal to it then has one vector, to the last bit
    true, false = (
        text_vectors(model, [tokenizer.describe(text).kept for text in texts], tokenizer, device)
        for texts in ([text for _, text, _ in claims.pairs], [text for _, _, text in claims.pairs])
    )
    margin = np.einsum("pd,pd->p", image[tiles], true - false)
    return 100 * ((margin > 0) + 0.5 * (margin == 0))
