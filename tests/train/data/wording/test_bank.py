"""The bank of concepts, and paraphrases of captions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.names import CLASS_NAMES
from train.data.wording.bank import (
    UNSEEN,
    concept_of,
    concepts,
    draw_phrase,
    is_true_of,
    may_be_true_of,
    mentioned_in,
    with_article,
)
from train.data.wording.paraphrase import paraphrased

TRAINED = ("ucm", "rsicd30", "eurosat")


def test_every_concept_has_many_words_and_known_neighbors() -> None:
    bank = concepts()
    for concept in bank.values():
        assert len(concept.phrases) + UNSEEN >= 15, f"{concept.name} has {len(concept.phrases)} wordings"
        assert len(set(concept.unseen)) == UNSEEN and not set(concept.unseen) & set(concept.phrases)
        assert len({phrase.lower() for phrase in concept.phrases}) == len(concept.phrases), concept.name
        assert concept.wider | concept.may <= bank.keys(), concept.name
        assert concept.name not in concept.wider, f"{concept.name} is wider than itself"
        assert not any(phrase != phrase.strip() or phrase.endswith(".") for phrase in concept.phrases)


def test_no_noun_names_two_concepts_of_which_neither_is_true_of_the_other() -> None:
    owner: dict[str, str] = {}
    for concept in concepts().values():
        for phrase in (*concept.singular, *concept.plural):
            other = concepts()[owner.setdefault(phrase.lower(), concept.name)]
            assert is_true_of(other, concept) or is_true_of(concept, other), (phrase, other.name, concept.name)


def test_every_class_of_the_training_sets_is_in_the_bank() -> None:
    sets = json.loads(CLASS_NAMES.read_text(encoding="utf-8"))
    for name in TRAINED:
        for label in sets[name]["words"].values():
            assert concept_of(label).name in concepts(), label
    assert concept_of("no such class").phrases == ("no such class",)


def test_what_is_wider_is_true_and_what_stands_beside_is_open() -> None:
    bank = concepts()
    assert is_true_of(bank["farmland"], bank["permanent_crop"])
    assert not is_true_of(bank["permanent_crop"], bank["farmland"])
    assert may_be_true_of(bank["permanent_crop"], bank["farmland"])
    assert may_be_true_of(bank["river"], bank["bridge"])
    assert not may_be_true_of(bank["stadium"], bank["desert"])


def test_data_sets_share_their_words() -> None:
    """A town of Sentinel-2 and a street of an aerial picture are called alike."""
    assert concept_of("residential buildings") is concept_of("residential")
    assert concept_of("industrial buildings") is concept_of("industrial area")
    assert concept_of("baseball diamond") is concept_of("baseball field")


def test_drawn_phrases_cover_the_bank_with_and_without_frames() -> None:
    random, port = np.random.default_rng(0), concepts()["port"]
    drawn = [draw_phrase(port, random) for _ in range(3000)]
    for phrase in port.phrases:
        assert any(phrase in text for text in drawn), phrase
    bare = sum(text.removeprefix("a ").removeprefix("an ").removeprefix("the ") in port.phrases for text in drawn)
    assert 0.4 < bare / len(drawn) < 0.75
    assert not any("a ocean" in text or "{" in text for text in drawn)


@pytest.mark.parametrize(
    ("phrase", "text"), [("airport", "an airport"), ("university", "a university"), ("urban area", "an urban area")]
)
def test_articles_go_by_sound(phrase: str, text: str) -> None:
    assert with_article(phrase, "a") == text and with_article(phrase, "") == phrase


def test_captions_mention_concepts_in_one_word_or_several() -> None:
    found = mentioned_in(["Several oil tanks near a tennis court .", "cars in a parking lot"])
    assert {"storage_tanks", "tennis_court", "parking_lot"} <= found
    assert not found & {"forest", "airport"}


def test_paraphrases_say_the_same_in_other_words() -> None:
    random = np.random.default_rng(0)
    caption = "Many planes are parked near a large airport surrounded by trees ."
    assert paraphrased(caption, random, 0.0) == caption
    texts = {paraphrased(caption, random, 1.0) for _ in range(50)}
    assert len(texts) > 8
    assert all(text.split()[0] in ("Lots", "Numerous", "A") and " planes " not in text for text in texts)
    assert not any("surrounded" in text for text in texts)


@given(st.text(max_size=80), st.integers(0, 2**32 - 1))
def test_any_text_can_be_paraphrased(text: str, seed: int) -> None:
    assert isinstance(paraphrased(text, np.random.default_rng(seed), 0.5), str)
