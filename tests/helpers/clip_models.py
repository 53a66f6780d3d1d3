"""Small CLIPs of open_clip's, with random weights, and the layouts that such models are published in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import lrsclip

State = dict[str, Tensor]
TEXTS = ["an airport beside a river", "sea", "storage tanks " * 60]


def model_config(**changes: Any) -> dict[str, Any]:
    """A configuration in open_clip's form; `vision_cfg` and `text_cfg` are merged with small ones."""
    vision = {"image_size": 64, "layers": 2, "width": 128, "head_width": 64, "patch_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    return {
        "embed_dim": 32,
        **changes,
        "vision_cfg": vision | changes.get("vision_cfg", {}),
        "text_cfg": text | changes.get("text_cfg", {}),
    }


def make_clip(config: dict[str, Any], seed: int = 1) -> CLIP:
    """open_clip's own model of a configuration, with weights large enough for every part of it to matter."""
    torch.manual_seed(seed)
    model = CLIP(
        config["embed_dim"],
        CLIPVisionCfg(**config["vision_cfg"]),
        CLIPTextCfg(**config["text_cfg"]),
        quick_gelu=config.get("quick_gelu", False),
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15 if parameter.ndim else 1.0)
    return model.eval()


def state_of(model: CLIP) -> State:
    """Its state dict, each tensor by itself."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def picture() -> Image.Image:
    """A picture of noise that is not square."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 130, 3), np.uint8))


@torch.inference_mode()
def difference(model: CLIP, bundle: lrsclip.LRSCLIP, **preprocess: Any) -> float:
    """Largest difference between open_clip's vectors and ours, of a picture and of texts short and too long."""
    side = bundle.image_px
    pixels = open_clip.image_transform(side, is_train=False, **preprocess)(picture())[None]
    images = model.encode_image(pixels, normalize=True).numpy()
    tokens = open_clip.tokenize(TEXTS, context_length=model.context_length)
    texts = model.encode_text(tokens, normalize=True).numpy()
    ours = np.concatenate([bundle.encode_image([picture()]), bundle.encode_text(TEXTS)])
    return float(np.abs(np.concatenate([images, texts]) - ours).max())


def write_open_clip(folder: Path, config: dict[str, Any], model: CLIP, **preprocess: Any) -> Path:
    """A folder as open_clip pushes it to the Hub."""
    folder.mkdir(exist_ok=True)
    save_file(state_of(model), folder / "open_clip_model.safetensors")
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    return folder


def transformers_state(state: State) -> State:
    """The same weights by the names of Hugging Face's `CLIPModel`."""
    plain = {
        "logit_scale": "logit_scale",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
    }
    out: State = {
        "visual_projection.weight": state["visual.proj"].T.contiguous(),
        "text_projection.weight": state["text_projection"].T.contiguous(),
        "text_model.embeddings.position_ids": torch.arange(77)[None],
    }
    pieces = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj"}
    pieces |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    norms = {"visual.ln_pre": "vision_model.pre_layrnorm", "visual.ln_post": "vision_model.post_layernorm"}
    norms |= {"ln_final": "text_model.final_layer_norm"}
    for name, tensor in state.items():
        tower = "vision_model" if name.startswith("visual.") else "text_model"
        stem, _, kind = name.rpartition(".")
        if name in plain:
            out[plain[name]] = tensor
        elif stem in norms:
            out[f"{norms[stem]}.{kind}"] = tensor
        elif ".resblocks." in name:
            number, _, part = name.partition(".resblocks.")[2].partition(".")
            layer = f"{tower}.encoder.layers.{number}"
            if "in_proj_" in part:
                for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                    kind = part.rpartition("_")[2]
                    out[f"{layer}.self_attn.{letter}_proj.{kind}"] = third.clone()
            else:
                piece, _, kind = part.rpartition(".")
                out[f"{layer}.{pieces[piece]}.{kind}"] = tensor
    return out


def transformers_config(config: dict[str, Any]) -> dict[str, Any]:
    """The same configuration in Hugging Face's form."""
    vision, text = config["vision_cfg"], config["text_cfg"]
    act = "quick_gelu" if config.get("quick_gelu") else "gelu"
    return {
        "model_type": "clip",
        "projection_dim": config["embed_dim"],
        "vision_config": {
            "hidden_size": vision["width"],
            "intermediate_size": int(vision["width"] * vision.get("mlp_ratio", 4)),
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision["head_width"],
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_act": act,
        },
        "text_config": {
            "hidden_size": text["width"],
            "intermediate_size": text["width"] * 4,
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "hidden_act": act,
            "eos_token_id": 2,
        },
    }


def write_transformers(folder: Path, config: dict[str, Any], state: State, name: str = "model.safetensors") -> Path:
    """A folder as transformers saves a `CLIPModel`."""
    folder.mkdir(exist_ok=True)
    tensors = transformers_state(state)
    save_file(tensors, folder / name) if name.endswith("safetensors") else torch.save(tensors, folder / name)
    (folder / "config.json").write_text(json.dumps(transformers_config(config)))
    return folder


class OpenAI(torch.nn.Module):
    """A model with the numbers that OpenAI's files hold beside the weights."""

    def __init__(self, model: CLIP) -> None:
        super().__init__()
        for name, part in model.named_children():
            setattr(self, name, part)
        for name in ("positional_embedding", "text_projection", "logit_scale"):
            setattr(self, name, getattr(model, name))
        for name in ("input_resolution", "context_length", "vocab_size"):
            self.register_buffer(name, torch.tensor(77))
        self.register_buffer("attn_mask", model.attn_mask, persistent=False)

    def forward(self, pixels: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode both, as OpenAI's program does."""
        own: Any = self
        x = own.token_embedding(tokens) + own.positional_embedding
        x = own.ln_final(own.transformer(x, attn_mask=own.attn_mask))
        marks = own.input_resolution + own.context_length + own.vocab_size
        text = x[torch.arange(len(x)), tokens.argmax(dim=-1)] @ own.text_projection
        return own.visual(pixels), text * own.logit_scale.exp() + marks
