"""The measured tasks on small sets, by encoders that see colors and words: figures can be worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrsclip.errors import DataError, PictureError
from tests.helpers.corpora import COLORS, make_class_folders, make_rsicd, make_rsitmd, make_ucm, write_picture
from train.data.corpus import read_corpus
from train.data.records import Record
from train.evaluation import sets
from train.evaluation.atlas import GROUNDING
from train.evaluation.classification import classification
from train.evaluation.plan import LOCALIZATION, SETS, TASKS, Wishes, plan
from train.evaluation.result import Result
from train.evaluation.retrieval import beheaded, long_retrieval, short_retrieval, shuffled
from train.evaluation.sets import PictureSet, class_folders
from train.evaluation.synonyms import SYNONYMS
from train.evaluation.tables import tables
from train.evaluation.vectors import PictureVectors

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
KINDS = tuple(COLORS)  # forest, desert, harbour, airport


class ColorsAndWords:
    """Encoders with one axis a kind: a picture is its color's kind, a text the kinds that it names."""

    logit_scale = 1.0

    def __init__(self) -> None:
        self.pictures = 0
        self.texts: list[str] = []

    def encode_image(self, pictures: list[Image.Image]) -> np.ndarray:
        self.pictures += len(pictures)
        means = np.array([np.asarray(p, dtype=np.float64).mean(axis=(0, 1)) for p in pictures])
        far = np.linalg.norm(means[:, None] - np.array(list(COLORS.values()))[None], axis=2)
        if far.min(axis=1).max() > 40:
            raise PictureError("picture 0 has an odd colour")
        return np.eye(4, dtype=np.float32)[far.argmin(axis=1)]

    def encode_text(self, texts: list[str], *, normalize: bool = True) -> np.ndarray:
        self.texts += texts
        return np.array([[float(kind in text.lower()) for kind in KINDS] for text in texts], np.float32)


def pictures_of(folder: Path, *described: tuple[str, tuple[str, ...]]) -> PictureSet:
    """A set of pictures, each of a kind and with captions."""
    records = []
    for number, (kind, captions) in enumerate(described):
        path = folder / f"{kind}_{number}.png"
        write_picture(path, COLORS[kind], number)
        records.append(Record("x", path, "test", captions, kind))
    return PictureSet("x test", tuple(records))


def measure(task: Callable[..., list[Result]], given: PictureSet) -> dict[str, Result]:
    """Results by protocol."""
    bundle = ColorsAndWords()
    return {r.protocol: r for r in task(bundle, PictureVectors(bundle), given)}


def test_shared_captions_are_wrong_apart_and_right_merged(tmp_path: Path) -> None:
    given = pictures_of(
        tmp_path, ("forest", ("a forest", "a forest")), ("forest", ("a forest",)), ("desert", ("sand",))
    )
    rows = measure(short_retrieval, given)
    raw, merged = rows["raw"], rows["merged"]
    assert (raw.pictures, raw.texts, merged.pictures, merged.texts) == (3, 4, 3, 2)
    # raw: of the three texts "a forest" two are the first picture's, one the second's; "sand" says nothing of a kind
    # and ties with all: 1 of 4 texts for the desert (no text is above it), 1 of 3 pictures for "sand"
    assert raw.metrics["i2t_r1"] == pytest.approx(100 * (2 / 3 + 1 / 3 + 1 / 4) / 3)
    assert raw.metrics["t2i_r1"] == pytest.approx(100 * (3 * (1 / 2) + 1 / 3) / 4)
    # merged: either forest is right for the one text; the desert's two texts tie
    assert merged.metrics["i2t_r1"] == pytest.approx(100 * (1 + 1 + 1 / 2) / 3)
    assert merged.metrics["t2i_r1"] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert merged.metrics["t2i_mean"] == pytest.approx((merged.metrics["t2i_r1"] + 100 + 100) / 3)
    assert merged.metrics["mR"] == pytest.approx((merged.metrics["i2t_mean"] + merged.metrics["t2i_mean"]) / 2)


def test_only_merged_captions_are_prefixed_and_each_text_is_encoded_once(tmp_path: Path) -> None:
    bundle = ColorsAndWords()
    given = pictures_of(tmp_path, ("forest", ("a forest", "trees")), ("desert", ("trees",)))
    short_retrieval(bundle, PictureVectors(bundle), given)
    assert bundle.texts == ["a forest", "trees", "a satellite image. a forest", "a satellite image. trees"]


def test_a_paragraph_is_damaged_only_where_it_has_two_sentences() -> None:
    captions = [("One .", "two .", "One"), ("Alone .",), ("a", "b", "c", "d")]
    records = [Record("x", Path("x"), "test", given) for given in captions]
    assert beheaded(records) == ["Two.", "Alone.", "B. C. D."]
    mixed = shuffled(records)
    assert mixed == shuffled(records)
    assert mixed[1] == "Alone."
    assert [sorted(text.split()) for text in mixed] == [["One.", "Two."], ["Alone."], ["A.", "B.", "C.", "D."]]
    assert len({shuffled(records, seed)[2] for seed in range(200)}) == 24  # every order turns up


def test_the_first_sentence_carries_it_all(tmp_path: Path) -> None:
    """Without the sentence that names the kind all paragraphs but one read alike: chance is left."""
    given = pictures_of(
        tmp_path,
        *((kind, (f"There is a {kind} .", "It was seen from above .")) for kind in KINDS[:3]),
        ("airport", ("An airport .",)),
    )
    rows = measure(long_retrieval, given)
    whole, headless = rows["composed paragraph"], rows["composed paragraph, first sentence removed"]
    assert whole.metrics["mR"] == 100
    assert headless.detail == {"changed": 3}
    # three texts that say nothing tie over all four pictures; the fourth still finds its own
    assert headless.metrics["t2i_r1"] == pytest.approx(100 * (3 / 4 + 1) / 4)
    assert headless.metrics["i2t_r1"] == pytest.approx(100 * (3 / 4 + 1) / 4)
    mixed = rows["composed paragraph, sentences shuffled"]
    assert mixed.metrics["mR"] == 100
    assert mixed.detail["changed"] <= 3


def test_rows_by_length_ask_with_some_and_search_in_all(tmp_path: Path) -> None:
    def caption(kind: str, tokens: int) -> str:  # a word a token, and the full stop
        return " ".join([kind, *["a"] * (tokens - 2)])

    given = pictures_of(
        tmp_path,
        ("forest", (caption("forest", 19),)),
        ("desert", (caption("desert", 20),)),
        ("harbour", (caption("airport", 40),)),  # wrong on purpose
        ("airport", (caption("airport", 41),)),
    )
    rows = measure(long_retrieval, given)
    sizes = {"under 20 tokens": 1.0, "20 to 40 tokens": 2.0, "over 40 tokens": 1.0}
    assert rows["composed paragraph"].detail == sizes
    middle = rows["composed paragraph, 20 to 40 tokens"]
    assert (middle.pictures, middle.texts, middle.detail) == (2, 2, {"candidates": 4})
    assert middle.metrics["t2i_r1"] == 50  # the wrong text finds the airport of another row, not its own picture
    assert middle.metrics["i2t_r1"] == pytest.approx(100 * (1 + 1 / 4) / 2)  # nothing speaks of a harbour: all four tie
    assert rows["composed paragraph, over 40 tokens"].metrics["i2t_r1"] == 50  # two texts name the airport
    assert rows["composed paragraph, under 20 tokens"].metrics["mR"] == 100


def test_a_length_that_no_paragraph_has_gets_no_row(tmp_path: Path) -> None:
    rows = measure(long_retrieval, pictures_of(tmp_path, ("forest", ("a forest",)), ("desert", ("a desert",))))
    assert [protocol for protocol in rows if "tokens" in protocol] == ["composed paragraph, under 20 tokens"]
    assert rows["composed paragraph"].detail["over 40 tokens"] == 0


def test_accuracy_by_class(tmp_path: Path) -> None:
    make_class_folders(tmp_path / "scenes")
    write_picture(tmp_path / "scenes/Forest/wrong.png", COLORS["desert"], 0)
    given = class_folders(tmp_path / "scenes")
    assert given.name == "scenes, all pictures"
    rows = measure(classification, given)
    assert list(rows) == ["rs5m templates, 4 classes", "skyscript templates, 4 classes"]
    for row, templates in zip(rows.values(), (105, 2), strict=True):
        assert (row.pictures, row.texts) == (17, 4 * templates)
        assert row.detail == {"airport": 100, "desert": 100, "forest": 80, "harbour": 100}
        assert row.metrics == {"top1": pytest.approx(100 * 16 / 17), "class_mean": 95}


def test_top_5_comes_with_more_than_five_classes(tmp_path: Path) -> None:
    make_class_folders(tmp_path, per_class=1)
    for name, kind in {"ForestEdge": "forest", "harbourBasin": "harbour"}.items():  # each ties with the bare kind
        write_picture(tmp_path / name / "one.png", COLORS[kind], 1)
    row = measure(classification, class_folders(tmp_path))["skyscript templates, 6 classes"]
    assert row.metrics["top5"] == 100
    assert row.metrics["top1"] == pytest.approx(100 * (4 * 0.5 + 2) / 6)
    assert row.detail["forest edge"] == row.detail["forest"] == 50


def test_each_picture_is_encoded_once_in_a_run(tmp_path: Path) -> None:
    make_rsicd(tmp_path)
    bundle = ColorsAndWords()
    vectors = PictureVectors(bundle)
    for task in (short_retrieval, long_retrieval):
        task(bundle, vectors, sets.rsicd_captions(tmp_path, "test"))
    assert bundle.pictures == 4
    classification(bundle, vectors, sets.rsicd_classes(tmp_path, "test"))
    assert bundle.pictures == 4
    classification(bundle, vectors, sets.rsicd_classes(tmp_path, "val"))
    assert bundle.pictures == 7  # "harbour" is none of the 30 classes


def test_a_picture_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    given = pictures_of(tmp_path, ("forest", ("a",)), ("desert", ("b",)))
    write_picture(given.records[1].path, (255, 0, 255), 0)
    with pytest.raises(DataError, match=r"desert_1\.png cannot be encoded: .*odd colour"):
        measure(short_retrieval, given)
    given.records[0].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"forest_0\.png"):
        measure(short_retrieval, given)


def test_captions_of_rsitmd_on_rsicd_keep_rsicd_s_split(tmp_path: Path) -> None:
    make_rsicd(tmp_path)
    (tmp_path / "RSITMD").mkdir()
    extra = {"forest_1.jpg": ["Dense crowns ."], "desert_1.jpg": ["Dunes ."], "forest_2.jpg": ["trained on"]}
    (tmp_path / "RSITMD/rsitmd_captions_on_rsicd_files.json").write_text(json.dumps(extra))
    given = sets.rsitmd_captions(tmp_path, "test")
    assert given.name == "rsitmd-on-rsicd test"
    assert {r.path.name: r.captions for r in given.records} == {
        "forest_1.jpg": ("Dense crowns .",),
        "desert_1.jpg": ("Dunes .",),
    }


def test_whole_rsitmd_goes_first(tmp_path: Path) -> None:
    make_rsitmd(tmp_path)
    given = sets.rsitmd_captions(tmp_path, "test")
    assert given.name == "rsitmd test"
    assert [(r.path.name, len(r.captions)) for r in given.records] == [("desert_1.tif", 5)]
    assert measure(short_retrieval, given)["raw"].texts == 5


def test_a_picture_that_no_caption_describes_is_left_out(tmp_path: Path) -> None:
    make_rsicd(tmp_path)
    annotations = tmp_path / "RSICD/dataset_rsicd.json"
    rows = json.loads(annotations.read_text())["images"]
    for row in rows:
        if row["filename"] == "forest_1.jpg":
            row["sentences"] = [{"raw": " ."}, {"raw": ""}]
    annotations.write_text(json.dumps({"images": rows}))
    given = sets.rsicd_captions(tmp_path, "test")
    assert "forest_1.jpg" not in [r.path.name for r in given.records]
    assert len(measure(long_retrieval, given)) >= 3


def test_classes_and_their_splits(tmp_path: Path) -> None:
    make_ucm(tmp_path)
    write_picture(tmp_path / "UCMerced_LandUse/Images/forest/forest99.jpg", COLORS["forest"], 1)  # in no split
    given = sets.ucm_classes(tmp_path, "test")
    assert given.classes == tuple(sorted(KINDS))
    assert len(given.records) == 8
    make_class_folders(tmp_path / "NWPU-RESISC45-subset", per_class=12)
    rows = [
        {"filename": f"Forest/Forest_{n}.jpg", "split": split, "sentences": [{"raw": "trees"}]}
        for n, split in enumerate(("val", "test"))
    ]
    (tmp_path / "NWPU-RESISC45-subset/dataset_nwpu.json").write_text(json.dumps({"images": rows}))
    parts = {s: {r.path.name for r in sets.resisc45_classes(tmp_path, s).records} for s in ("train", "val", "test")}
    assert sum(map(len, parts.values())) == 48
    assert "Forest_0.jpg" in parts["train"] and "Forest_1.jpg" in parts["test"]
    trained = {r.path.name for r in read_corpus(tmp_path) if r.split == "train" and r.source in ("nwpu", "resisc45")}
    assert trained == parts["train"] and not trained & (parts["val"] | parts["test"])
    make_class_folders(tmp_path / "RSSCN7", per_class=2)
    assert len(sets.rsscn7_classes(tmp_path, "val").records) == 8  # never trained on: all, whatever the split


def test_class_folders_that_make_no_sense(tmp_path: Path) -> None:
    write_picture(tmp_path / "scenes/SeaLake/one.png", COLORS["forest"], 0)
    with pytest.raises(DataError, match="holds one class, 'sea lake'"):
        class_folders(tmp_path / "scenes")
    write_picture(tmp_path / "scenes/sea_lake/one.png", COLORS["forest"], 0)
    with pytest.raises(DataError, match="SeaLake and sea_lake both read 'sea lake'"):
        class_folders(tmp_path / "scenes")
    (tmp_path / "bare/Forest").mkdir(parents=True)
    with pytest.raises(DataError, match="the source bare gives no record"):
        class_folders(tmp_path / "bare")
    with pytest.raises(DataError, match="nosuch is not a folder"):
        class_folders(tmp_path / "nosuch")


def test_the_plan_takes_what_is_there_and_says_what_is_not(tmp_path: Path) -> None:
    make_rsicd(tmp_path)
    made = plan(Wishes(tmp_path))
    assert [job.task for job in made.jobs] == [*TASKS[:5], LOCALIZATION, SYNONYMS, GROUNDING]
    assert {line.split(":")[0] for line in made.skipped} == {*SETS} - {"rsicd", "rsicd30", "atlas-scenes"}
    assert len(made.skipped) == len(set(made.skipped)) == len(SETS) - 3
    with pytest.raises(DataError, match="UCMerced_LandUse is not there"):
        plan(Wishes(tmp_path, sets=("rsicd", "ucm")))
    with pytest.raises(DataError, match="nothing to measure"):
        plan(Wishes(tmp_path, tasks=("classification",), sets=("rsicd",)))
    with pytest.raises(DataError, match="rsitmd has no val pictures"):
        make_rsitmd(tmp_path)
        plan(Wishes(tmp_path, sets=("rsitmd",), split="val"))


def test_tables_are_by_task_and_only_shares_have_four_digits() -> None:
    rows = [
        Result("a", "x test", "raw", 3, 15, {"i2t_r1": 0.5, "mR": 12.346}, 1.4, {"changed": 2.0, "forest": 1.0}),
        Result("b", "y", "standard", 22, 59, {"rsu": 0.71236}, 2),
        Result("a", "z test", "raw", 4, 20, {"mR": 50.0}, 0),
    ]
    assert tables(rows) == (
        "## a\n\n| data | protocol | pictures | texts | changed | I2T R@1 | **mR** | s |\n"
        "|---|---|---|---|---|---|---|---|\n"
        "| x test | raw | 3 | 15 | 2 | 0.50 | **12.35** | 1 |\n| z test | raw | 4 | 20 |  |  | **50.00** | 0 |\n\n"
        "## b\n\n| data | protocol | pictures | texts | rsu | s |\n|---|---|---|---|---|---|\n"
        "| y | standard | 22 | 59 | 0.7124 | 2 |"
    )


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets (../shared/data) are not here")
def test_real_sets_have_the_published_sizes() -> None:
    rsicd, ucm = sets.rsicd_captions(SHARED, "test"), sets.ucm_captions(SHARED, "test")
    assert (len(rsicd.records), sum(len(r.captions) for r in rsicd.records)) == (1093, 5465)
    assert (len(ucm.records), sum(len(r.captions) for r in ucm.records)) == (210, 1050)
    assert len({c for r in ucm.records for c in r.captions}) == 377  # as SkyScript's notebook prints
    assert len(sets.rsitmd_captions(SHARED, "test").records) == 273
    classes = [sets.CLASS_SETS[name](SHARED, "test") for name in ("rsicd30", "ucm", "resisc45", "eurosat", "rsscn7")]
    assert [len(given.classes) for given in classes] == [30, 21, 12, 10, 7]
    assert [len(classes[n].records) for n in (0, 1, 4)] == [1027, 210, 700]
