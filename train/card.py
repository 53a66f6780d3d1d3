"""The model card of a checkpoint, written from its manifest: `python -m train.card lrsclip/checkpoints/tiny`.

Every figure in it stands in the manifest, where `train.evaluate --record` put it, so card and checkpoint cannot differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lrsclip.checkpoints.factory import EMBEDDED, embedded_names
from lrsclip.checkpoints.native import read_manifest
from lrsclip.io.atomic import write_atomically
from train.command import run_command
from train.data.public_sets import PUBLIC_SETS

CARD = "README.md"
_ATLAS = "Rendered landscapes of this project (the atlas), described from their ground truth"
_HEAD = """---
license: apache-2.0
library_name: lrsclip
pipeline_tag: zero-shot-image-classification
tags: [remote-sensing, clip, long-text]
---
# {name}

A small CLIP for satellite and aerial pictures that reads texts of up to {context} tokens (LRSCLIP, arXiv 2503.19311).
Load it with `lrsclip.load({where})`; SHA-256 of the weights `{sha}`.
"""
_LIMITS = """
## Limits

- Figures on the sets named above are in-domain: other pictures of those sets were trained on. RSSCN7 was never seen.
- "Long" texts are composed of a picture's captions; no long descriptions by people were at hand.
- It does not understand negation ("there are no houses" brings houses), and knows neither places in a picture nor how
  two things lie to each other (rows "place" and "relation": 50 % is chance); it counts on rendered pictures alone.
- Pictures from 0.2 to 10 m per pixel in natural colors; nothing is known of other bands, night or oblique views.
- It was trained on scene types of the sets above, most of them from China, the USA and Europe; it will name other
  places by what it knows. It is no basis for decisions about people.

## License

Weights: Apache-2.0. {begun} The training pictures are under their own terms, partly for research only, and are not
distributed with the checkpoint.
"""
_CHIEF = ("mR", "top1", "Rmi", "pointing", "accuracy", "worst", "mean", "hit1", "hit5", "verdict")
_BEGUN = {
    "resnetv2": "Its trunk began as ImageNet's ResNet-50 v2 (Apache-2.0).",
    "sentence": "Its text tower began as all-MiniLM-L6-v2 (Apache-2.0).",
}


def card(manifest: dict[str, Any]) -> str:
    """Format the card as Markdown.

    Raises:
        CheckpointError: see `read_manifest`.
    """
    config, training = manifest["config"], manifest.get("training", {})
    name = manifest["name"]  # a run's own checkpoint may have that of the one that is shipped
    is_shipped = name in embedded_names() and read_manifest(EMBEDDED / name)["sha256"] == manifest["sha256"]
    where = f'"{name}"' if is_shipped else "FOLDER"
    context, sha = config["text"]["context_length"], manifest["sha256"]
    lines = [_HEAD.format(name=name, where=where, context=context, sha=sha)]
    lines += ["## Training data\n", "| pictures | from |", "|---|---|"]
    lines += [f"| {count:,} | {_about(name)} |" for name, count in training.get("pictures", {}).items()]
    lines.append(
        f"\nIts captions hold {len(manifest.get('vocabulary', {})):,} different words. Recipe: `training.settings` of "
        f"the manifest; kept after epoch {training.get('epoch', '?')}, chosen on validation pictures: RSICD's "
        "captions, and classes of other sets in wordings that training never drew."
    )
    for report in manifest.get("metrics", {}).values():
        if isinstance(report, dict) and "results" in report:
            lines.append(_figures(report))
    begun = " ".join(_BEGUN[kind] for part in ("image", "text") if (kind := config[part]["kind"]) in _BEGUN)
    return "\n".join(lines) + "\n" + _LIMITS.format(begun=begun)


def _about(source: str) -> str:
    """Say what a source is; one that is no public set is called by its name."""
    return _ATLAS if source == "atlas" else PUBLIC_SETS[source].about if source in PUBLIC_SETS else source


def _figures(report: dict[str, Any]) -> str:
    where = ", ".join(str(report.get(fact, "?")) for fact in ("cpu", "dtype", "date"))
    lines = ["\n## Figures\n", f"`python -m train.evaluate` ({where}; GPU: {report.get('gpu', '?')})\n"]
    lines += ["| task | data | protocol | figure |", "|---|---|---|---|"]
    for row in report["results"]:
        chief = {name: value for name, value in row["metrics"].items() if name in _CHIEF}
        named = chief or row["metrics"]  # a row without a chief figure shows all that it has, the weak ones too
        text = ", ".join(f"{k} {v:.2f}" for k, v in named.items())
        lines.append(f"| {row['task']} | {row['data_set']} | {row['protocol']} | {text} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    p = argparse.ArgumentParser(prog="python -m train.card", description="Write a checkpoint's model card.")
    p.add_argument("folder", type=Path, help="folder of the checkpoint")
    args = p.parse_args(argv)
    return run_command(
        "train.card", lambda: write_atomically(args.folder / CARD, card(read_manifest(args.folder)).encode())
    )


if __name__ == "__main__":
    sys.exit(main())
