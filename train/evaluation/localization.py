"""Localization: SeLo's four metrics on whole scenes, and CHOICE's boxes, masks and captions on small pictures."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from lrsclip.atlas.scenes import write_scenes
from lrsclip.atlas.seeds import DEFAULT_SEED
from lrsclip.errors import DataError
from lrsclip.io.decode import open_image
from lrsclip.io.user_cache import user_cache
from lrsclip.localize import Encoders, Method, WindowMemory, embed_scene, localize, mean_over_windows, open_scene
from lrsclip.localize.window_encoding import scales_of
from lrsclip.metrics.grounding import GroundingScores, best_iou, grounding_scores, pointing_hit
from lrsclip.metrics.selo import Mask, SeloScores, mean_scores, region_mask, selo_scores
from lrsclip.metrics.selo_map import SceneWindows, SeloProtocol, encode_scene, finished_map, min_max
from lrsclip.protocols import METHODS
from lrsclip.tiles.atlas import recipe
from train.data.faults import Faults
from train.data.public_sets import CHOICE_BOXES, CHOICE_CAPTIONS, CHOICE_MASKS
from train.evaluation.annotations import (
    ANNOTATIONS,
    CaptionChoice,
    Grounding,
    SceneQuery,
    read_boxes,
    read_caption_choices,
    read_masks,
    read_scene_queries,
)
from train.evaluation.result import Result
from train.evaluation.sets import PictureSet
from train.mosaics import COUNT, write_mosaics

Floats = npt.NDArray[np.floating]
MapMaker = Callable[[Encoders, Image.Image, str], Floats]

ATLAS_SCENES = 12
GRID_CELLS = 4  # as large as the engine's smallest windows: a quarter of the short side


def run_selo(
    bundle: Encoders,
    folder: Path,
    protocol: SeloProtocol,
    methods: Sequence[Method] = METHODS,
    name: str | None = None,
) -> list[Result]:
    """Measure semantic localization on a folder of the AIR-SLT layout: `imgs/` and `annotations/anno.json`.

    Every scene is encoded once for all its sentences. The protocol turns mean cosines into a map (gray levels, median,
    JPEG) for both methods; it also cuts the scene for `windows`, while `dense` has its own way.

    Args:
        bundle: the model.
        folder: the data set.
        protocol: protocol of the maps; figures compare with published ones under `standard` and `windows` only.
        methods: encoding methods of the scenes.
        name: name of the set in the results; the folder's name if not given.

    Returns:
        One row a method: Rsu, Ras, Rda and Rmi (0 to 1), each the mean over the queries; how often the highest mean
        cosine lies on a target, the targets' share of the scene (both per cent), and seconds a scene until the first
        answer; in detail Rmi by query number.

    Raises:
        DataError: broken annotations, a scene that is not there or is smaller than a window, or a polygon outside it.
        PictureError: a scene cannot be read.
    """
    queries = read_scenes(folder)
    texts = bundle.encode_text([query.caption for query in queries])
    return [_selo_row(bundle, queries, texts, protocol, method, name or folder.name) for method in methods]


def _selo_row(
    bundle: Encoders,
    queries: list[SceneQuery],
    texts: npt.NDArray[np.float32],
    protocol: SeloProtocol,
    method: Method,
    name: str,
) -> Result:
    started, encoding_s = time.monotonic(), 0.0
    scores: dict[int, SeloScores] = {}
    pointing: list[float] = []
    shares: list[float] = []
    scenes = list(dict.fromkeys(query.scene for query in queries))
    for scene in scenes:
        begun = time.monotonic()
        windows = _encoded(bundle, scene, protocol, method)
        encoding_s += time.monotonic() - begun
        own = [query for query in queries if query.scene == scene]
        for query in tqdm(own, desc=f"maps of {scene.name}", unit="map", leave=False):
            scores[query.number], point, share = _scored(windows, query, texts[query.number], protocol)
            pointing.append(point)
            shares.append(share)
    metrics = mean_scores(list(scores.values())).as_dict()
    metrics |= {"pointing": 100 * float(np.mean(pointing)), "target_share": 100 * float(np.mean(shares))}
    return Result(
        task="semantic-localization",
        data_set=name,
        protocol=f"{method}, {protocol.name}",
        pictures=len(scenes),
        texts=len(queries),
        metrics=metrics | {"seconds_a_scene": encoding_s / len(scenes)},
        seconds=time.monotonic() - started,
        detail={str(number): scores[number].rmi for number in sorted(scores)},
    )


def run_mosaics(bundle: Encoders, pictures: PictureSet, protocol: SeloProtocol, count: int = COUNT) -> list[Result]:
    """Measure `run_selo` on mosaics of real pictures (`train.mosaics`), composed for the run."""
    with TemporaryDirectory() as folder:
        write_mosaics(pictures, Path(folder), count)
        return run_selo(bundle, Path(folder), protocol, name=f"mosaics of {pictures.name}")


def run_atlas_scenes(bundle: Encoders, protocol: SeloProtocol, count: int = ATLAS_SCENES) -> list[Result]:
    """Measure `run_selo` on scenes of the atlas, drawn once and kept in the user's cache."""
    folder = user_cache() / f"scenes-{recipe()}-{DEFAULT_SEED}-{count}"
    if not (folder / ANNOTATIONS).is_file():
        with tqdm(total=count, desc="drawing scenes", unit="scene") as bar:
            write_scenes(folder, count, DEFAULT_SEED, lambda done, _total: bar.update(done - bar.n))
    return run_selo(bundle, folder, protocol, name=f"atlas scenes {DEFAULT_SEED}")


def read_scenes(folder: Path) -> list[SceneQuery]:
    """Read the queries of a folder of the AIR-SLT layout; a query whose scene is not there is a fault.

    Raises:
        DataError: broken annotations, or no scene is there.
    """
    faults, queries, there = Faults(), read_scene_queries(folder), []
    for query in queries:
        if query.scene.is_file():
            there.append(query)
        else:
            faults.add("picture missing", f"{query.scene} of query {query.number} is not there; put it there")
    faults.log_total(str(folder))
    if not there:
        raise DataError(
            f"semantic localization needs {queries[0].scene}, which is not there, and neither is any other scene; "
            "put the scenes there, or leave this task out"
        )
    return there


@dataclass(frozen=True)
class Choice:
    """CHOICE's items that a dual encoder can answer."""

    boxes: list[Grounding]
    masks: list[Grounding]
    captions: list[CaptionChoice]


def read_choice(folder: Path) -> Choice:
    """Read the annotations under `visual_grounding`, `referring_expression_segmentation` and `image_caption`.

    Raises:
        DataError: a folder, picture or mask is missing, or annotations are of another layout.
    """
    return Choice(
        read_boxes(folder / CHOICE_BOXES),
        read_masks(folder / CHOICE_MASKS),
        read_caption_choices(folder / CHOICE_CAPTIONS),
    )


def run_choice(bundle: Encoders, folder: Path, methods: Sequence[Method] = METHODS) -> list[Result]:
    """Measure CHOICE's three tasks that a dual encoder can answer.

    The phrase given to the model is the question's target ("the storage tank"). Maps are scaled to 0 to 1 per picture,
    so that one threshold can serve all.

    Args:
        bundle: the model.
        folder: see `read_choice`.
        methods: of `lrsclip.localize`.

    Returns:
        For boxes and for masks one row with the maps of each method and one with a plain grid of 4 x 4 tiles for
        comparison, in per cent (see `GroundingScores`), in detail every picture's own best IoU; and one row with
        the share of pictures whose own caption has the highest cosine of the four.

    Raises:
        DataError: a folder, picture or mask is missing, or annotations are of another layout.
        PictureError: a picture cannot be read.
    """
    memory = WindowMemory()  # of its own, so that a run holds on to nothing

    def engine(method: Method) -> MapMaker:
        return lambda model, picture, phrase: localize(model, picture, phrase, method=method, memory=memory).scores_cos

    choice = read_choice(folder)
    tasks = (("box-grounding", choice.boxes), ("mask-grounding", choice.masks))
    makers = (*((method, engine(method)) for method in methods), (f"grid {GRID_CELLS} x {GRID_CELLS}", grid_map))
    rows = [_grounded(bundle, task, folder, name, maker, items) for task, items in tasks for name, maker in makers]
    return [*rows, _captions_chosen(bundle, folder.name, choice.captions)]


def grid_map(bundle: Encoders, picture: Image.Image, phrase: str) -> Floats:
    """Compute the simplest map, (H, W): a plain grid of tiles, each with its own cosine."""
    columns = np.linspace(0, picture.width, GRID_CELLS + 1).astype(np.int64)
    rows = np.linspace(0, picture.height, GRID_CELLS + 1).astype(np.int64)
    boxes_px = np.array([(x0, y0, x1, y1) for y0, y1 in _pairs(rows) for x0, x1 in _pairs(columns)], dtype=np.int64)
    tiles = [picture.crop((x0, y0, x1, y1)) for x0, y0, x1, y1 in boxes_px.tolist()]
    scores_cos = bundle.encode_image(tiles) @ bundle.encode_text([phrase])[0]
    return mean_over_windows(boxes_px, scores_cos, *picture.size).per_pixel()


def _pairs(edges_px: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    return list(zip(edges_px[:-1].tolist(), edges_px[1:].tolist(), strict=True))


def _encoded(bundle: Encoders, path: Path, protocol: SeloProtocol, method: Method) -> SceneWindows:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a scene of 10,000 px a side is meant to be
        scene = open_image(path)
    if method == "dense":
        scales_px = scales_of(method, *scene.size, None)
        embedded = embed_scene(bundle, open_scene(scene), method, scales_px, memory=WindowMemory(0))
        return SceneWindows(embedded.boxes_px, embedded.vectors, *scene.size)
    if min(scene.size) < max(protocol.window_px):
        raise DataError(
            f"{path} is {scene.width} x {scene.height} px, smaller than the protocol's windows of "
            f"{max(protocol.window_px)} px; leave its queries out"
        )
    with tqdm(desc=f"windows of {path.name}", unit="window", leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return encode_scene(bundle, scene, protocol, show)


def _scored(
    windows: SceneWindows, query: SceneQuery, text: npt.NDArray[np.float32], protocol: SeloProtocol
) -> tuple[SeloScores, float, float]:
    """Score one map: SeLo's scores, whether its highest point is on a target, the targets' share of the scene."""
    size_px = windows.width_px, windows.height_px
    try:
        cells = mean_over_windows(windows.boxes_px, windows.vectors @ text, *size_px)
        scores = selo_scores(finished_map(cells, protocol), query.polygons)
        target = region_mask(query.polygons, *size_px)
    except DataError as error:
        raise DataError(f"query {query.number} on {query.scene.name}: {error}") from error
    return scores, pointing_hit(cells.per_pixel(), target), float(target.mean())


def _grounded(bundle: Encoders, task: str, folder: Path, name: str, maker: MapMaker, items: list[Grounding]) -> Result:
    started = time.monotonic()
    pairs: list[tuple[Floats, Mask]] = []
    for item in tqdm(items, desc=f"{task}, {name}", unit="picture", leave=False):
        picture = open_image(item.picture)
        pairs.append((min_max(maker(bundle, picture, item.phrase)), item.target(*picture.size)))
    scores: GroundingScores = grounding_scores(pairs)
    return Result(
        task=task,
        data_set=folder.name,
        protocol=name,
        pictures=len(items),
        texts=len(items),
        metrics=scores.as_dict(),
        seconds=time.monotonic() - started,
        detail={str(number): 100 * best_iou(*pair)[0] for number, pair in enumerate(pairs)},
    )


def _captions_chosen(bundle: Encoders, data_set: str, items: list[CaptionChoice]) -> Result:
    started = time.monotonic()
    images = bundle.encode_image([open_image(item.picture) for item in items])
    hits, chance = [], []
    for item, image in zip(items, images, strict=True):
        right = np.arange(len(item.captions)) == item.right
        hits.append(pointing_hit(bundle.encode_text(list(item.captions)) @ image, right))
        chance.append(float(right.mean()))
    return Result(
        task="caption-choice",
        data_set=data_set,
        protocol="highest cosine",
        pictures=len(items),
        texts=sum(len(item.captions) for item in items),
        metrics={"accuracy": 100 * float(np.mean(hits)), "chance": 100 * float(np.mean(chance))},
        seconds=time.monotonic() - started,
        detail={str(number): 100 * hit for number, hit in enumerate(hits)},
    )
