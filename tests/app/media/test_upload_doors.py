"""An upload looks as its file does everywhere else, in the picture box and in the scene box, and keeps no metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.media.images import uploaded, uploaded_as
from app.media.scene_input import opened_upload
from lrsclip.errors import PictureError
from lrsclip.io.decode import decode, open_image
from tests.helpers.app_parts import as_sent
from tests.helpers.picture_kinds import NAMES, RGB, make, write
from tests.helpers.scene_parts import whole

BESIDE = ("mask_beside.tif",)  # what lies beside a file is lost when the file alone is sent


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*BESIDE, "fax.tif")])
def test_an_upload_looks_as_its_file_does(name: str, tmp_path: Path) -> None:
    path = make(name, tmp_path)
    expected = np.asarray(open_image(path)).astype(int)
    upload = as_sent(path)
    shown, summary = uploaded_as(upload, None)
    assert np.abs(np.asarray(shown).astype(int) - expected).max() <= 1
    with opened_upload(upload) as opened:
        assert np.abs(whole(opened.scene).astype(int) - expected).max() <= 1
        assert opened.scene.summary == summary
    if name.endswith((".tif", ".png", ".jp2")):
        assert summary == decode(path).summary


def test_a_fax_is_refused_by_name(tmp_path: Path) -> None:
    """Its decoder tells of each row."""
    with pytest.raises(PictureError, match="TIFF of compression 4; save it with deflate"):
        uploaded(as_sent(make("fax.tif", tmp_path)))


def test_names_of_bands_and_wavelengths_stay_with_an_upload(tmp_path: Path) -> None:
    deep = np.concatenate([RGB[::-1], RGB[:1]]).astype(np.uint16) * 12
    light = tuple({"wavelength": f"{nm}", "owner": "somebody"} for nm in (450, 550, 650, 850))
    path = write(tmp_path / "a.tif", deep, tags=light)
    upload = as_sent(path)
    assert b"somebody" in path.read_bytes() and b"somebody" not in upload.path.read_bytes()
    assert uploaded_as(upload, None)[1].startswith("bands 3, 2, 1;")
    assert uploaded_as(upload, (1, 2, 3))[1].startswith("bands 1, 2, 3;")
    red, blue = np.asarray(uploaded(upload)), np.asarray(uploaded_as(upload, (1, 2, 3))[0])
    np.testing.assert_array_equal(red, blue[:, :, ::-1])


def test_a_sentinel_picture_keeps_its_place_and_bands_as_geotiff(tmp_path: Path) -> None:
    place: dict[str, Any] = {"crs": "EPSG:32632", "transform": (10, 0, 5e5, 0, -10, 5e6)}
    path = write(tmp_path / "a.jp2", RGB.astype(np.uint16) * 12, driver="JP2OpenJPEG", REVERSIBLE="YES", **place)
    upload = as_sent(path)
    assert upload.path.name == "a.jp2.tif"
    with opened_upload(upload) as opened:
        assert opened.scene.georeference is not None
        assert opened.scene.summary == "bands 1, 2, 3; stretched 2-98 %"
