"""The engine from end to end: every layout, killed at any moment, on any engine, with a model that misbehaves."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import tarfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image
from tqdm import tqdm

from lrsclip.errors import DataError
from tests.helpers.corpora import make_class_folders, make_rsicd, make_ucm
from tests.train.data.layouts import MAKERS, make_captions, make_dota, picture_file
from tests.train.data_engine.llm_server import Ask, Reply, serve_llm
from train.data.corpus import read_corpus
from train.data.feature_cache import open_picture
from train.data.public_sets import known_sources
from train.data.records import SourceRecord, from_line
from train.data.sources.base import Source
from train.data.sources.settings import read_sources
from train.data_engine import __main__ as command
from train.data_engine.pipeline import build
from train.data_engine.run import Run, RunSettings
from train.data_engine.steps.write_texts import rules_of
from train.data_engine.texts import Texts
from train.data_engine.writer.llm import BudgetSpent
from train.data_engine.writer.llm_settings import LlmSettings

pytestmark = pytest.mark.slow


def settings(*sources: Source, **changes: Any) -> RunSettings:
    fields: dict[str, Any] = {"sources": tuple(s.model_dump_json() for s in sources), "duplicates": "hash"}
    return RunSettings.model_validate(fields | {"chunk_records": 3} | changes)


def files(out: Path) -> dict[str, str]:
    """Everything that a run made for others, by hash."""
    kept = [p for p in out.rglob("*") if p.is_file() and p.relative_to(out).parts[0] not in ("work", "run.json")]
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept}


def keys(out: Path) -> list[str]:
    return [r.key for r in read_corpus(out)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """60 pictures with captions, in three splits."""
    root = tmp_path_factory.mktemp("photos")
    rows = []
    for n in range(60):
        picture_file(root / "images" / f"airport_{n}.jpg", 100 + n, (48, 48))
        split = "val" if n % 10 == 0 else "test" if n % 10 == 1 else "train"
        said = ("two planes are parked near a terminal", f"many cars are on the {'left' if n % 2 else 'right'}")
        rows.append({"filename": f"airport_{n}.jpg", "split": split, "sentences": [{"raw": s} for s in said]})
    (root / "photos.json").write_text(json.dumps({"images": rows}))
    return read_sources(_toml(root, "photos", "photos.json", 'scene = "prefix"'))[0]


def _toml(root: Path, name: str, annotations: str, more: str = "") -> Path:
    path = root / "sources.toml"
    table = f'name = "{name}"\nlayout = "captions"\nannotations = "{annotations}"\npictures = "images"\n{more}\n'
    path.write_text(f"[[source]]\n{table}")
    return path


def _data(root: Path) -> Path:
    make_rsicd(root)
    make_ucm(root)
    make_class_folders(root / "EuroSAT_RGB")
    return root


def test_every_layout_becomes_one_set(tmp_path: Path) -> None:
    sources = [make(tmp_path / name) for name, make in MAKERS.items()]
    run = Run.begin(tmp_path / "out", settings(*sources, duplicates="keep", variants=2))
    report = build(run)
    records = read_corpus(run.out)
    assert len({r.key for r in records}) == len(records) == report.written_total
    assert {r.source for r in records} == {s.name for s in sources}
    assert report.read_total == report.written_total + sum(f["count"] for f in report.faults.values())
    gate = rules_of(run).gate
    by_key: dict[str, SourceRecord] = {}
    for chunk in run.chunks():
        by_key |= {r.key: r for r in map(from_line, run.records(chunk).read_bytes().splitlines())}
    for record in records:
        assert len(record.texts) == 2
        for short, long in record.texts:
            assert gate(Texts(short, long), by_key[record.key]) == (), (record.key, long)
    card = (run.out / "README.md").read_text()
    assert all(f"| {s.name} |" in card for s in sources) and "written by rules" in card
    with Image.open(run.out / "contact.jpg") as sheet:
        assert sheet.width > 400
    assert str(tmp_path) not in card + (run.out / "report.json").read_text(), "no places of this machine"


def test_shards_and_parquet_hold_the_same(tmp_path: Path, photos: Source) -> None:
    build(Run.begin(tmp_path / "out", settings(photos)))
    rows = [
        row for path in sorted((tmp_path / "out/data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    assert len(rows) == 60 and len({row["key"] for row in rows}) == 60
    from_parquet = {row["key"]: row for row in rows}
    seen = 0
    for path in sorted((tmp_path / "out/shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
        for name in sorted(members):
            if not name.endswith(".json"):
                continue
            row = json.loads(members[name])
            stem, same = name.removesuffix(".json"), from_parquet[row["key"]]
            assert same["image"]["bytes"] == members[f"{stem}.jpg"] and same["short"] == row["short"]
            assert members[f"{stem}.txt"].decode() == row["long"][0] == same["long"][0]
            assert path.name.startswith(row["split"]) and (same["width_px"], same["height_px"]) == (48, 48)
            seen += 1
    assert seen == 60
    tables = pq.read_schema(next((tmp_path / "out/data").glob("*.parquet"))).metadata[b"huggingface"]
    assert json.loads(tables)["info"]["features"]["image"] == {"_type": "Image"}


def test_killed_at_any_moment_it_ends_the_same(tmp_path: Path, photos: Source) -> None:
    # tqdm's own lock lies in memory that forks share: a child killed while it has it would stop everyone for ever
    tqdm.set_lock(threading.RLock())
    whole = Run.begin(tmp_path / "whole", settings(photos))
    began = time.perf_counter()
    build(whole)
    took = time.perf_counter() - began
    fork, luck = multiprocessing.get_context("fork"), random.Random(3)
    run, kills = Run.begin(tmp_path / "killed", settings(photos)), 0
    for _ in range(60):
        child = fork.Process(target=build, args=(run,))
        child.start()
        child.join(luck.uniform(0.02, 0.25) * took)
        if child.exitcode is None:
            os.kill(child.pid or 0, signal.SIGKILL)
            kills += 1
        child.join()
        if kills == 20:
            break
        if (run.out / "lrs2m.json").is_file():  # finished before it could be killed often enough: begin anew
            assert files(run.out) == files(whole.out)
            shutil.rmtree(run.out)
            run = Run.begin(tmp_path / "killed", settings(photos))
    assert kills == 20
    build(run)
    assert files(run.out) == files(whole.out)
    assert Counter(keys(run.out)) == Counter(keys(whole.out)) and len(keys(run.out)) == 60
    assert not list(run.out.glob("shards/.*")), "no draft is left behind"


def test_processes_and_ray_write_the_same_bytes(
    tmp_path: Path, photos: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # it gives way to everything else, and that takes minutes
    few = settings(photos, chunk_records=25)
    alone, many, cluster = (Run.begin(tmp_path / name, few) for name in ("alone", "many", "ray"))
    build(alone)
    build(many, workers=2)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    try:
        build(cluster, engine="ray")
    finally:
        ray.shutdown()
    assert files(many.out) == files(alone.out)
    assert files(cluster.out) == files(alone.out)


GOOD = {
    "short": "Two planes are parked at an airport.",
    "long": "Two planes are parked near the terminal of an airport with many cars.",
}
WRONG = {
    "short": "Two planes at a volcano.",
    "long": "Two planes and five zeppelins stand beside a volcano with many people.",
}


def asked(url: str, **changes: Any) -> LlmSettings:
    fields = {"base_url": url, "model": "m", "api_key_env": "LRS2M_TEST_KEY", "backoff_s": 0.01, "timeout_s": 1.5}
    return LlmSettings.model_validate(fields | {"in_flight": 4, "retries": 4} | changes)


def misbehaving(ask: Ask) -> Reply:
    """Every kind of trouble, and now and then a good answer."""
    match ask.number % 9:
        case 0:
            return Reply(status=429, headers={"retry-after": "0.01"})
        case 1:
            return Reply(status=500)
        case 2:
            return Reply(json.dumps(GOOD), cut=True)
        case 3:
            return Reply(raw=b"{not json")
        case 4 | 5:
            return Reply(json.dumps(WRONG))
        case 6 if ask.number == 6:
            return Reply(hang=True)
        case _:
            return Reply(json.dumps(GOOD))


def test_a_model_that_misbehaves_is_checked_and_replaced(tmp_path: Path, photos: Source) -> None:
    with serve_llm(misbehaving) as server:
        run = Run.begin(tmp_path / "out", settings(photos, writer="llm", llm=asked(server.url)))
        report = build(run)
    assert report.written_total == 60 and len(set(keys(run.out))) == 60
    assert report.writers["llm"] > 20 and report.rejected["unknown object"] > 10
    assert report.writers["llm"] + report.writers["rules"] == 60
    assert report.writers["rules"] == sum(report.fell_back.values())
    assert "volcano" not in " ".join(long for r in read_corpus(run.out) for _, long in r.texts)
    card = (run.out / "README.md").read_text()
    assert "rejected for unknown object" in card and "requests" in card


def test_killed_it_asks_nothing_again_that_was_answered(tmp_path: Path, photos: Source) -> None:
    fork, luck = multiprocessing.get_context("fork"), random.Random(1)
    with serve_llm(lambda _: Reply(json.dumps(GOOD), wait_s=0.01)) as server:
        run = Run.begin(tmp_path / "out", settings(photos, writer="llm", llm=asked(server.url)))
        for _ in range(8):
            child = fork.Process(target=build, args=(run,))
            child.start()
            child.join(luck.uniform(0.1, 0.9))
            if child.exitcode is None:
                os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
        build(run)
        assert len(set(keys(run.out))) == 60
        assert set(server.paid.values()) == {1} and len(server.paid) == 60
        again = sum(server.answered.values()) - 60  # asked once more under the same key: they were in flight
        assert again <= 8 * 4


def test_a_spent_budget_stops_and_a_larger_one_goes_on(tmp_path: Path, photos: Source) -> None:
    with serve_llm(lambda _: Reply(json.dumps(GOOD))) as server:
        few = settings(photos, writer="llm", llm=asked(server.url, budget_tokens=8_000))
        with pytest.raises(BudgetSpent, match="budget"):
            build(Run.begin(tmp_path / "out", few))
        paid = len(server.paid)
        assert 0 < paid < 60
        build(Run.begin(tmp_path / "out", settings(photos, writer="llm", llm=asked(server.url))))
        assert len(server.paid) == 60 and set(server.paid.values()) == {1}


def test_an_endpoint_that_is_down_leaves_everything_to_the_rules(tmp_path: Path, photos: Source) -> None:
    down = asked("http://127.0.0.1:9/v1", retries=2, down_after=3)
    report = build(Run.begin(tmp_path / "out", settings(photos, writer="llm", llm=down)))
    assert report.writers == {"rules": 60} and report.fell_back == {"endpoint down": 60}


def test_bad_input_is_named_and_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = make_captions(
        tmp_path / "captions", [{"filename": "gone.jpg", "split": "train", "sentences": [{"raw": "x y"}]}]
    )
    (tmp_path / "captions" / "images").mkdir(exist_ok=True)
    victim = next(p for p in sorted(good.pictures.rglob("*.jpg")))
    victim.write_bytes(b"no picture")
    lines = ("1 2 3 4 plane", "10 10 70 10 70 20 10 20 plane 0", "80 0 100 0 100 40 80 40 warp-gate 1")
    ships = make_dota(tmp_path / "dota", lines).model_copy(
        update={"strict_classes": True, "classes": {"plane": "plane"}}
    )
    empty = make_dota(tmp_path / "empty").model_copy(update={"name": "empty"})
    shutil.rmtree(tmp_path / "empty" / "train")
    shutil.rmtree(tmp_path / "empty" / "val")
    (tmp_path / "empty" / "images").mkdir()
    (tmp_path / "empty" / "labelTxt").mkdir()
    with pytest.raises(DataError, match=f"the source empty gives no record from .*{empty.root.name}"):
        build(Run.begin(tmp_path / "none", settings(good, ships, empty)))
    report = build(Run.begin(tmp_path / "out", settings(good, ships)))
    assert report.written_total == len(keys(tmp_path / "out")) > 0
    assert {"unreadable picture", "picture missing", "broken annotation line", "class not in the map"} <= set(
        report.faults
    )
    assert victim.name in report.faults["unreadable picture"]["examples"][0]


def test_a_full_disk_stops_and_the_same_command_goes_on(
    tmp_path: Path, photos: Source, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Run.begin(tmp_path / "whole", settings(photos))
    build(whole)
    path = Path(photos.annotations).parent / "sources.toml"  # type: ignore[attr-defined]
    words = ["build", "--sources", str(path), "--out", str(tmp_path / "out"), "--duplicates", "hash"]
    words += ["--chunk-records", "3", "--workers", "1"]
    real, room = os.replace, 30

    def full(source: Any, target: Any) -> None:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert command.main(words) == 2
    assert "make room" in capsys.readouterr().err
    assert command.main(words) == 0
    assert files(tmp_path / "out") == files(whole.out)


def test_duplicates_leave_training_and_their_captions_stay(tmp_path: Path, photos: Source) -> None:
    """A second source holds some of the same pictures under other names, once more encoded."""
    rows = []
    for n in range(20):
        with Image.open(Path(photos.pictures) / f"airport_{n}.jpg") as picture:  # type: ignore[attr-defined]
            (tmp_path / "images").mkdir(exist_ok=True)
            picture.resize((64, 64)).save(tmp_path / "images" / f"copy{n}.png")
        rows.append(
            {"filename": f"copy{n}.png", "split": "train", "sentences": [{"raw": f"a large runway of kind {n}"}]}
        )
    (tmp_path / "copies.json").write_text(json.dumps({"images": rows}))
    (copies,) = read_sources(_toml(tmp_path, "copies", "copies.json"))
    report = build(Run.begin(tmp_path / "out", settings(photos, copies)))
    records = {r.key: r for r in read_corpus(tmp_path / "out")}
    assert not any(key.startswith("copies/") for key in records)
    assert any("runway" in c for c in records["photos/airport_5.jpg"].captions), "a duplicate's captions are not lost"
    assert not any("runway" in c for c in records["photos/airport_0.jpg"].captions), "a val picture keeps to its own"
    assert any("100" in s and "copies" in s for s in report.duplicates["sentences"]), report.duplicates
    assert (tmp_path / "out" / "duplicates.csv").read_text().count("copies/") >= 20


def test_held_out_sets_protect_and_are_not_written(tmp_path: Path, photos: Source) -> None:
    kept_back = photos.model_copy(update={"name": "measured", "held_out": True, "split": "test"})
    report = build(Run.begin(tmp_path / "out", settings(photos, kept_back)))
    splits = Counter(r.split for r in read_corpus(tmp_path / "out"))
    assert splits["train"] == 0 and report.held_out == ["measured"]


def test_another_run_is_not_mixed_in(tmp_path: Path, photos: Source) -> None:
    Run.begin(tmp_path / "out", settings(photos))
    with pytest.raises(DataError, match="seed"):
        Run.begin(tmp_path / "out", settings(photos, seed=1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="something else"):
        Run.begin(tmp_path / "mine", settings(photos))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--sources", "no.toml"], "no.toml"),
        (["--data", "DATA", "--only", "mars"], "mars"),
        (["--data", "DATA", "--writer", "llm"], "--llm"),
        (["--data", "DATA", "--llm", "x.json"], "--writer llm"),
        (["--data", "DATA", "--variants", "0"], "--variants"),
        (["--data", "DATA", "--formats", "csv"], "--formats"),
    ],
)
def test_wrong_words_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    data = _data(tmp_path / "data")
    given = [str(data) if word == "DATA" else word for word in words]
    assert command.main(["build", *given, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_training_reads_what_the_engine_wrote(tmp_path: Path) -> None:
    """`train.fit` on the engine's folder: the pictures come out of the shards, the texts are the written ones."""
    data = _data(tmp_path / "data")
    run = Run.begin(tmp_path / "out", settings(*known_sources(data), duplicates="keep", variants=3))
    build(run)
    records = read_corpus(run.out)
    assert records and all(r.texts and r.span for r in records)
    first = records[0]
    assert open_picture(first.path, first.span).size[0] > 0
    damaged = run.out / "shards" / sorted(os.listdir(run.out / "shards"))[0]
    damaged.write_bytes(damaged.read_bytes()[:700])
    with pytest.raises(DataError, match=damaged.name):
        read_corpus(run.out)
