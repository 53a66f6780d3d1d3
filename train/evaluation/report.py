"""The tables of docs/results.md out of an evaluation's CSV: `python -m train.evaluation.report CSV [--into DOCUMENT]`.

Figures are never typed: with --into the tables between the two marks of a document are written anew, and a test
compares document and CSV. With --before, the CSV of the checkpoint before, one table more tells what was won and lost.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping
from pathlib import Path

from lrsclip.errors import DataError
from lrsclip.io.atomic import write_atomically
from train.command import run_command

BEGIN = "<!-- tables of `python -m train.evaluation.report`, not typed -->"
END = "<!-- end of the tables -->"
Figures = Mapping[tuple[str, str, str], Mapping[str, float]]
"""(task, data, protocol) -> metric -> value."""
_RETRIEVAL = (
    ("RSICD, short (1,093 pictures, 5,465 captions)", "`raw`", "short-retrieval", "rsicd test", "raw"),
    ("RSICD, short", "`merged`", "short-retrieval", "rsicd test", "merged"),
    ("RSICD, long", "composed", "long-retrieval", "rsicd test", "composed paragraph"),
    (
        "RSICD, long, first sentence removed", "composed", "long-retrieval", "rsicd test",
        "composed paragraph, first sentence removed",
    ),
    (
        "RSICD, long, sentences shuffled", "composed", "long-retrieval", "rsicd test",
        "composed paragraph, sentences shuffled",
    ),
    ("UCM, short (210 pictures, 1,050 captions)", "`raw`", "short-retrieval", "ucm test", "raw"),
    ("UCM, long", "composed", "long-retrieval", "ucm test", "composed paragraph"),
)  # fmt: skip
_CLASSES = (
    ("RSSCN7, 7 classes", "**zero-shot**, no picture of it was trained on", "rsscn7, all pictures", 7),
    ("EuroSAT, 10 classes", "held-out tenth of a set that was trained on", "eurosat hashed test", 10),
    ("RSICD, 30 classes", "official test split, likewise", "rsicd30 test", 30),
    ("UC Merced, 21 classes", "test split of UCM-Captions, likewise", "ucm test", 21),
    ("RESISC45, 12 classes", "held-out tenth, likewise", "resisc45-subset hashed test", 12),
)
_WORDINGS = ("everyday", "noun", "article", "technical", "phrase", "request")

_OWN = ("own-words", "rsicd30 test", "sentences of strangers")
_COMPARED: tuple[tuple[str, tuple[str, str, str], str], ...] = (
    *(
        (f"{name}: {metric} of six unseen wordings", ("wording", data, "all 6 wordings"), metric)
        for name, _, data, _ in _CLASSES
        for metric in ("worst", "mean")
    ),
    ("own sentences on RSICD test, hit at 1", _OWN, "hit1"),
    ("own sentences on RSICD test, hit in 5", _OWN, "hit5"),
    ("verdicts on own sentences, mean of the two errors", _OWN, "verdict"),
    *((f"{name}, {protocol}: mR", (task, data, way), "mR") for name, protocol, task, data, way in _RETRIEVAL),
    *(
        (
            f"{name}: taught names, {templates}",
            ("classification", data, f"{templates} templates, {count} classes"),
            "top1",
        )
        for name, _, data, count in _CLASSES
        for templates in ("rs5m", "skyscript")
    ),
    ("synonyms of no caption", ("synonyms", "words of no caption", "skyscript"), "top1"),
    (
        "synonyms of no caption and not in the bank",
        ("synonyms", "words of no caption and not in the bank", "skyscript"),
        "top1",
    ),
    ("CHOICE, boxes, windows: pointing", ("box-grounding", "CHOICE", "windows"), "pointing"),
    ("CHOICE, boxes, dense: pointing", ("box-grounding", "CHOICE", "dense"), "pointing"),
    ("CHOICE, masks, windows: pointing", ("mask-grounding", "CHOICE", "windows"), "pointing"),
    ("CHOICE, masks, dense: pointing", ("mask-grounding", "CHOICE", "dense"), "pointing"),
    ("CHOICE, one of four captions", ("caption-choice", "CHOICE", "highest cosine"), "accuracy"),
    ("atlas, own tile of 1,024: R@1", ("grounding", "atlas 11", "long description, own tile"), "t2i_r1"),
    *(
        (f"atlas, truth preferred: {kind}", ("grounding", "atlas 20", "cut at 248 tokens"), kind)
        for kind in ("object", "color", "count", "place", "relation")
    ),
)


def read_figures(path: Path) -> Figures:
    """Read the CSV of `python -m train.evaluate --csv`.

    Raises:
        DataError: it is not there, or none of these.
    """
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault((row["task"], row["data"], row["protocol"]), {})[row["metric"]] = float(row["value"])
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} is no CSV of python -m train.evaluate ({error}); make it with --csv") from error
    return found


def tables(figures: Figures, before: Figures | None = None) -> str:
    """Format all tables as Markdown; one of a task that was not run is left out.

    Args:
        figures: of the checkpoint.
        before: of the one before; None for no comparison.
    """
    parts = (_strangers, _retrieval, _classification, _words_and_places, _atlas)
    texts = [text for part in parts if (text := part(figures))]
    if before is not None and (text := _compared(before, figures)):
        texts.append(text)
    return "\n\n".join(texts)


def into(document: str, figures: Figures, before: Figures | None = None) -> str:
    """Return a document with its tables written anew; see `tables`.

    Raises:
        DataError: it has no marks.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise DataError(f"the document has no lines {BEGIN!r} and {END!r}; put them where the tables belong")
    return f"{head}{BEGIN}\n\n{tables(figures, before)}\n\n{END}{after}"


def _strangers(figures: Figures) -> str:
    rows = [
        f"| {name} | {' | '.join(_of(figures, 'wording', data, wording, 'top1') for wording in _WORDINGS)} | "
        f"**{_of(figures, 'wording', data, 'all 6 wordings', 'worst')}** | "
        f"{_of(figures, 'wording', data, 'all 6 wordings', 'mean')} |"
        for name, _, data, _ in _CLASSES
        if ("wording", data, "all 6 wordings") in figures
    ]
    if not rows:
        return ""
    head = f"| top-1 in unseen wordings, as typed | {' | '.join(_WORDINGS)} | **worst** | mean |"
    text = "\n".join(["### Words of strangers", "", head, f"|{'---|' * 9}", *rows])
    own = figures.get(_OWN, {})
    if not own:
        return text
    text += (
        "\n\n150 sentences in own words, five for each scene class, among RSICD's test pictures: the best hit is of "
        f"the right class for **{own['hit1']:.1f} %**, one of five for {own['hit5']:.1f} %"
    )
    if "verdict" in own:
        text += (
            f'; "no good match" is said of {own["denied"]:.1f} % though there, "probably fits" of '
            f"{own['claimed']:.1f} % though absent (mean **{own['verdict']:.1f} %**)"
        )
    if "unsure" in own:
        text += f', and "unsure" of {own["unsure"]:.1f} % of all'
    return text + "."


def _retrieval(figures: Figures) -> str:
    def line(name: str, protocol: str, *key: str) -> str:
        found = figures[key[0], key[1], key[2]]
        by_way = [" / ".join(f"{found[f'{way}_r{k}']:.2f}" for k in (1, 5, 10)) for way in ("i2t", "t2i")]
        return f"| {name} | {protocol} | {by_way[0]} | {by_way[1]} | **{found['mR']:.2f}** |"

    rows = [line(*row) for row in _RETRIEVAL if (row[2], row[3], row[4]) in figures]
    head = "| retrieval, test split | protocol | I2T R@1 / 5 / 10 | T2I R@1 / 5 / 10 | **mR** |"
    return _titled("Retrieval", head, 5, rows)


def _classification(figures: Figures) -> str:
    def top1(data: str, templates: str, count: int) -> str:
        return _of(figures, "classification", data, f"{templates} templates, {count} classes", "top1")

    rows = [
        f"| {name} | {about} | {top1(data, 'rs5m', count)} | {top1(data, 'skyscript', count)} |"
        for name, about, data, count in _CLASSES
        if ("classification", data, f"rs5m templates, {count} classes") in figures
    ]
    head = "| classification by name | | top-1, `rs5m` (105 phrasings) | top-1, `skyscript` (2) |"
    return _titled("Classification", head, 4, rows)


def _words_and_places(figures: Figures) -> str:
    rows = []
    if found := figures.get(("synonyms", "words of no caption", "skyscript")):
        rows.append(
            "| 79 words of no caption (aerodrome) nearest to their everyday synonym (airport) of 41 | "
            f"{found['top1']:.1f} % | {found['chance']:.1f} % |"
        )
    if found := figures.get(("synonyms", "words of no caption and not in the bank", "skyscript")):
        rows.append(
            "| those of them that stand in no training text at all but WordNet's | "
            f"{found['top1']:.1f} % | {found['chance']:.1f} % |"
        )
    ways = {"windows": "CHOICE, pointing game on 20 boxes / 20 masks, windows", "dense": "the same, dense"}
    for way, name in ways.items():
        box, mask = (figures.get((task, "CHOICE", way)) for task in ("box-grounding", "mask-grounding"))
        if box and mask:
            chance = f"{box['target_share']:.1f} % / {mask['target_share']:.1f} %"
            rows.append(f"| {name} | {box['pointing']:.1f} % / {mask['pointing']:.1f} % | {chance} |")
    if found := figures.get(("caption-choice", "CHOICE", "highest cosine")):
        low, high = (f"{100 * end:.0f}" for end in interval(found["accuracy"] / 100, 20))
        rows.append(
            f"| CHOICE, the right one of four captions (20 pictures: 95 % interval {low} to {high} %) | "
            f"{found['accuracy']:.0f} % | {found['chance']:.0f} % |"
        )
    return _titled("Words and places", "| words and places | figure | chance |", 3, rows)


def _atlas(figures: Figures) -> str:
    rows = []
    if found := figures.get(("grounding", "atlas 11", "long description, own tile")):
        recalls = " / ".join(f"{found[f't2i_r{k}']:.1f}" for k in (1, 5, 10))
        rows.append(f"| a long description finds its own tile of 1,024, R@1 / 5 / 10 | {recalls} % | 0.1 / 0.5 / 1 % |")
    if found := figures.get(("grounding", "atlas 20", "cut at 248 tokens")):
        kinds = {"object": "the truth preferred to one false claim, 3,855 pairs: object", "color": "color"}
        kinds |= {"count": "count", "place": "place in the tile", "relation": "relation of two things"}
        rows += [f"| {name} | {found[kind]:.1f} % | 50 % |" for kind, name in kinds.items()]
    head = "| the atlas, worlds that were not trained on | figure | chance |"
    return _titled("The atlas", head, 3, rows)


def _compared(before: Figures, after: Figures) -> str:
    """Format all that both measured: a figure that fell stands there as one that rose does."""
    rows = []
    for name, key, metric in _COMPARED:
        old, new = before.get(key, {}).get(metric), after.get(key, {}).get(metric)
        if old is not None and new is not None:
            rows.append(f"| {name} | {old:.1f} | {new:.1f} | {new - old:+.1f} |")
    return _titled("Before and after", "| per cent | before | now | difference |", 4, rows)


def interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Compute Wilson's interval of a share of `count` cases, 95 % unless `z` says otherwise."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return middle - half, middle + half


def _titled(title: str, head: str, columns: int, rows: list[str]) -> str:
    return "\n".join([f"### {title}", "", head, f"|{'---|' * columns}", *rows]) if rows else ""


def _of(figures: Figures, task: str, data: str, protocol: str, metric: str) -> str:
    value = figures.get((task, data, protocol), {}).get(metric)
    return "" if value is None else f"{value:.1f}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    p = argparse.ArgumentParser(prog="python -m train.evaluation.report", description="Tables out of a CSV of figures.")
    p.add_argument("csv", type=Path, help="as python -m train.evaluate --csv writes it")
    p.add_argument("--before", type=Path, help="the CSV of the checkpoint before, to be compared with")
    p.add_argument("--into", type=Path, help="a document whose tables are written anew")
    args = p.parse_args(argv)

    def work() -> None:
        figures, before = read_figures(args.csv), read_figures(args.before) if args.before else None
        if args.into is None:
            print(tables(figures, before))
        else:
            write_atomically(args.into, into(args.into.read_text(encoding="utf-8"), figures, before).encode())

    return run_command("train.evaluation.report", work)


if __name__ == "__main__":
    sys.exit(main())
