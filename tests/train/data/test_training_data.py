"""Readers, texts and batches on small sets of the public layouts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from app.classify.label_sets import FIRST_SET
from lrsclip.errors import DataError, TrainingError
from lrsclip.models.preprocess import build_preprocess
from lrsclip.models.tokenizer import Tokenizer
from tests.helpers.corpora import COLORS, make_class_folders, make_rsicd, small_model, write_picture
from train import fit
from train.data.augment import crop_features, draw_changes, turn
from train.data.batches import BatchMaker
from train.data.corpus import read_corpus, read_records
from train.data.feature_cache import Prepared, joined, open_picture, prepare_features, prepare_pixels, to_pixels
from train.data.names import class_words, folder_words, hashed_split
from train.data.records import Record
from train.data.sources.captions import CaptionSource
from train.data.sources.folders import FolderSource
from train.data.text_pairs import Wording, compose, compose_exact, paragraph, sentences_of, vocabulary
from train.data.truth import Truth
from train.data.wording.bank import concept_of, concepts
from train.losses import dual_text_loss, info_nce
from train.settings import Settings

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with RSICD and EuroSAT."""
    make_rsicd(tmp_path)
    make_class_folders(tmp_path / "EuroSAT_RGB")
    return tmp_path


def test_corpus_keeps_official_splits(data: Path) -> None:
    records = read_corpus(data)
    rsicd = [r for r in records if r.source == "rsicd"]
    assert {r.split: sum(x.split == r.split for x in rsicd) for r in rsicd} == {"train": 32, "val": 4, "test": 4}
    assert len({r.key for r in records}) == len(records) == 40 + 16
    assert {r.label for r in records if r.source == "eurosat"} == {"forest", "desert", "harbour", "airport"}


def rsicd_source(data: Path, extra: Path | None = None) -> CaptionSource:
    """RSICD, with more captions if some are given."""
    root = data / "RSICD"
    return CaptionSource(
        name="rsicd",
        annotations=root / "dataset_rsicd.json",
        pictures=root / "RSICD_images",
        extra_captions=extra,
    )


def test_extra_captions_follow_the_picture(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    extra = data / "extra.json"
    extra.write_text(json.dumps({"forest_1.jpg": ["Dense crowns ."]}))
    with_it = [r for r in read_records([rsicd_source(data, extra)]) if "Dense crowns ." in r.captions]
    assert [(r.path.name, r.split, len(r.captions)) for r in with_it] == [("forest_1.jpg", "test", 4)]
    assert not caplog.records
    extra.write_text(json.dumps({"nosuch.jpg": ["x"]}))
    assert len(read_records([rsicd_source(data, extra)])) == 40
    assert "nosuch.jpg" in caplog.text and "rsicd: 1 fault (picture missing 1)" in caplog.text
    alone = rsicd_source(data, extra).model_copy(update={"own_captions": False})
    extra.write_text(json.dumps({"desert_3.jpg": ["Dunes  ."], "forest_1.jpg": ["Crowns"]}))
    assert [r.captions for r in read_records([alone])] == [("Crowns",), ("Dunes  .",)]  # spaces as they were given


def test_what_leaves_nothing_to_read_ends_the_run(data: Path) -> None:
    annotations = data / "RSICD/dataset_rsicd.json"
    contents = {
        b'{"images": [{}]}': "no record",
        b'{"images": []}': "no record",
        b"[]": "layout",
        b"{": "JSON",
        b'{"images": "\xff"}': "JSON",
    }
    for content, fault in contents.items():
        annotations.write_bytes(content)
        with pytest.raises(DataError, match=rf"dataset_rsicd\.json.*{fault}|{fault} from .*dataset_rsicd\.json"):
            read_corpus(data)
    annotations.unlink()
    with pytest.raises(DataError, match=r"dataset_rsicd\.json is not there"):
        read_corpus(data)
    make_rsicd(data)
    for text, fault in {"[]": "layout", "{": "JSON", "[": "JSON"}.items():
        (data / "extra.json").write_text(text)
        with pytest.raises(DataError, match=rf"extra\.json .*{fault}"):
            read_records([rsicd_source(data, data / "extra.json")])
    (data / "RSICD/RSICD_images").rename(data / "elsewhere")
    with pytest.raises(DataError, match=r"RSICD_images .*not a folder"):
        read_corpus(data)
    with pytest.raises(DataError, match="not a folder"):
        read_corpus(data / "nosuch")
    (data / "bare").mkdir()
    with pytest.raises(DataError, match="no record"):
        read_records([FolderSource(name="bare", root=data / "bare")])


def test_broken_rows_and_missing_pictures_are_counted_and_the_rest_is_read(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    annotations, pictures = data / "RSICD/dataset_rsicd.json", data / "RSICD/RSICD_images"
    rows = json.loads(annotations.read_text())["images"]
    (pictures / "forest_3.jpg").unlink()
    broken = ["no row", {"split": "train", "sentences": []}, {"filename": 7}]
    annotations.write_text(json.dumps({"images": [*rows[:2], *broken, *rows[2:]]}))
    (data / "EuroSAT_RGB/Empty").mkdir()
    records = read_corpus(data)
    assert [r.path.name for r in records if r.source == "rsicd"] == [
        row["filename"] for row in rows if row["filename"] != "forest_3.jpg"
    ]
    assert sum(r.source == "eurosat" for r in records) == 16
    last = caplog.records[-1].getMessage()
    # "harbour" is none of RSICD's classes: its ten pictures are read without one.
    assert last == (
        "rsicd, eurosat: 15 faults (broken row 3, class not in the map 10, empty class folder 1, picture missing 1)"
    )
    for told in ("images[2] of", "images[3] of", "images[4] of", "forest_3.jpg", "Empty holds no picture"):
        assert told in caplog.text


def test_what_a_model_or_a_name_needs_is_named(data: Path) -> None:
    (data / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(DataError, match=r"bad\.jpg"):
        open_picture(data / "bad.jpg")
    with pytest.raises(TrainingError, match="say one of"):
        Settings.read("nosuch")


def test_preparing_stops_at_a_broken_picture_and_goes_on_once_it_is_mended(data: Path) -> None:
    records = read_records([FolderSource(name="eurosat", root=data / "EuroSAT_RGB")])
    whole, model = records[5].path.read_bytes(), small_model(pixels=True)
    records[5].path.write_bytes(b"?" * len(whole))  # a cache knows its files by name and size
    with pytest.raises(DataError, match=re.escape(records[5].path.name)):
        prepare_pixels(records, model, data / "cache")
    assert not list((data / "cache").glob("*.npy"))
    records[5].path.write_bytes(whole)
    prepared = prepare_pixels(records, model, data / "cache")
    assert prepared.rows.shape == (16, 3, 32, 32)
    color = prepared.rows[5].mean(axis=(1, 2))
    assert np.abs(color - COLORS[str(records[5].label)]).max() < 12


def test_an_average_of_a_frozen_trunk_finds_the_same_features(data: Path, tmp_path: Path) -> None:
    """Averaging turned -0.0 into 0.0, and hours of features were made once more."""
    records = [r for r in read_corpus(data) if r.source == "rsicd"][:2]
    model, other = small_model(), small_model()
    with torch.no_grad():
        for one, sign in ((model, -0.0), (other, 0.0)):
            one.convolutional.trunk.stem_conv.weight[0, 0, 0, 0] = sign
    for one in (model, other):
        prepare_features(records, one, tmp_path)
    assert len(list(tmp_path.glob("features-*.npy"))) == 1


def test_training_sees_a_wide_picture_as_the_model_in_use_does(tmp_path: Path) -> None:
    model = small_model(pixels=True)
    px = model.config.image.image_px
    wide = np.random.default_rng(0).integers(0, 255, (px, 3 * px, 3), dtype=np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    prepared = prepare_pixels([Record("x", tmp_path / "wide.png", "train", ("a",))], model, tmp_path / "cache")
    np.testing.assert_array_equal(prepared.rows[0], wide[:, px : 2 * px].transpose(2, 0, 1))  # the middle, unsqueezed
    rows = torch.from_numpy(np.array(prepared.rows))
    used = build_preprocess(model.config)(Image.fromarray(wide))
    assert torch.allclose(to_pixels(rows, model)[0], used, atol=1e-6)


def test_fit_names_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit.main(["--data", str(tmp_path / "nosuch"), "--out", str(tmp_path / "out")]) == 2
    assert "nosuch is not a folder; pass --data" in capsys.readouterr().err
    assert fit.main(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--recipe", "nosuch"]) == 2
    assert "no recipe 'nosuch'; there are: clip77" in capsys.readouterr().err


def test_class_folders_are_read_as_words() -> None:
    for name, words in {
        "SeaLake": "sea lake",
        "dense_residential": "dense residential",
        "golf-course": "golf course",
        "RVPark2Go": "rv park2 go",
        "beach": "beach",
    }.items():
        assert folder_words(name) == words
    assert class_words("eurosat")["SeaLake"] == "sea or lake"
    for source, count in {"ucm": 21, "rsicd30": 30, "eurosat": 10, "rsscn7": 7}.items():
        named = class_words(source)
        assert len(named) == len(set(named.values())) == count
    assert set(class_words("rsicd30").values()) == set(FIRST_SET.labels)  # the page offers what is measured


def test_hashed_split_is_stable_and_fair() -> None:
    splits = [hashed_split(f"River/River_{i}.jpg") for i in range(2000)]
    assert splits == [hashed_split(f"River/River_{i}.jpg") for i in range(2000)]
    assert 0.76 < splits.count("train") / 2000 < 0.84
    assert 0.07 < splits.count("test") / 2000 < 0.13


def record(*captions: str, label: str | None = None) -> Record:
    """A record without a picture."""
    return Record("x", Path("x.jpg"), "train", captions, label)


def test_long_text_has_each_distinct_sentence_once() -> None:
    r = record("A pond .", "a pond", "Two roads meet here", "  ", "Trees.")
    assert paragraph(r) == "A pond. Two roads meet here. Trees."
    for seed in range(20):
        pair = compose(r, np.random.default_rng(seed))
        assert sorted(pair.long.replace(". ", ".|").split("|")) == sorted(sentences_of(r))
        assert pair.short in sentences_of(r)
    assert len({compose(r, np.random.default_rng(s)).long for s in range(40)}) == 6  # all orders turn up


def test_class_only_pictures_get_wordings_of_their_class() -> None:
    tanks = record(label="storage tanks")
    pairs = [compose(tanks, np.random.default_rng(seed)) for seed in range(60)]
    assert len({pair.short for pair in pairs}) > 40, "each showing has its own words"
    own, wide = concept_of("storage tanks"), {concepts()[name].identity for name in concept_of("storage tanks").wider}
    assert {one for pair in pairs for one in pair.long_says.statements} == {own.identity}
    assert {one for pair in pairs for one in pair.short_says.statements} - wide == {own.identity}
    assert all(pair.short_says.statements <= pair.known.statements for pair in pairs)
    counted = vocabulary([tanks, record("a tank")])
    assert counted["cylinders"] >= 1 and counted["tank"] >= 2


def test_a_class_that_the_bank_does_not_know_is_named_as_it_is() -> None:
    pair = compose(record(label="ski piste"), np.random.default_rng(0))
    assert "ski piste" in pair.short.lower() and pair.long.lower().count("ski piste") in (2, 3)


def test_word_drop_leaves_something() -> None:
    for seed in range(50):
        assert compose(record("a b"), np.random.default_rng(seed), Wording(word_drop=0.95)).short


def test_turn_is_the_eight_symmetries() -> None:
    grid = torch.arange(9.0).reshape(1, 1, 3, 3).expand(8, 2, 3, 3)
    out = turn(grid, np.arange(8))
    assert torch.equal(out[0], grid[0])
    assert torch.equal(out[1], torch.rot90(grid[0], 1, (1, 2)))
    assert len({tuple(o[0].flatten().tolist()) for o in out}) == 8


def test_feature_maps_are_cropped_as_pictures_are() -> None:
    ramp = (torch.arange(7.0) + 0.5).expand(7, 7)  # what a trunk would say that tells the distance from the left
    rows = torch.stack([ramp, ramp.T], dim=-1).reshape(1, 49, 2).expand(64, 49, 2).half()
    changes = draw_changes(64, np.random.default_rng(0), 0.5, 0.0)
    assert changes is not None
    out = crop_features(rows, changes).unflatten(1, (7, 7)).float()
    side, left = 7 * changes.crops[:, 0], 7 * changes.crops[:, 1]
    middle = out[:, 3, 3, 0]
    assert torch.allclose(middle, left + side / 2, atol=0.02)
    inner = out[:, :, 4, 0] - out[:, :, 2, 0]
    assert torch.allclose(
        inner, (side * 2 / 7)[:, None].expand(-1, 7), atol=0.02
    )  # stretched, neither turned nor sheared
    assert side.min() > 7 * 0.7 and side.max() < 7 and out.dtype == torch.float32


def test_a_labeled_picture_has_its_class_named_now_and_then() -> None:
    r, named = record("a pond", "two roads", label="golf course"), concept_of("golf course").identity
    wording = Wording(class_sentence=0.5, class_text=0.3)
    pairs = [compose(r, np.random.default_rng(seed), wording) for seed in range(200)]
    assert 70 < sum(named in pair.long_says.statements for pair in pairs) < 130
    assert 60 < sum(pair.short_says.is_general for pair in pairs) < 130
    assert all("A pond." in p.long and "Two roads." in p.long for p in pairs)
    assert not any(p.short_says.concepts for p in (compose(r, np.random.default_rng(seed)) for seed in range(20)))


def test_rsicd_pictures_know_their_scene(data: Path) -> None:
    labels = {r.path.name.split("_")[0]: r.label for r in read_corpus(data) if r.source == "rsicd"}
    assert labels == {"forest": "forest", "desert": "desert", "airport": "airport", "harbour": None}


def test_info_nce_by_hand() -> None:
    eye = torch.eye(2)
    expected = -torch.log(torch.exp(torch.tensor(3.0)) / (torch.exp(torch.tensor(3.0)) + 1))
    assert info_nce(eye, eye, torch.tensor(3.0)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_texts_that_are_true_of_several_pictures_have_several_targets() -> None:
    image = F.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    text = F.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    s = torch.exp(2 * image @ text.T)
    # text 0 is of picture 0 and 2; of text 2 and picture 1 nothing is known; text 1 is of another kind than the others
    true = torch.eye(3, dtype=torch.bool)
    true[0, 2] = true[1, 0] = True
    unknown = torch.zeros(3, 3, dtype=torch.bool)
    unknown[2, 1] = True
    truth = Truth(true, unknown, torch.tensor([False, True, False]))

    def mean_log(*shares: torch.Tensor) -> torch.Tensor:
        return torch.stack(shares).log().mean()

    first = s[0, 0] + s[0, 2]  # its own class text is no rival of a caption
    third = s[2].sum()
    of_pictures = [s[0, 0] / first, s[1, 1] / (s[1, 0] + s[1, 1]), (s[2, 0] * s[2, 2]).sqrt() / third]
    t0, t1 = s[:, 0].sum(), s[:, 1].sum()
    of_texts = [(s[0, 0] * s[2, 0]).sqrt() / t0, (s[1, 1] * s[0, 1]).sqrt() / t1, s[2, 2] / (s[0, 2] + s[2, 2])]
    expected = -(mean_log(*of_pictures) + mean_log(*of_texts)) / 2
    assert torch.allclose(info_nce(image, text, torch.tensor(2.0), truth), expected)


def test_label_smoothing_is_that_of_the_plain_cross_entropy() -> None:
    image, text = (F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(i)), dim=1) for i in (0, 1))
    logits, own = 3 * image @ text.T, torch.arange(5)
    plain = (
        F.cross_entropy(logits, own, label_smoothing=0.1) + F.cross_entropy(logits.T, own, label_smoothing=0.1)
    ) / 2
    assert torch.allclose(info_nce(image, text, torch.tensor(3.0), label_smoothing=0.1), plain)


def test_dual_loss_is_weighted() -> None:
    vectors = [F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(i)), dim=1) for i in range(3)]
    loss = dual_text_loss(vectors[0], vectors[1], vectors[2], torch.tensor(5.0), 0.3)
    assert torch.allclose(loss.total, 0.3 * loss.long + 0.7 * loss.short)
    assert torch.allclose(loss.long, info_nce(vectors[0], vectors[1], torch.tensor(5.0)))


def test_nwpu_is_trained_on_but_for_its_test_pictures(data: Path) -> None:
    root = data / "NWPU-RESISC45-subset"
    for number in range(3):
        write_picture(root / f"sea_ice/sea_ice_{number}.jpg", (200, 210, 220), number)
    splits = ("train", "val", "test")
    rows = [
        {"filename": f"sea_ice/sea_ice_{n}.jpg", "split": split, "sentences": [{"raw": "ice"}]}
        for n, split in enumerate(splits)
    ]
    (root / "dataset_nwpu.json").write_text(json.dumps({"images": rows}))
    nwpu = [r for r in read_corpus(data) if r.source == "nwpu"]
    assert [r.split for r in nwpu] == ["train", "train", "test"]
    assert {r.label for r in nwpu} == {"sea ice"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets (../shared/data) are not here")
def test_real_corpus_does_not_leak() -> None:
    records = read_corpus(SHARED)
    counts = {s: sum(r.source == s for r in records) for s in ("rsicd", "ucm", "nwpu", "resisc45", "eurosat")}
    assert counts == {"rsicd": 10921, "ucm": 2100, "nwpu": 595, "resisc45": 5913 - 595, "eurosat": 4000}
    assert sum(r.split == "test" for r in records if r.source == "rsicd") == 1093
    paths = [r.path for r in records]
    assert len(set(paths)) == len(paths)  # a picture in two splits would be in the list twice
    assert not any("RSSCN7" in str(p) or "CHOICE" in str(p) for p in paths)


def test_several_kept_sets_read_as_one() -> None:
    parts = [np.arange(6).reshape(3, 2), np.arange(6, 10).reshape(2, 2)]
    together = joined([Prepared(part, is_features=True) for part in parts])
    whole = np.concatenate(parts)
    assert len(together.rows) == 5
    assert together.rows.shape == (5, 2)
    assert (together.rows[[4, 0, 3]] == whole[[4, 0, 3]]).all()
    assert all((together.rows[row] == whole[row]).all() for row in range(5))


def test_exact_texts_share_batches_and_keep_their_whole_picture() -> None:
    real = [Record("rsicd", Path(f"{n}.jpg"), "train", (f"a field {n}.",)) for n in range(9)]
    exact = [Record("atlas", Path(f"a{n}.jpg"), "train", (f"{n} houses.",), exact=True) for n in range(9)]
    records = real + exact
    rows = np.random.default_rng(0).integers(0, 255, (18, 3, 32, 32), dtype=np.uint8)
    settings = Settings.read("tiny").model_copy(update={"batch_size": 4, "crop_scale_min": 0.3, "trunk": "trained"})
    maker = BatchMaker(records, list(range(18)), Prepared(rows, is_features=False), settings)
    batches = list(maker.epoch(0, 0, Tokenizer(77)))
    assert len(batches) == maker.steps == 4
    whole = torch.tensor([1.0, 0.0, 0.0])
    kinds = []
    for batch in batches:
        assert batch.changes is not None
        kinds.append({bool((crop == whole).all()) for crop in batch.changes.crops})
    assert sorted(map(sorted, kinds)) == [[False], [False], [True], [True]]


def test_false_twins_differ_from_the_long_text_in_one_sentence() -> None:
    sentences = tuple(f"Field {n} is green." for n in range(9))
    false = tuple((n, f"Field {n - 1} is red.") for n in (1, 4, 9))
    record = Record("atlas", Path("a.jpg"), "train", ("Some fields.", *sentences), exact=True, false=false)
    for seed in range(60):
        pair = compose_exact(record, np.random.default_rng(seed), most=4, word_drop=0.2)
        true, wrong = re.split(r"(?<=\.) ", pair.long), re.split(r"(?<=\.) ", pair.false)
        assert 2 <= len(true) <= 4
        assert set(true) <= set(sentences)
        changed = [(a, b) for a, b in zip(true, wrong, strict=True) if a != b]
        assert [b for _, b in changed] == [a.replace("green", "red") for a, _ in changed]
        assert len(changed) == 1


def test_a_false_text_is_one_more_to_tell_a_picture_from() -> None:
    image, scale = F.normalize(torch.randn(5, 8, generator=torch.manual_seed(0)), dim=1), torch.tensor(4.0)
    alone = info_nce(image, image, scale)
    assert info_nce(image, image, scale, None, image[:2]) > alone + 0.1
    assert torch.allclose(info_nce(image, image, scale, None, image[:0]), alone)


def test_every_text_of_the_atlas_stays_true_when_it_is_mirrored_with_its_tile() -> None:
    """A picture whose one bright corner is named by the text: however both are turned, they agree."""
    bright = np.zeros((1, 4, 1024), np.float16)
    bright[0, 0] = 1.0  # upper left of 2 x 2
    record = Record("atlas", Path("a.jpg"), "train", ("Light.", "Light in the upper left."), exact=True)
    settings = Settings.read("tiny").model_copy(update={"batch_size": 64, "flips": False})
    maker = BatchMaker([record] * 64, [0] * 64, Prepared(bright, is_features=True), settings)
    batch = next(maker.epoch(0, 0, Tokenizer(77)))
    assert batch.false_rows is not None
    assert batch.has_false_rows.all()
    tokenizer = Tokenizer(77)
    corner = {
        tuple(tokenizer([f"Light in the {row} {column}."])[0].tolist()): 2 * (row == "lower") + (column == "right")
        for row in ("upper", "lower")
        for column in ("left", "right")
    }
    length = max(map(len, corner))
    found = [corner[tuple(ids.tolist())[:length]] for ids in batch.long]
    assert set(found) == {0, 1, 2, 3}
    assert batch.rows[:, :, 0].argmax(1).tolist() == found
    assert (batch.false_rows[:, :, 0].argmax(1) != torch.tensor(found)).all()


def test_a_false_picture_is_one_more_to_tell_a_text_from() -> None:
    text, scale = F.normalize(torch.randn(5, 8, generator=torch.manual_seed(0)), dim=1), torch.tensor(4.0)
    alone = info_nce(text, text, scale)
    assert info_nce(text, text, scale, false_image=text[:2]) > alone + 0.1
    assert torch.allclose(info_nce(text, text, scale, false_image=text[:0]), alone)


def test_captions_that_the_tokenizer_spells_out_are_kept_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "p/a.jpg", COLORS["forest"], 1)
    rows = [{"filename": "a.jpg", "split": "train", "sentences": [{"raw": "港口里的船"}, {"raw": "a harbor"}]}]
    (tmp_path / "a.json").write_text(json.dumps({"images": rows}), encoding="utf-8")
    (record,) = read_records([CaptionSource(name="c", annotations=tmp_path / "a.json", pictures=tmp_path / "p")])
    assert record.captions == ("港口里的船", "a harbor")
    assert "words read letter by letter 1" in caplog.text and "港口里的船" in caplog.text
