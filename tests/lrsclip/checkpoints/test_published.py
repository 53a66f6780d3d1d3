"""Published CLIPs of every family and layout give open_clip's vectors, or are refused with the reason."""

from __future__ import annotations

import json
import pickle
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import lrsclip
from lrsclip.checkpoints.facts import Facts, Told, open_clip_facts, table
from lrsclip.checkpoints.published import plan, read_published
from lrsclip.checkpoints.shapes import Shapes, tensors_of
from lrsclip.checkpoints.transformers_config import transformers_facts
from lrsclip.errors import CheckpointError
from lrsclip.models.config import ModelConfig
from tests.helpers.clip_models import (
    OpenAI,
    difference,
    make_clip,
    model_config,
    state_of,
    transformers_config,
    transformers_state,
    write_open_clip,
    write_transformers,
)

# Small copies: heads, activation, feed-forward ratio and patch of each family, with few and narrow layers.
FAMILIES: dict[str, dict[str, Any]] = {
    "ViT-B-32, OpenAI": {"quick_gelu": True},
    "ViT-B-16, LAION": {"vision_cfg": {"patch_size": 16}},
    "ViT-L-14, DataComp": {"vision_cfg": {"patch_size": 14, "image_size": 56}, "text_cfg": {"width": 192, "heads": 3}},
    "ViT-H-14": {"vision_cfg": {"width": 160, "head_width": 80, "patch_size": 14, "image_size": 42}},
    "ViT-H-14, quick": {"quick_gelu": True, "vision_cfg": {"width": 320, "head_width": 80}},
    "ViT-g-14": {"vision_cfg": {"width": 176, "head_width": 88, "mlp_ratio": 4.3637, "patch_size": 14}},
    "ViT-bigG-14": {"vision_cfg": {"width": 208, "head_width": 104, "mlp_ratio": 4.9231, "image_size": 96}},
    "heads of 32": {"vision_cfg": {"head_width": 32}, "text_cfg": {"heads": 4}},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_an_open_clip_folder_gives_open_clips_vectors(name: str, tmp_path: Path) -> None:
    config = model_config(**FAMILIES[name])
    config["vision_cfg"]["image_size"] -= config["vision_cfg"]["image_size"] % config["vision_cfg"]["patch_size"]
    model = make_clip(config)
    facts = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
    bundle = lrsclip.load(write_open_clip(tmp_path / "clip", config, model, **facts), precision="fp32", device="cpu")
    assert difference(model, bundle, **facts) < 1e-5
    assert (bundle.name, bundle.context_length) == ("clip", 77)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_transformers_folder_gives_open_clips_vectors(name: str, tmp_path: Path) -> None:
    config = model_config(**FAMILIES[name])
    config["vision_cfg"]["image_size"] -= config["vision_cfg"]["image_size"] % config["vision_cfg"]["patch_size"]
    model = make_clip(config)
    folder = write_transformers(tmp_path / "clip", config, state_of(model))
    assert difference(model, lrsclip.load(folder, precision="fp32", device="cpu")) < 1e-5
    # told, its weights alone say as much
    heads = f"image_heads={config['vision_cfg']['width'] // config['vision_cfg']['head_width']}"
    torch.save({"state_dict": transformers_state(state_of(model))}, tmp_path / "any.pt")
    said = f"activation={'quick_gelu' if config.get('quick_gelu') else 'gelu'}&{heads}"
    told = f"{tmp_path / 'any.pt'}?{said}&text_heads={config['text_cfg']['heads']}"
    assert difference(model, lrsclip.load(told, precision="fp32", device="cpu")) < 1e-5


def test_transformers_preprocessing_and_parts_are_read(tmp_path: Path) -> None:
    config = model_config()
    model = make_clip(config)
    folder = write_transformers(tmp_path / "clip", config, state_of(model))
    (folder / "model.safetensors").unlink()
    tensors = sorted(transformers_state(state_of(model)).items())
    for number, part in enumerate((tensors[::2], tensors[1::2])):
        save_file(dict(part), folder / f"model-{number}.safetensors")
    where = {name: f"model-{at % 2}.safetensors" for at, (name, _) in enumerate(tensors)}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    preprocessor: dict[str, Any] = {
        "image_processor_type": "CLIPImageProcessor",
        "image_mean": [0.5] * 3,
        "image_std": [0.3] * 3,
    }
    preprocessor |= {"resample": 2, "size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    bundle = lrsclip.load(folder, precision="fp32", device="cpu")
    assert difference(model, bundle, mean=(0.5,) * 3, std=(0.3,) * 3, interpolation="bilinear") < 1e-5
    for wrong, reason in (
        ({"size": {"height": 64, "width": 64}}, "the shorter side resized"),
        ({"do_center_crop": False}, "do_center_crop"),
        ({"image_processor_type": "ViTImageProcessor"}, "a ViTImageProcessor"),
        ({"crop_size": 32}, "contradicts image_size"),
        ({"resample": 0}, "bicubic and bilinear"),
        ({"image_std": [0.3]}, "not three numbers"),
    ):
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor | wrong))
        with pytest.raises(CheckpointError, match=reason):
            lrsclip.load(folder)
    index.write_text(json.dumps({"weight_map": where | {"logit_scale": "../elsewhere.pt"}}))
    with pytest.raises(CheckpointError, match="no file of weights there"):
        lrsclip.load(folder)


def _ways(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    custom = {k if k.startswith(("visual", "logit")) else f"text.{k}": v for k, v in state.items()}
    return {
        "plain": state,
        "CustomTextCLIP": custom,
        "trainer": {"epoch": 3, "name": "x", "state_dict": {f"module.{k}": v for k, v in state.items()}},
        "Lightning": {"state_dict": {f"model.clip.{k}": v for k, v in state.items()}, "global_step": 1},
        "compiled": {"model": {f"_orig_mod.module.{k}": v for k, v in custom.items()}, "optimizer": {"state": {}}},
        "beside a bias": state | {"logit_bias": torch.tensor(-10.0), "logit_scale": state["logit_scale"][None]},
        "halves": {k: v.half() for k, v in state.items()},
    }


@pytest.mark.parametrize("way", _ways({"logit_scale": torch.zeros(())}))
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
def test_every_way_to_save_one_gives_its_vectors(way: str, suffix: str, tmp_path: Path) -> None:
    if suffix == ".safetensors" and way in ("trainer", "Lightning", "compiled"):
        pytest.skip("safetensors has no keys above tensors")
    model = make_clip(model_config(quick_gelu=True))
    content = _ways(state_of(model))[way]
    path = tmp_path / f"clip{suffix}"
    save_file(content, path) if suffix == ".safetensors" else torch.save(content, path)
    told = "?activation=quick_gelu&image_heads=2&text_heads=1"
    bundle = lrsclip.load(f"{path}{told}", precision="fp32", device="cpu")
    assert difference(model, bundle) < (5e-3 if way == "halves" else 1e-5)
    mistaken = path.with_name("named.pth")
    path.rename(mistaken)  # what a file is called does not matter
    assert lrsclip.load(f"{mistaken}{told}").sha256 == bundle.sha256


def test_a_file_that_torch_wrote_before_2020_is_read(tmp_path: Path) -> None:
    model = make_clip(model_config())
    torch.save(state_of(model), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    told = f"{tmp_path / 'old.pt'}?activation=gelu&image_heads=2&text_heads=1"
    assert difference(model, lrsclip.load(told, precision="fp32", device="cpu")) < 1e-5


@pytest.mark.parametrize("how", ["traced", "halves"])
def test_openais_archive_is_read_and_its_program_is_not_run(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_clip(model_config(quick_gelu=True))
    whole = OpenAI(model.half() if how == "halves" else model).eval()
    kind = torch.float16 if how == "halves" else torch.float32
    tokens = open_clip.tokenize(["sea", "land"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(whole, (torch.zeros(2, 3, 64, 64, dtype=kind), tokens), check_trace=False)
        torch.jit.save(traced, tmp_path / "ViT-small.pt")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a program was loaded")

    monkeypatch.setattr(torch.jit, "load", refuse)
    monkeypatch.setattr(torch._C, "import_ir_module", refuse)
    bundle = lrsclip.load(tmp_path / "ViT-small.pt", precision="fp32", device="cpu")
    assert difference(model.float(), bundle) < 1e-5
    assert bundle.config.quick_gelu


def test_marks_of_openai_are_enough_for_a_state_dict(tmp_path: Path) -> None:
    model = make_clip(model_config(quick_gelu=True))
    marks = {name: torch.tensor(77) for name in ("input_resolution", "context_length", "vocab_size")}
    torch.save(state_of(model) | marks, tmp_path / "clip.pt")
    assert difference(model, lrsclip.load(tmp_path / "clip.pt", precision="fp32", device="cpu")) < 1e-5


def test_what_is_not_said_is_asked_for(tmp_path: Path) -> None:
    torch.save(state_of(make_clip(model_config())), tmp_path / "clip.pt")
    with pytest.raises(
        CheckpointError, match=r"does not say its activation.*\?activation=gelu&image_heads=2&text_heads=1"
    ):
        lrsclip.load(tmp_path / "clip.pt")
    torch.save(state_of(make_clip(model_config(vision_cfg={"width": 320, "head_width": 80}))), tmp_path / "wide.pt")
    with pytest.raises(CheckpointError, match=r"width 320 \(5 or 4 in .*\?activation=gelu&image_heads=N&text_heads=1"):
        lrsclip.load(tmp_path / "wide.pt")
    with pytest.raises(CheckpointError, match=r"does not say the heads of its text tower of width 64"):
        lrsclip.load(f"{tmp_path / 'clip.pt'}?activation=gelu&image_heads=2")
    with pytest.raises(CheckpointError, match=r"width 128 is no multiple of heads 3"):
        lrsclip.load(f"{tmp_path / 'clip.pt'}?activation=gelu&image_heads=3&text_heads=1")
    for wrong in ("activation=relu", "heads=2", "activation=gelu&activation=gelu", "image_heads=0", "activation"):
        with pytest.raises(CheckpointError, match="there are activation=gelu or quick_gelu"):
            lrsclip.load(f"{tmp_path / 'clip.pt'}?{wrong}")
    with pytest.raises(CheckpointError, match="leave"):
        lrsclip.load("tiny?activation=gelu")


def test_another_reading_is_another_model_to_an_index(tmp_path: Path) -> None:
    path = tmp_path / "what?.pt"  # a question mark in a file's own name
    torch.save(state_of(make_clip(model_config())), path)
    told = [f"activation={a}&image_heads={h}&text_heads=1" for a in ("gelu", "quick_gelu") for h in (1, 2)]
    bundles = [lrsclip.load(f"{path}?{one}") for one in told]
    assert len({bundle.sha256 for bundle in bundles}) == 4


def test_a_normalization_that_is_not_said_is_told_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = make_clip(model_config())
    torch.save(state_of(model), tmp_path / "clip.pt")
    told = f"{tmp_path / 'clip.pt'}?activation=gelu&image_heads=2&text_heads=1"
    assert difference(model, lrsclip.load(told, precision="fp32", device="cpu")) < 1e-5
    assert "does not say how its pictures are normalized" in caplog.text
    caplog.clear()
    bundle = lrsclip.load(f"{told}&normalization=inception", precision="fp32", device="cpu")
    assert difference(model, bundle, mean=(0.5,) * 3, std=(0.5,) * 3) < 1e-5
    assert "normalized" not in caplog.text


def on_meta(name: str, **changes: int) -> dict[str, torch.Tensor]:
    """The tensors of an architecture of open_clip's table, at full size and without numbers."""
    facts = next(row for row in table() if row.origin == name)
    shapes = Shapes(**{**facts.stated, **changes})
    return {key: torch.empty(size, device="meta") for key, size in tensors_of(shapes).items()}


@pytest.mark.parametrize(
    ("name", "image_heads", "text_heads", "activation"),
    [
        ("ViT-B-32", 12, 8, None),
        ("ViT-L-14", 16, 12, None),
        ("ViT-L-14-336", 16, 12, None),
        ("ViT-H-14", 16, 16, None),
        ("ViT-H-14-378", 16, 16, None),
        ("ViT-bigG-14", 16, 20, None),
        ("ViT-B-32-256", 12, 8, None),  # as B-32, whose pictures may have been enlarged in a fine-tuning
        ("ViT-g-14", 16, 16, "gelu"),
        ("ViT-B-16-plus-240", 14, 10, "gelu"),
    ],
)
def test_the_table_gives_heads_and_an_activation_only_where_it_is_one(
    name: str, image_heads: int, text_heads: int, activation: str | None
) -> None:
    state = on_meta(name)
    if activation is None:
        with pytest.raises(CheckpointError, match=f"does not say its activation .*{name}"):
            plan(state, origin=name, facts=None, told=Told())
    told = Told() if activation else Told(activation="quick_gelu")
    config = plan(state, origin=name, facts=None, told=told)
    assert (config.image.heads, config.text.heads) == (image_heads, text_heads)
    assert config.quick_gelu == (activation is None)
    assert int(config.image.width * config.image.mlp_ratio) == len(
        state["visual.transformer.resblocks.0.mlp.c_fc.bias"]
    )


def test_the_table_is_open_clips() -> None:
    names = {row.origin for row in table()}
    assert {"ViT-B-32", "ViT-B-32-quickgelu", "ViT-H-14", "ViT-g-14", "ViT-bigG-14", "ViT-e-14"} <= names
    assert not {name for name in names if "SigLIP" in name or "worldwide" in name or "CLIPA" in name or "RN" in name}
    for row in table():
        theirs = open_clip.get_model_config(row.origin)
        assert row.image_heads == theirs["vision_cfg"]["width"] // theirs["vision_cfg"].get("head_width", 64)


def test_the_list_of_tensors_is_the_models() -> None:
    config = model_config(vision_cfg={"width": 176, "head_width": 88, "mlp_ratio": 4.3637})
    shapes = Shapes(**open_clip_facts(config, origin="x").stated)
    theirs = {name: tuple(tensor.shape) for name, tensor in make_clip(config).state_dict().items()}
    assert tensors_of(shapes) == theirs


def _stretched(state: dict[str, torch.Tensor], two: bool) -> dict[str, torch.Tensor]:
    table = torch.randn(248, state["positional_embedding"].shape[1])
    return state | {"positional_embedding": table} | ({"positional_embedding_res": table + 1} if two else {})


@pytest.mark.parametrize("two", [True, False])
def test_long_clips_say_their_code_by_their_positions(two: bool, caplog: pytest.LogCaptureFixture) -> None:
    state = _stretched(state_of(make_clip(model_config())), two)
    config = plan(state, origin="x", facts=None, told=Told())
    assert (config.quick_gelu, config.image.heads, config.text.heads, config.text.context_length) == (True, 2, 1, 248)
    assert ("one table of 248 text positions" in caplog.text) is not two  # less of a sign, and said
    # on a tower whose heads are of 80 everywhere else, the two contradict each other
    wide = on_meta("ViT-H-14", context_length=248)
    with pytest.raises(CheckpointError, match="heads of its image tower of width 1280"):
        plan(wide | {"positional_embedding_res": wide["positional_embedding"]}, origin="x", facts=None, told=Told())


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"vision_cfg": {"width": 192}}, "image_width 192, the weights have 128"),
    ({"vision_cfg": {"layers": 3}}, "image_layers 3"),
    ({"vision_cfg": {"image_size": 96}}, "image_px 96"),
    ({"text_cfg": {"context_length": 50}}, "context_length 50"),
    ({"embed_dim": 64}, "embed_dim 64"),
    ({"vision_cfg": {"timm_model_name": "vit_base_patch16_siglip_224"}}, "timm's vit_base_patch16_siglip_224"),
    ({"text_cfg": {"hf_model_name": "roberta-base"}}, "text tower is roberta-base"),
    ({"text_cfg": {"vocab_size": 32000, "hf_tokenizer_name": "bert-base-uncased"}}, "another tokenizer.*bert-base"),
    ({"text_cfg": {"tokenizer_kwargs": {"clean": "canonicalize"}}}, "tokenizer_kwargs"),
    ({"text_cfg": {"pool_type": "last"}}, "text_cfg.pool_type = 'last'"),
    ({"text_cfg": {"no_causal_mask": True}}, "no_causal_mask"),
    ({"vision_cfg": {"no_ln_pre": True}}, "no_ln_pre"),
    ({"vision_cfg": {"ls_init_value": 1e-4}}, "ls_init_value"),
    ({"vision_cfg": {"act_kwargs": {"approximate": "tanh"}}}, "act_kwargs"),
    ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, "ResNet"),
    ({"multimodal_cfg": {"width": 512}}, "CoCa"),
    ({"vision_cfg": {"head_width": "wide"}}, "cannot be understood"),
]


@pytest.mark.parametrize(("changes", "reason"), CONTRADICTIONS)
def test_a_configuration_of_another_model_is_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = write_open_clip(tmp_path / "clip", model_config(), make_clip(model_config()))
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_config(**changes)}))
    with pytest.raises(CheckpointError, match=reason):
        lrsclip.load(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "siglip"}, "of type 'siglip', not a CLIP"),
        ({"vision_config": {"hidden_act": "gelu_new"}}, "'gelu_new' is not known"),
        ({"vision_config": {"hidden_act": "quick_gelu"}}, "activations differ"),
        ({"vision_config": {"layer_norm_eps": 1e-6}}, "layer_norm_eps"),
        ({"vision_config": {"num_attention_heads": 7}}, "no multiple of heads 7"),
        ({"text_config": {"vocab_size": 64000}}, "another tokenizer"),
        ({"text_config": {"hidden_size": 512}}, "text_width 512"),
        ({"text_config_dict": {"num_attention_heads": 2}}, "text_config_dict lacks the hidden_size"),
        (
            {"vision_config_dict": transformers_config(model_config())["vision_config"] | {"num_attention_heads": 4}},
            "says num_attention_heads = 2, vision_config_dict 4",
        ),
    ],
)
def test_a_transformers_configuration_of_another_model_is_refused(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    folder = write_transformers(tmp_path / "clip", model_config(), state_of(make_clip(model_config())))
    config = transformers_config(model_config())
    for key, value in changes.items():
        config[key] = config.get(key, {}) | value if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=reason):
        lrsclip.load(folder)


def _broken(state: dict[str, torch.Tensor]) -> dict[str, tuple[Any, str]]:
    bands = state["visual.conv1.weight"].repeat(1, 4, 1, 1)
    other = {f"ema.{k}": v for k, v in state.items()}
    return {
        "nan": (state | {"text_projection": state["text_projection"] * float("nan")}, "text_projection .*not finite"),
        "overflow": (state | {"ln_final.bias": state["ln_final.bias"] + float("inf")}, "ln_final.bias .*not finite"),
        "too large": (state | {"visual.proj": state["visual.proj"].double() * 1e300}, "visual.proj .*not finite"),
        "color": (state | {"\x1b[1mvisual\n": torch.zeros(1)}, r"\\x1b\[1mvisual\\n is unknown"),
        "endless": (state | {"x" * 10**6: torch.zeros(1)}, r"xxx \.\.\. xxx.* is unknown"),
        "int8": (state | {"visual.proj": state["visual.proj"].to(torch.int8)}, "quantized"),
        "bands": (state | {"visual.conv1.weight": bands}, "12 bands"),
        "tokens": (state | {"token_embedding.weight": torch.zeros(32000, 64)}, "another tokenizer"),
        "two models": ({"model": state, "model_ema": state}, r"several models \(model, model_ema\)"),
        "two prefixes": (state | other, "several models, by the prefixes"),
        "timm": ({"visual.trunk.blocks.0.x": torch.zeros(1)}, "timm"),
        "ResNet": ({"visual.layer1.0.conv1.weight": torch.zeros(1)}, "ResNet"),
        "SigLIP": ({"vision_model.head.probe": torch.zeros(1), **transformers_state(state)}, "SigLIP"),
        "adapter": ({"base.lora_A.weight": torch.zeros(1)}, "adapter"),
        "image half": ({k: v for k, v in state.items() if k.startswith("visual")}, "lacks positional_embedding"),
        "no numbers": (torch.zeros(3), "holds no state dict"),
        "objects": ({"state_dict": state, "args": Namespace(lr=1)}, r"holds Python objects \(argparse.Namespace\)"),
        "NumPy": ({"state_dict": state, "loss": np.float64(1)}, "holds Python objects .*numpy"),
    }


@pytest.fixture(scope="module")
def small() -> dict[str, torch.Tensor]:
    return state_of(make_clip(model_config()))


@pytest.mark.parametrize("kind", _broken(state_of(make_clip(model_config()))))
def test_what_cannot_be_used_is_refused_with_the_reason(
    kind: str, small: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    content, reason = _broken(small)[kind]
    torch.save(content, tmp_path / "clip.pt")
    with pytest.raises(CheckpointError, match=reason) as caught:
        lrsclip.load(f"{tmp_path / 'clip.pt'}?activation=gelu&image_heads=2&text_heads=1")
    in_our_words(str(caught.value))


def in_our_words(text: str) -> None:
    """No color codes, no second line, and no advice to load unsafely."""
    assert text.isprintable() and len(text) < 10_000
    assert "weights_only" not in text and "trust" not in text and "safe_globals" not in text


FILES = {
    b"": "is empty",
    b"<!DOCTYPE html><html>log in</html>": "is a web page",
    b"\xef\xbb\xbf \n<html>": "is a web page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n": "git lfs pull",
    pickle.dumps({"a": 1}): "pickle that torch did not write; .*never pickled code",
    pickle.dumps({"a": 1}, protocol=0): "pickle",
    b"\x93NUMPY\x01\x00": "a NumPy array",
    b"\x1f\x8b\x08": "a gzip archive",
    b"GGUF\x03": "a GGUF file",
    b'{"model_cfg": {}}': "no file of weights",
    b"PK\x03\x04 and no more": "cut off or damaged",
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": "cut off or damaged",
    b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":': "cut off or damaged",
}


@pytest.mark.parametrize("content", FILES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_of_something_else_is_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=FILES[content]) as caught:
        lrsclip.load(path)
    in_our_words(str(caught.value))


def test_archives_of_other_things_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(CheckpointError, match="not one that torch wrote"):
        lrsclip.load(tmp_path / "a.npz")


@pytest.mark.parametrize("old", [False, True])
def test_a_download_that_was_cut_off_is_refused(old: bool, small: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "clip.pt"
    torch.save(small, path, _use_new_zipfile_serialization=not old)
    whole = path.read_bytes()
    for share in (0.001, 0.3, 0.9999):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(CheckpointError, match="cut off or damaged") as caught:
            lrsclip.load(path)
        in_our_words(str(caught.value))
    save_file(small, tmp_path / "clip.safetensors")
    (tmp_path / "clip.safetensors").write_bytes((tmp_path / "clip.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut off or damaged"):
        lrsclip.load(tmp_path / "clip.safetensors")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A TorchScript archive of a few layers."""
    path = tmp_path_factory.mktemp("script") / "a.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    return path.read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damage_anywhere_ends_in_one_sentence(data: st.DataObject, script: bytes, tmp_path_factory: Any) -> None:
    content = bytearray(script)
    for at in data.draw(st.lists(st.integers(0, len(script) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pt"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with pytest.raises(CheckpointError) as caught:
        read_published(path)
    in_our_words(str(caught.value))


def test_the_configuration_beside_a_file_is_its_own(tmp_path: Path) -> None:
    config = model_config(vision_cfg={"head_width": 32})
    model = make_clip(config)
    folder = write_open_clip(tmp_path / "clip", config, model)
    assert (
        difference(model, lrsclip.load(folder / "open_clip_model.safetensors", precision="fp32", device="cpu")) < 1e-5
    )
    torch.save(state_of(model), folder / "mine.pt")  # by its name that configuration is not of it
    with pytest.raises(CheckpointError, match="does not say its activation"):
        lrsclip.load(folder / "mine.pt")
    assert difference(model, lrsclip.load(folder, precision="fp32", device="cpu")) < 1e-5
    with pytest.raises(CheckpointError, match=r"has no file other\.pt; files of weights there: mine\.pt, open"):
        lrsclip.load(f"{folder}?file=other.pt")
    with pytest.raises(CheckpointError, match=r"should hold one checkpoint, and has 2 \(mine.pt, other.pt\)"):
        (folder / "open_clip_config.json").unlink()
        (folder / "open_clip_model.safetensors").rename(folder / "other.pt")
        lrsclip.load(folder)
    bundle = lrsclip.load(f"{folder}?file=mine.pt&activation=gelu&image_heads=4&text_heads=1", precision="fp32")
    assert (bundle.name, difference(model, bundle) < 1e-5) == ("mine", True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2000) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_configuration_is_read_or_refused(data: st.DataObject) -> None:
    clip, face = model_config(), transformers_config(model_config())
    clip |= {"preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "shortest"}}
    early = {"image_mean": [0.5] * 3, "size": 64, "crop_size": 64, "resample": 3}
    for config in (clip, face, early):
        place: Any = config
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or data.draw(st.booleans()):
                break
            place = place[key]
        place[key] = data.draw(_JSON)
    readers: list[Callable[[], Facts]] = [
        lambda: open_clip_facts({"model_cfg": clip, "preprocess_cfg": clip["preprocess_cfg"]}, origin="x"),
        lambda: transformers_facts(face, early, origin="x"),
    ]
    for read in readers:
        try:
            facts = read()
        except CheckpointError as error:
            in_our_words(str(error))
        else:
            assert facts.preprocess is None or np.isfinite([*facts.preprocess.mean, *facts.preprocess.std]).all()


@settings(max_examples=300, deadline=None)
@given(data=st.data(), face=st.booleans())
def test_any_tensors_are_read_or_refused(data: st.DataObject, face: bool, small: dict[str, torch.Tensor]) -> None:
    whole = transformers_state(small) if face else small
    state = {name: tensor.to("meta") for name, tensor in whole.items()}
    sizes = st.lists(st.sampled_from([0, 1, 2, 3, 64, 128, 49408]), max_size=3) | st.just([128, 4, 32, 32])
    kinds = st.sampled_from([torch.float32, torch.int8, torch.bool, torch.complex64, torch.bfloat16])
    for name in data.draw(st.lists(st.sampled_from(sorted(state)), min_size=1, max_size=4, unique=True)):
        tensor = state.pop(name)
        how = data.draw(st.sampled_from(["gone", "renamed", "changed"]))
        if how == "renamed":
            state[data.draw(st.sampled_from(["module.", "x"])) + name] = tensor
        elif how == "changed":
            state[name] = torch.empty(data.draw(sizes), dtype=data.draw(kinds), device="meta")
    told = Told(activation="gelu", image_heads=2, text_heads=1)
    try:
        plan({"state_dict": state}, origin="x", facts=None, told=told)
    except CheckpointError as error:
        in_our_words(str(error))


def test_own_configurations_stay_as_they_were() -> None:
    assert ModelConfig.named("tiny").quick_gelu is False
