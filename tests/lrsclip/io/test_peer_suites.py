"""The check for folders of strangers' pictures: made files are read or refused, and no two doors apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.peer_suites import DOORS, Verdict, judged, main, make_files, report


@pytest.mark.slow
def test_made_files_are_read_or_refused_by_all_doors_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--make", "110", "--seed", "8"]) == 0
    assert "0 fault" in capsys.readouterr().out


def test_the_same_files_are_made_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_files(tmp_path / name, 80, 3)
    first, second = (sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("a", "b"))
    assert first == second and len(first) >= 80


def test_doors_that_do_not_agree_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (20, 16), (9, 9, 9)).save(tmp_path / "a.png")
    assert judged(tmp_path / "a.png").word == "read"
    monkeypatch.setitem(DOORS, "scene", lambda _: np.full((16, 20, 3), 90, np.uint8))
    told = judged(tmp_path / "a.png")
    assert told.word == "fault" and "scene and open_image are 81 of 255 apart" in report([told])

    def broken(path: Path) -> np.ndarray:
        raise KeyError(path.name)

    monkeypatch.setitem(DOORS, "scene", broken)
    assert "scene: KeyError: 'a.png'" in report([judged(tmp_path / "a.png")])
    assert main([str(tmp_path)]) == 1


def test_what_is_no_picture_is_refused_by_all(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("no picture")
    assert report([Verdict(tmp_path / "c"), judged(tmp_path / "b.txt")]) == "0 read, 2 refused, 0 fault"
