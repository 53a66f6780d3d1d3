"""Near-duplicates: what is found, what gives way to what, and what only looks alike."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

import lrsclip
from lrsclip.errors import DataError
from lrsclip.io.decode import open_image
from train.data_engine.dedup import fingerprints as prints_module
from train.data_engine.dedup.duplicates import Entry, Verdict, find_duplicates
from train.data_engine.dedup.fingerprints import (
    MAX_PARTNERS,
    Encoder,
    Limits,
    Pairs,
    Prints,
    TrunkEncoder,
    encoder_of,
    find_pairs,
    fingerprint,
    merged,
)

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return encoder_of("tiny")


def textured(seed: int, px: int = 128) -> Image.Image:
    """Fields, roofs and roads as nobody else has them."""
    draw = np.random.default_rng(seed)
    picture = Image.new("RGB", (px, px), tuple(draw.integers(60, 160, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(25):
        x, y, w, h = (draw.random(4) * [px, px, px / 3, px / 3]).tolist()
        pen.rectangle((x, y, x + w, y + h), fill=tuple(draw.integers(20, 240, 3).tolist()))
    pen.line(tuple((draw.random(4) * px).tolist()), fill=(90, 90, 95), width=6)
    return picture


def sea(seed: int, px: int = 128) -> Image.Image:
    """Blue with a little noise: its hash says nothing."""
    draw = np.random.default_rng(seed)
    base = np.array([20, 50 + 3 * seed, 80 + 5 * seed])
    return Image.fromarray((base + draw.normal(0, 2, (px, px, 3))).clip(0, 255).astype(np.uint8))


def changed(picture: Image.Image) -> list[Image.Image]:
    """Copies as data sets make them."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    side, less = picture.width, picture.width // 25
    brighter = ImageEnhance.Contrast(ImageEnhance.Brightness(picture).enhance(1.15)).enhance(0.85)
    shifted = (np.asarray(picture, np.int16) + np.array([8, -8, 8])).clip(0, 255).astype(np.uint8)
    return [
        Image.open(buffer).convert("RGB"),
        picture.resize((256, 256), Image.Resampling.BILINEAR),
        picture.crop((less, 0, side, side - less)),
        brighter,
        Image.fromarray(shifted),
    ]


def drawn(cosines: dict[tuple[int, int], float], count: int, bits: dict[int, int] | None = None) -> Prints:
    """Fingerprints with given cosines between some rows, 0 between others, and hashes of so many set bits."""
    gram = np.eye(count)
    for (a, b), value in cosines.items():
        gram[a, b] = gram[b, a] = value
    vectors = np.linalg.cholesky(gram)
    hashes = [2 ** (bits or {}).get(row, 0) - 1 for row in range(count)]
    return Prints(np.array(hashes, np.uint64), vectors.astype(np.float16))


def entries(*splits: str, source: str = "a") -> list[Entry]:
    """Entries of one source, or of those that stand before a colon: "b:train"."""
    parts = [split.split(":") if ":" in split else (source, split) for split in splits]
    return [Entry(f"{name}/{number}", name, split) for number, (name, split) in enumerate(parts)]


def two(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


# fingerprints


@pytest.mark.slow
def test_changed_copies_are_found_and_others_not(encoder: Encoder) -> None:
    originals = [textured(seed) for seed in range(6)]
    copies = [copy for picture in originals for copy in changed(picture)]
    prints = fingerprint(originals + copies, encoder)
    per = len(copies) // len(originals)
    family = [*range(6), *(n // per for n in range(len(copies)))]
    pairs = two(find_pairs(prints))
    assert all(family[a] == family[b] for a, b in pairs)
    assert {(family[b], b) for b in range(6, len(family))} <= pairs


def test_seas_of_other_colors_are_no_duplicates_though_hashes_may_meet(encoder: Encoder) -> None:
    pictures = [sea(seed) for seed in range(0, 30, 6)]
    vectors = fingerprint(pictures, encoder).vectors
    same_hash = Prints(np.zeros(len(vectors), np.uint64), vectors)
    assert len(find_pairs(Prints(same_hash.hashes, vectors[:, :0])).first) == 10  # a hash alone takes all as one
    assert len(find_pairs(fingerprint(pictures, None)).first) == 0
    assert len(find_pairs(fingerprint(pictures, encoder)).first) == 0


def test_hashes_alone_find_reencodings() -> None:
    originals = [textured(seed) for seed in range(10)]
    copies = [changed(picture)[0] for picture in originals]
    prints = fingerprint(originals + copies, None)
    assert prints.vectors.shape == (20, 0)
    pairs = find_pairs(prints)
    assert two(pairs) == {(n, n + 10) for n in range(10)}
    assert np.isnan(pairs.cosine).all()


@pytest.mark.slow
def test_fingerprints_are_the_same_again_and_in_parts(encoder: Encoder) -> None:
    pictures = [textured(seed, 60 + seed) for seed in range(20)]
    whole = fingerprint(iter(pictures), encoder)
    again = fingerprint(pictures, encoder)
    assert (whole.hashes == again.hashes).all()
    assert (whole.vectors == again.vectors).all()
    parts = merged([fingerprint(pictures[:16], encoder), fingerprint(pictures[16:], encoder)])
    assert (whole.hashes == parts.hashes).all()
    assert np.allclose(whole.vectors, parts.vectors, atol=0.01)
    assert np.allclose(np.linalg.norm(whole.vectors.astype(np.float32), axis=1), 1, atol=2e-3)
    assert len(fingerprint([], encoder)) == 0
    assert fingerprint([], encoder).vectors.shape == (0, encoder.dimension)


def test_faults_name_the_mend() -> None:
    with pytest.raises(DataError, match="take 'tiny'"):
        TrunkEncoder(lrsclip.checkpoints.factory.random_model())
    with pytest.raises(DataError, match="make all alike"):
        merged([drawn({}, 2), Prints(np.zeros(1, np.uint64), np.zeros((1, 0), np.float16))])
    with pytest.raises(DataError, match="fingerprint anew"):
        Prints(np.zeros(2, np.uint64), np.zeros((1, 4), np.float16))
    with pytest.raises(DataError, match="set it to 0 to 8"):
        Limits(hash_bits=9)
    with pytest.raises(DataError, match="one for each picture"):
        find_duplicates(entries("train"), drawn({}, 2))


# pairs


@pytest.mark.parametrize("bits", [0, 2, 3, 5, 6, 8])
def test_every_near_hash_is_found(bits: int) -> None:
    draw = np.random.default_rng(bits)
    middles = draw.integers(0, 2**64, 40, dtype=np.uint64)
    hashes = middles[draw.integers(0, 40, 500)]
    for _ in range(6):
        hashes ^= np.uint64(1) << draw.integers(0, 64, 500).astype(np.uint64)
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None])
    true = {(a, b) for a, b in np.argwhere(distance <= bits).tolist() if a < b}
    found = find_pairs(Prints(hashes, np.zeros((500, 0), np.float16)), Limits(hash_bits=bits))
    assert two(found) == true
    assert (found.hamming <= bits).all()
    if bits == 8:
        assert len(true) > 500


def test_the_cosine_must_be_higher_where_hashes_differ() -> None:
    cosines = {(0, 1): 0.82, (2, 3): 0.82, (4, 5): 0.93, (6, 7): 0.93}
    bits = {3: 6, 5: 10, 7: 16}
    assert two(find_pairs(drawn(cosines, 8, bits))) == {(0, 1), (4, 5)}


def test_many_vectors_are_searched_by_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(3000, 32))
    vectors[2000:2100] = vectors[:100] + 0.05 * draw.normal(size=(100, 32))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hashes = draw.integers(0, 2**64, 3000, dtype=np.uint64)
    hashes[2000:2100] = hashes[:100] ^ np.uint64(2**12 - 1)  # too far for the search by hashes
    prints = Prints(hashes, vectors.astype(np.float16))
    exact = two(find_pairs(prints))
    assert exact == {(n, n + 2000) for n in range(100)}
    monkeypatch.setattr(prints_module, "_EXACT_UP_TO", 100)
    assert len(two(find_pairs(prints)) & exact) >= 98


def test_ten_thousand_empty_tiles_do_not_make_fifty_million_pairs() -> None:
    prints = Prints(np.zeros(600, np.uint64), np.zeros((600, 0), np.float16))
    pairs = find_pairs(prints)
    assert len(pairs.first) == MAX_PARTNERS * 600 - MAX_PARTNERS * (MAX_PARTNERS + 1) // 2
    assert pairs.first.max() == MAX_PARTNERS - 1
    blank = Prints(np.zeros(10_000, np.uint64), np.tile(np.array([1, 0], np.float16), (10_000, 1)))
    verdict = find_duplicates(entries(*["train"] * 9_000, *["b:test"] * 1_000), blank)
    assert verdict.dropped == {"leak": 9_000}
    assert verdict.crossings["a", "train", "b", "test"] == 9_000_000
    assert verdict.overlap == {("a", "b"): 1, ("b", "a"): 1}


# verdicts


def test_training_gives_way_to_evaluation() -> None:
    prints = drawn({(0, 1): 0.9, (2, 3): 0.9, (4, 5): 0.9, (6, 7): 0.9}, 8)
    asked = entries("train", "test", "val", "train", "test", "val", "train", "train")
    verdict = find_duplicates(asked, prints)
    assert verdict.kept.tolist() == [False, True, True, False, True, True, True, False]
    assert [row[:3] for row in verdict.rows] == [
        ("a/0", "a/1", "leak"),
        ("a/3", "a/2", "leak"),
        ("a/5", "a/4", "both evaluation"),
        ("a/7", "a/6", "duplicate"),
    ]
    assert verdict.joined == {6: (7,)}
    assert verdict.dropped == {"leak": 2, "duplicate": 1}
    assert verdict.crossings == {
        ("a", "test", "a", "train"): 1,
        ("a", "test", "a", "val"): 1,
        ("a", "train", "a", "train"): 1,
        ("a", "train", "a", "val"): 1,
    }


def test_a_source_that_is_held_out_is_evaluation() -> None:
    asked = [Entry("a/0", "a", "train"), Entry("b/0", "b", "train", held_out=True)]
    verdict = find_duplicates(asked, drawn({(0, 1): 0.9}, 2))
    assert verdict.kept.tolist() == [False, True]
    assert verdict.rows[0].why == "leak"


def test_a_chain_is_not_followed() -> None:
    prints = drawn({(0, 1): 0.85, (1, 2): 0.85, (0, 2): 0.5}, 3)
    chained = find_duplicates(entries("train", "train", "train"), prints)
    assert chained.kept.tolist() == [True, False, True]
    assert chained.groups == 1
    leaked = find_duplicates(entries("test", "train", "train"), prints)
    assert leaked.kept.tolist() == [True, False, True]
    assert [row.why for row in leaked.rows] == ["leak"]


def test_the_closest_is_named_and_takes_the_captions() -> None:
    prints = drawn({(0, 2): 0.82, (1, 2): 0.9, (0, 1): 0.6}, 3)
    verdict = find_duplicates(entries("train", "train", "train"), prints)
    assert verdict.joined == {1: (2,)}
    assert verdict.rows[0].because_key == "a/1"
    assert verdict.rows[0].cosine == pytest.approx(0.9, abs=2e-3)


def test_the_first_source_is_kept() -> None:
    prints = drawn({(0, 1): 0.9}, 2)
    asked = entries("a:train", "b:train")
    assert find_duplicates(asked, prints).joined == {0: (1,)}
    assert find_duplicates(asked, prints, sources=["b", "a"]).joined == {1: (0,)}


def test_the_same_key_twice_is_dropped_and_never_from_evaluation() -> None:
    asked = [
        Entry("a/0", "a", "train"),
        Entry("a/0", "a", "test"),
        Entry("a/1", "a", "train"),
        Entry("a/1", "a", "train"),
    ]
    verdict = find_duplicates(asked, drawn({}, 4))
    assert verdict.kept.tolist() == [False, True, True, False]
    assert verdict.dropped == {"same key": 2}
    assert not verdict.crossings
    assert not verdict.joined


def test_the_same_fingerprint_is_judged_as_its_first_is() -> None:
    prints = drawn({(0, 1): 0.9}, 2)
    twins = Prints(prints.hashes[[0, 1, 1, 1]], prints.vectors[[0, 1, 1, 1]])
    leaked = find_duplicates(entries("test", "train", "train", "train"), twins)
    assert [row[:3] for row in leaked.rows] == [(f"a/{n}", "a/0", "leak") for n in (1, 2, 3)]
    kept = find_duplicates(entries("train", "train", "train", "test"), twins)
    assert kept.kept.tolist() == [False, False, False, True]
    assert {row.because_key for row in kept.rows} == {"a/3"}
    assert kept.groups == 1


def test_overlap_and_report(tmp_path: Path) -> None:
    asked = entries("a:train", "a:train", "a:val", "b:test", "b:test")
    verdict = find_duplicates(asked, drawn({(0, 3): 0.9, (1, 4): 0.85}, 5))
    assert verdict.overlap == {("a", "b"): pytest.approx(2 / 3), ("b", "a"): 1.0}
    assert verdict.sentences() == ["100.0 % of b's pictures are a's.", "66.7 % of a's pictures are b's."]
    verdict.write_report(tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["key"], r["because_key"], r["why"], r["hamming"]) for r in rows] == [
        ("a/0", "b/3", "leak", "0"),
        ("a/1", "b/4", "leak", "0"),
    ]
    assert float(rows[0]["cosine"]) == pytest.approx(0.9, abs=2e-3)
    hashed = find_duplicates(asked[:2], Prints(np.zeros(2, np.uint64), np.zeros((2, 0), np.float16)))
    hashed.write_report(tmp_path / "report.csv")
    assert (tmp_path / "report.csv").read_text().splitlines()[1] == "a/1,a/0,duplicate,0,"


def test_nothing_at_all_and_the_same_again() -> None:
    empty = find_duplicates([], Prints(np.zeros(0, np.uint64), np.zeros((0, 4), np.float16)))
    assert not empty.rows
    assert len(empty.kept) == 0
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(40, 8))[draw.integers(0, 40, 300)] + 0.1 * draw.normal(size=(300, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    prints = Prints(draw.integers(0, 2, 300).astype(np.uint64), vectors.astype(np.float16))
    asked = entries(*draw.choice(["train", "test", "b:train", "b:val"], 300).tolist())
    one, other = find_duplicates(asked, prints), find_duplicates(asked, prints)
    assert one.rows == other.rows
    assert one.joined == other.joined
    assert one.overlap == other.overlap
    holds(asked, prints, one)


def holds(asked: list[Entry], prints: Prints, verdict: Verdict) -> None:
    """What must be true of any verdict."""
    pairs = two(find_pairs(prints))
    number = {entry.key: row for row, entry in enumerate(asked)}
    kept = verdict.kept.tolist()
    trained = [entry.evaluation is False and stays for entry, stays in zip(asked, kept, strict=True)]
    assert not any(trained[a] and (trained[b] or asked[b].evaluation) for a, b in pairs)
    assert not any(trained[b] and (trained[a] or asked[a].evaluation) for a, b in pairs)
    assert all(tuple(sorted((number[row.key], number[row.because_key]))) in pairs for row in verdict.rows)
    assert all(kept[number[row.because_key]] for row in verdict.rows)
    assert all(kept[row] for row, entry in enumerate(asked) if entry.evaluation)


# real pictures


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets (../shared/data) are not here")
def test_rsitmd_is_found_to_be_rsicd(encoder: Encoder) -> None:
    folder = SHARED / "RSICD" / "RSICD_images"
    named = sorted(json.loads((SHARED / "RSITMD" / "rsitmd_captions_on_rsicd_files.json").read_text()))[::27][:40]
    others = [p.name for p in sorted(folder.glob("*.jpg"))[::180] if p.name not in set(named)][:50]
    pictures = [open_image(folder / name) for name in (*named, *others)]
    renamed = []
    for picture in pictures[: len(named)]:
        buffer = io.BytesIO()
        picture.resize((256, 256), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        renamed.append(open_image(buffer))
    asked = [Entry(f"rsicd/{name}", "rsicd", "train") for name in (*named, *others)]
    asked += [Entry(f"rsitmd/{number}.jpg", "rsitmd", "train") for number in range(len(renamed))]
    prints = fingerprint([*pictures, *renamed], encoder)
    verdict = find_duplicates(asked, prints)
    assert len(named) == 40
    assert verdict.overlap["rsitmd", "rsicd"] >= 0.97
    assert verdict.sentences()[0].endswith("% of rsitmd's pictures are rsicd's.")
    true = {(f"rsitmd/{number}.jpg", f"rsicd/{name}") for number, name in enumerate(named)}
    false = [row for row in verdict.rows if (row.key, row.because_key) not in true]
    assert len(false) <= 1, false
    by_hash = find_duplicates(asked, Prints(prints.hashes, prints.vectors[:, :0]))
    assert by_hash.overlap["rsitmd", "rsicd"] >= 0.9
