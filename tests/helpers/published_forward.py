"""The forward pass of the published LRSCLIP and Long-CLIP checkpoints, written out on plain tensors.

It works straight on a state dict of the published names, with both position tables and the 0/1 mask between them, in
full 248-position padding: slow, obvious, and independent of `lrsclip`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def random_state(
    width: int, text_width: int, layers: int, text_layers: int, patch: int, embed: int, two: bool = True
) -> State:
    """A random state dict of the published layout for 224 px pictures."""
    g = torch.Generator().manual_seed(width + layers)

    def r(*shape: int, std: float = 0.1) -> Tensor:
        return torch.randn(*shape, generator=g) * std

    def norm(name: str, w: int) -> State:
        return {f"{name}.weight": 1 + r(w), f"{name}.bias": r(w)}

    state: State = {
        "visual.conv1.weight": r(width, 3, patch, patch, std=0.02),
        "visual.class_embedding": r(width),
        "visual.positional_embedding": r((224 // patch) ** 2 + 1, width),
        "visual.proj": r(width, embed),
        "positional_embedding": r(248, text_width),
        "token_embedding.weight": r(49408, text_width),
        "text_projection": r(text_width, embed),
        "logit_scale": torch.tensor(4.6052),
    }
    if two:
        state["positional_embedding_res"] = r(248, text_width)
    state |= norm("visual.ln_pre", width) | norm("visual.ln_post", width) | norm("ln_final", text_width)
    for prefix, w, depth in (("visual.", width, layers), ("", text_width, text_layers)):
        for i in range(depth):
            b = f"{prefix}transformer.resblocks.{i}"
            state |= norm(f"{b}.ln_1", w) | norm(f"{b}.ln_2", w)
            state |= {f"{b}.attn.in_proj_weight": r(3 * w, w), f"{b}.attn.in_proj_bias": r(3 * w)}
            state |= {f"{b}.attn.out_proj.weight": r(w, w), f"{b}.attn.out_proj.bias": r(w)}
            state |= {f"{b}.mlp.c_fc.weight": r(4 * w, w), f"{b}.mlp.c_fc.bias": r(4 * w)}
            state |= {f"{b}.mlp.c_proj.weight": r(w, 4 * w), f"{b}.mlp.c_proj.bias": r(w)}
    return state


def _norm(s: State, name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], s[f"{name}.weight"], s[f"{name}.bias"])


def _blocks(s: State, prefix: str, x: Tensor, mask: Tensor | None) -> Tensor:
    depth = len({k[len(prefix) :].split(".")[0] for k in s if k.startswith(prefix)})
    heads = x.shape[-1] // 64
    for i in range(depth):
        b = f"{prefix}{i}"
        h = _norm(s, f"{b}.ln_1", x)
        qkv = h @ s[f"{b}.attn.in_proj_weight"].T + s[f"{b}.attn.in_proj_bias"]
        q, k, v = (t.unflatten(-1, (heads, 64)).transpose(1, 2) for t in qkv.chunk(3, -1))
        scores = q @ k.transpose(-1, -2) / 8
        scores = scores if mask is None else scores + mask
        h = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + h @ s[f"{b}.attn.out_proj.weight"].T + s[f"{b}.attn.out_proj.bias"]
        h = _norm(s, f"{b}.ln_2", x) @ s[f"{b}.mlp.c_fc.weight"].T + s[f"{b}.mlp.c_fc.bias"]
        h = h * torch.sigmoid(1.702 * h)
        x = x + h @ s[f"{b}.mlp.c_proj.weight"].T + s[f"{b}.mlp.c_proj.bias"]
    return x


def image_features(s: State, pixels: Tensor) -> Tensor:
    """(N, 3, 224, 224) to (N, D), not normalized."""
    patch = s["visual.conv1.weight"].shape[-1]
    x = F.conv2d(pixels, s["visual.conv1.weight"], stride=patch).flatten(2).transpose(1, 2)
    x = torch.cat([s["visual.class_embedding"].expand(len(x), 1, -1), x], 1) + s["visual.positional_embedding"]
    x = _blocks(s, "visual.transformer.resblocks.", _norm(s, "visual.ln_pre", x), None)
    return _norm(s, "visual.ln_post", x[:, 0]) @ s["visual.proj"]


def text_features(s: State, tokens: Tensor) -> Tensor:
    """(N, 248) padded token ids to (N, D), not normalized."""
    x = s["token_embedding.weight"][tokens]
    if "positional_embedding_res" in s:
        mask1 = torch.zeros(248, 1)
        mask1[:20] = 1
        mask2 = 1 - mask1
        x = x + s["positional_embedding"] * mask1 + s["positional_embedding_res"] * mask2
    else:
        x = x + s["positional_embedding"]
    causal = torch.full((248, 248), float("-inf")).triu(1)
    x = _norm(s, "ln_final", _blocks(s, "transformer.resblocks.", x, causal))
    return x[torch.arange(len(x)), tokens.argmax(-1)] @ s["text_projection"]
