"""`lrsclip.load`: our folders, published state dicts, and everything that can be wrong with them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import lrsclip
from lrsclip.checkpoints.factory import locate
from lrsclip.checkpoints.native import read_manifest, write_checkpoint
from lrsclip.errors import CheckpointError, LRSCLIPError, PictureError, TextError, UnknownModelError
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import seeded_model
from lrsclip.models.preprocess import to_batch
from tests.helpers.published_forward import image_features, random_state, text_features

TEXTS = ["an airport with several planes parked beside a long terminal building", "tank " * 300, "sea"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint folder of ours."""
    model = seeded_model(ModelConfig.named("tiny-causal"), seed=3)
    write_checkpoint(tmp_path / "ours", model, name="ours", vocabulary={"sea": 2}, training={}, metrics={})
    return tmp_path / "ours"


@pytest.mark.parametrize(
    ("width", "text_width", "layers", "text_layers", "patch", "embed", "two"),
    [(128, 64, 2, 3, 16, 96, True), (64, 192, 3, 1, 32, 48, True), (64, 64, 1, 2, 28, 32, False)],
)
@torch.inference_mode()
def test_published_state_dict_gives_the_published_features(
    tmp_path: Path, width: int, text_width: int, layers: int, text_layers: int, patch: int, embed: int, two: bool
) -> None:
    state = random_state(width, text_width, layers, text_layers, patch, embed, two)
    torch.save(state, tmp_path / "LRSCLIP_any.pt")
    bundle = lrsclip.load(tmp_path / "LRSCLIP_any.pt", precision="fp32", device="cpu")
    assert (bundle.context_length, bundle.embed_dim) == (248, embed)
    assert bundle.logit_scale == pytest.approx(100, rel=1e-4)
    tokens = torch.zeros(3, 248, dtype=torch.long)
    ours = bundle.tokenizer(TEXTS)
    tokens[:, : ours.shape[1]] = ours
    expected = torch.nn.functional.normalize(text_features(state, tokens), dim=-1)
    assert torch.allclose(torch.from_numpy(bundle.encode_text(TEXTS)), expected, atol=1e-5)
    picture = Image.effect_noise((300, 240), 80).convert("RGB")
    pixels = to_batch([picture], bundle.preprocess)
    expected = torch.nn.functional.normalize(image_features(state, pixels), dim=-1)
    assert torch.allclose(torch.from_numpy(bundle.encode_image([picture])), expected, atol=1e-5)


def test_our_folder_goes_there_and_back(folder: Path) -> None:
    a, b = lrsclip.load(folder, precision="fp32"), lrsclip.load(str(folder), precision="fp32")
    assert (a.encode_text(TEXTS) == b.encode_text(TEXTS)).all()
    assert a.sha256 == read_manifest(folder)["sha256"]
    assert a.describe_tokens("sea lion").unseen_words == ("lion",)


def test_bf16_stays_close_to_fp32(folder: Path) -> None:
    exact, fast = lrsclip.load(folder, precision="fp32"), lrsclip.load(folder, precision="bf16")
    assert (exact.encode_text(TEXTS) * fast.encode_text(TEXTS)).sum(1).min() > 0.995
    assert fast.logit_scale == pytest.approx(exact.logit_scale, rel=1e-6)


def test_weights_of_another_manifest_are_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest | {"sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"sha256.*fetch both again"):
        lrsclip.load(folder)


def test_preprocessing_that_contradicts_the_configuration_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest["preprocessing"]["image_px"] = 336
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="preprocessing contradicts config"):
        lrsclip.load(folder)


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="sha256"):
        lrsclip.load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest["config"]["text"]["width"] = 128
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"tensor .* is \(.*do not belong together"):
        lrsclip.load(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 9, "name": "", "sha256": "", "config": {}}'])
def test_broken_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest.json"):
        lrsclip.load(folder)


def test_missing_pieces_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        lrsclip.load(folder)
    with pytest.raises(UnknownModelError, match="no checkpoint 'nosuch'"):
        lrsclip.load("nosuch")
    with pytest.raises(UnknownModelError, match="not a path here"):
        lrsclip.load(tmp_path / "nowhere" / "file.pt")


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


def test_pickled_code_never_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(_Evil()))
    torch.save({"state_dict": _Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(CheckpointError, match="never pickled code"):
            lrsclip.load(tmp_path / name)
    assert "code ran" not in capsys.readouterr().out


def test_foreign_or_damaged_state_dicts_are_refused(tmp_path: Path) -> None:
    state = random_state(64, 64, 1, 1, 32, 32)
    cases = {
        "lacks logit_scale": {k: v for k, v in state.items() if k != "logit_scale"},
        "is missing": {k: v for k, v in state.items() if k != "ln_final.bias"},
        "is unknown": state | {"visual.extra": torch.zeros(1)},
        "size mismatch": state | {"ln_final.weight": torch.zeros(65)},
        "holds no state dict": torch.zeros(3),
        "must be alike": state | {"positional_embedding_res": torch.zeros(21, 64)},
        "not of 2 axes": state | {"text_projection": torch.zeros(64)},
        "kept_positions 20 does not fit": {k: v[:10] if k.startswith("positional") else v for k, v in state.items()},
    }
    for number, (message, content) in enumerate(cases.items()):
        path = tmp_path / f"{number}.pt"
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=message):
            lrsclip.load(path)


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    bundle = lrsclip.random_model()
    good = Image.new("RGB", (20, 20))
    half = tmp_path / "half.jpg"
    Image.effect_noise((200, 200), 90).save(half)
    half.write_bytes(half.read_bytes()[:2000])
    for bad in ("file.jpg", Image.new("RGB", (0, 5)), Image.new("L", (1, 50_000)), Image.open(half)):
        with pytest.raises(PictureError, match="picture 1"):
            bundle.encode_image([good, bad])  # type: ignore[list-item]


def test_picture_numbers_count_over_all_batches() -> None:
    pictures: list[object] = [Image.new("RGB", (8, 8))] * 40
    with pytest.raises(PictureError, match="picture 40 is str"):
        lrsclip.random_model().encode_image([*pictures, "x.jpg"])  # type: ignore[list-item]


def test_sixteen_bits_are_stretched_not_cut_off() -> None:
    ramp = np.tile(np.linspace(0, 1, 64), (64, 1))
    deep, flat = Image.fromarray((ramp * 65535).astype(np.uint16)), Image.fromarray((ramp * 255).astype(np.uint8))
    bundle = lrsclip.random_model()
    assert (bundle.encode_image([deep]) @ bundle.encode_image([flat]).T).item() > 0.99


def test_lists_are_asked_for() -> None:
    bundle = lrsclip.random_model()
    for wrong in (None, 5, {"a": 1}):
        with pytest.raises(TextError, match="as a list"):
            bundle.encode_text(wrong)  # type: ignore[arg-type]
        with pytest.raises(PictureError, match="as a list"):
            bundle.encode_image(wrong)  # type: ignore[arg-type]
    assert bundle.encode_text("one text").shape == (1, 32)  # type: ignore[arg-type]


def test_a_cut_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bundle = lrsclip.random_model()
    bundle.encode_text(["short"])
    assert not caplog.records
    bundle.encode_text(["short", "tank " * 400])
    assert "1 of 2 texts have more than 248 tokens" in caplog.text


def test_token_table_is_stored_small_and_read_close(folder: Path) -> None:
    name = "text.token_embedding.table.weight"
    assert load_file(folder / "model.safetensors")[name].dtype == torch.int8
    exact = seeded_model(ModelConfig.named("tiny-causal"), seed=3).state_dict()[name]
    read = lrsclip.load(folder, precision="fp32").model.state_dict()[name]
    assert (read - exact).abs().max() <= exact.abs().max() / 127 / 2 + 1e-3


def test_shipped_checkpoint_is_small_and_knows_what_it_is() -> None:
    folder = locate("tiny")
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 32_000_000
    bundle = lrsclip.load("tiny")
    assert bundle.context_length == 248
    assert bundle.manifest["training"]["pictures"]["rsicd"] == 8734
    assert bundle.describe_tokens("a photo of storage tanks and a zeppelin").unseen_words == ("zeppelin",)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_picture_mode_is_read(mode: str) -> None:
    assert lrsclip.random_model().encode_image([Image.new(mode, (40, 30))]).shape == (1, 32)


def test_unknown_device_or_precision() -> None:
    for wrong in ({"device": "abacus"}, {"precision": "int3"}):
        with pytest.raises(LRSCLIPError, match="is not known"):
            lrsclip.load("tiny", **wrong)
