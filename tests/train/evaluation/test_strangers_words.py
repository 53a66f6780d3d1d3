"""Wordings and sentences of strangers: they belong to no training text, and their figures can be worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lrsclip.errors import DataError
from tests.helpers.corpora import make_rsicd
from tests.helpers.knowing import COLORS, Knowing
from train.data.corpus import read_corpus
from train.data.text_pairs import sentences_of
from train.data.wording.bank import concepts
from train.evaluation.own_words import FOR_CHOICE, collections_asked, own_sentences, run_own_words
from train.evaluation.plan import Wishes, plan
from train.evaluation.sets import CLASS_SETS, PictureSet, rsicd_classes
from train.evaluation.vectors import PictureVectors
from train.evaluation.wording import run_wording, worded, wordings_of

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def bare(text: str) -> str:
    """A text without article, capitals and signs."""
    return re.sub(r"^(?:a|an|the|some) ", "", re.sub(r"[^a-z ]", "", text.lower().replace("-", " ")).strip())


def test_no_wording_and_no_sentence_stands_in_the_bank() -> None:
    taught = {bare(phrase) for concept in concepts().values() for phrase in (*concept.phrases, *concept.unseen)}
    asked = [text for name in CLASS_SETS for texts in wordings_of(name).values() for text in texts.values()]
    assert not [text for text in (*asked, *(one.text for one in own_sentences())) if bare(text) in taught]


@pytest.mark.parametrize("name", sorted(CLASS_SETS))
def test_every_set_has_six_wordings_that_tell_its_classes_apart(name: str) -> None:
    wordings = wordings_of(name)
    assert len(wordings) == 6
    classes = {frozenset(texts) for texts in wordings.values()}
    assert len(classes) == 1, "each wording has the same classes"
    for wording, texts in wordings.items():
        assert len({text.lower() for text in texts.values()}) == len(texts), (name, wording)


def test_each_class_has_seven_sentences_two_of_them_for_choice() -> None:
    sentences = own_sentences()
    labels = {one.label for one in sentences}
    assert len(labels) == 30 and len(sentences) == 7 * 30 and len({one.text for one in sentences}) == len(sentences)
    for label in labels:
        assert sum(one.for_choice for one in sentences if one.label == label) == FOR_CHOICE
    assert sum(not one.for_choice for one in sentences) >= 150


def scenes(tmp_path: Path) -> PictureSet:
    make_rsicd(tmp_path)
    return rsicd_classes(tmp_path, "train")


def test_worst_and_mean_of_the_wordings_by_hand(tmp_path: Path) -> None:
    given = worded("rsicd30", scenes(tmp_path))
    assert set(given.classes) == set(COLORS) and all(record.label in COLORS for record in given.records)
    known = {text: label for texts in wordings_of("rsicd30").values() for label, text in texts.items()}
    known[wordings_of("rsicd30")["noun"]["desert"]] = "forest"  # one word of one wording is misheard
    bundle = Knowing(known)
    rows = run_wording("rsicd30", bundle, PictureVectors(bundle), given)
    top = {row.protocol: row.metrics for row in rows}
    assert top["phrase"]["top1"] == 100.0
    desert = sum(record.label == "desert" for record in given.records) / len(given.records)
    forest = sum(record.label == "forest" for record in given.records) / len(given.records)
    assert top["noun"]["top1"] == pytest.approx(100 * (1 - desert * 2 / 3 - forest / 2))  # ties are shared
    assert top["all 6 wordings"]["worst"] == top["noun"]["top1"]
    assert rows[1].detail["desert"] == pytest.approx(100 / 3)


def test_hits_of_sentences_by_hand(tmp_path: Path) -> None:
    given = scenes(tmp_path)
    sentences = [one for one in own_sentences() if not one.for_choice and one.label in COLORS]
    heard = {one.text: one.label for one in sentences}
    heard[next(one.text for one in sentences if one.label == "airport")] = "desert"
    bundle = Knowing(heard)
    (row,) = run_own_words(bundle, PictureVectors(bundle), given)  # type: ignore[arg-type]
    assert row.texts == 15 and row.metrics["hit1"] == pytest.approx(100 * 14 / 15)
    assert row.detail["airport"] == 80.0 and "verdict" not in row.metrics, "this model is not calibrated"
    (choice,) = run_own_words(bundle, PictureVectors(bundle), given, for_choice=True)  # type: ignore[arg-type]
    assert choice.texts == 2 * 3


def test_collections_have_the_class_or_none_of_it() -> None:
    image = np.eye(40, dtype=np.float32)
    label = ["port"] * 4 + ["desert"] * 36
    sentences = [one for one in own_sentences() if one.label in ("port", "desert")]
    texts = np.zeros((len(sentences), 40), np.float32)
    asked = list(collections_asked(image, label, texts, sentences))
    assert len(asked) == 4 * len(sentences)
    for one in asked:
        columns = one.vectors.argmax(axis=1)
        own = (columns < 4) if sentences[one.sentence].label == "port" else (columns >= 4)
        assert own.any() == one.is_there


def test_both_tasks_are_planned_where_their_pictures_are(tmp_path: Path) -> None:
    make_rsicd(tmp_path)
    jobs = plan(Wishes(tmp_path, tasks=("wording", "own-words"), split="train")).jobs
    assert [job.task for job in jobs] == ["wording", "own-words"]
    with pytest.raises(DataError, match="EuroSAT"):
        plan(Wishes(tmp_path, tasks=("wording",), sets=("eurosat",)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets (../shared/data) are not here")
def test_no_sentence_is_a_caption() -> None:
    captions = {bare(text) for r in read_corpus(SHARED) if r.split == "train" for text in sentences_of(r)}
    assert not [one.text for one in own_sentences() if bare(one.text) in captions]
