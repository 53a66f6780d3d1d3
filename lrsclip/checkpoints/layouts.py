"""One layout of names for the many that CLIPs are published in: that of OpenAI's own code.

open_clip's `CustomTextCLIP` has the text tower below `text.`, Hugging Face's `CLIPModel` has other names and separate
matrices for queries, keys and values, trainers add prefixes and put everything below a key. All of it is renamed here;
nothing is left out but buffers that hold no weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lrsclip.errors import CheckpointError

State = dict[str, Tensor]
OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")  # numbers that OpenAI's own files keep as tensors
_IGNORED = (*OPENAI_MARKS, "mask1", "mask2", "attn_mask", "logit_bias")
_FIRST = ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight")  # tensors that mark a CLIP ViT
_CONTAINERS = ("state_dict", "model", "model_state_dict", "module")
_MAX_NESTING = 4
_TEXT_PARTS = ("token_embedding.", "transformer.", "ln_final.", "positional_embedding", "text_projection")
_FOREIGN = (  # a part of a name, and what has such names
    ("text.positions.rest", "the weights of a checkpoint folder of LRSCLIP's own; pass the folder, not the file"),
    ("vision_model.head.", "a SigLIP, which reads texts with another tokenizer; CLIPs are read"),
    ("visual.trunk.", "a CLIP whose image tower is one of timm's, not CLIP's ViT; ViTs of CLIP's own kind are read"),
    ("visual.layer1.0.conv1", "a CLIP with a ResNet as image tower; CLIPs with a ViT are read"),
    ("text_decoder.", "a CoCa, which also writes text; CLIPs are read"),
    ("text.transformer.embeddings.", "a CLIP whose text tower is a language model with a tokenizer of its own"),
    ("visual_encoder.", "a BLIP; CLIPs are read"),
    ("lora_", "an adapter (LoRA) without the CLIP it belongs to; merge the two and save the result"),
)
_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_TOWERS = (  # Hugging Face's name, ours
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.pre_layrnorm.weight", "visual.ln_pre.weight"),  # their spelling
    ("vision_model.pre_layrnorm.bias", "visual.ln_pre.bias"),
    ("vision_model.post_layernorm.weight", "visual.ln_post.weight"),
    ("vision_model.post_layernorm.bias", "visual.ln_post.bias"),
    ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.embeddings.position_embedding_res.weight", "positional_embedding_res"),
    ("text_model.final_layer_norm.weight", "ln_final.weight"),
    ("text_model.final_layer_norm.bias", "ln_final.bias"),
    ("logit_scale", "logit_scale"),
)
_PART = re.compile(
    r"(?P<tower>vision|text)_model\.encoder\.layers\.(?P<block>\d+)\.(?P<part>.+)\.(?P<kind>weight|bias)"
)
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def plain_state(content: Any, *, origin: str) -> State:
    """Find the CLIP in what was saved, and give its tensors OpenAI's names.

    Args:
        content: names with tensors, perhaps with prefixes, perhaps below a key.
        origin: their source, for the message.

    Returns:
        Names with tensors, those that only OpenAI's files have (`OPENAI_MARKS`) among them.

    Raises:
        CheckpointError: no tensors, several CLIPs, or a model of another kind.
    """
    state = _without_prefix(_unwrapped(content, origin), origin)
    for part, what in _FOREIGN:
        if any(part in name for name in state):
            raise CheckpointError(f"{origin} is {what}")
    if any(name.startswith(("vision_model.", "text_model.")) for name in state):
        state = _renamed(state, origin)
    elif "text.token_embedding.weight" in state:
        state = {_without_text(name): tensor for name, tensor in state.items()}
    return state


def weights_of(state: State) -> State:
    """Leave out what is no weight: numbers about the model, masks, and the bias of a sigmoid loss.

    That bias shifts all scores of a picture alike, which changes no order and no share of 100 %.
    """
    return {k: v for k, v in state.items() if k not in _IGNORED and not k.endswith((".attn_mask", ".position_ids"))}


def _unwrapped(content: Any, origin: str) -> State:
    for _ in range(_MAX_NESTING):
        if not isinstance(content, Mapping):
            break
        if content and all(isinstance(v, Tensor) and isinstance(k, str) for k, v in content.items()):
            return dict(content)
        inner = {key: value for key, value in content.items() if isinstance(value, Mapping)}
        clips = [key for key, value in inner.items() if _holds_clip(value)]
        if len(clips) > 1:
            raise CheckpointError(
                f"{origin} holds several models ({', '.join(map(str, clips))}); save the one you want by itself: "
                f"torch.save(torch.load(...)[{clips[0]!r}], ...)"
            )
        known = next((key for key in _CONTAINERS if key in inner), None)
        if not clips and known is None:
            break
        content = inner[clips[0] if clips else known]
    raise CheckpointError(f"{origin} holds no state dict (names with tensors); pass the file of weights itself")


def _holds_clip(content: Mapping[Any, Any], depth: int = 1) -> bool:
    return any(
        (isinstance(key, str) and key.endswith(_FIRST) and isinstance(value, Tensor))
        or (isinstance(value, Mapping) and depth < _MAX_NESTING and _holds_clip(value, depth + 1))
        for key, value in content.items()
    )


def _without_prefix(state: State, origin: str) -> State:
    """Take `module.`, `model.`, `_orig_mod.` and the like away, where all of the CLIP has it."""
    found = {name.removesuffix(first) for name in state for first in _FIRST if name.endswith(first)}
    if len(found) > 1:
        models = ", ".join(sorted(prefix or "(no prefix)" for prefix in found))
        raise CheckpointError(
            f"{origin} holds several models, by the prefixes {models}; save the one you want by itself"
        )
    prefix = found.pop() if found else ""
    short = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    if len(short) != len(state):
        raise CheckpointError(f"{origin}: two tensors are the same but for the prefix {prefix!r}; save one model alone")
    return short


def _without_text(name: str) -> str:
    short = name.removeprefix("text.")
    return short if short.startswith((*_TEXT_PARTS, "attn_mask")) else name


def _renamed(state: State, origin: str) -> State:
    """Bring Hugging Face's layout into OpenAI's."""
    names = dict(_TOWERS)
    plain, parts = State(), dict[str, State]()
    for name, tensor in state.items():
        match = _PART.fullmatch(name)
        if name in names:
            plain[names[name]] = tensor
        elif name in ("visual_projection.weight", "text_projection.weight"):  # they multiply from the other side
            plain["visual.proj" if name.startswith("visual") else "text_projection"] = (
                tensor.mT if tensor.ndim > 1 else tensor
            )
        elif match is None:
            plain[name] = tensor
        else:
            prefix = "visual.transformer" if match["tower"] == "vision" else "transformer"
            block, part = f"{prefix}.resblocks.{match['block']}", match["part"]
            if part in _BLOCK:
                plain[f"{block}.{_BLOCK[part]}.{match['kind']}"] = tensor
            else:
                parts.setdefault(f"{block}.attn.in_proj_{match['kind']}", {})[part.removeprefix("self_attn.")] = tensor
    for name, three in parts.items():
        if missing := [part for part in _PROJECTIONS if part not in three]:
            raise CheckpointError(f"{origin}: {name} lacks its {missing[0]}; weights are missing, download it again")
        if odd := sorted(three.keys() - set(_PROJECTIONS)):
            raise CheckpointError(f"{origin}: tensor {name} has an unknown part {odd[0]}; is it a CLIP ViT?")
        if len({three[part].shape for part in _PROJECTIONS}) > 1 or not three[_PROJECTIONS[0]].ndim:
            raise CheckpointError(f"{origin}: query, key and value of {name} are not alike; is it a CLIP ViT?")
        plain[name] = torch.cat([three[part] for part in _PROJECTIONS])
    return plain
