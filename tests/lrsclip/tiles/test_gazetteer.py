"""Cities by name, without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.tiles.gazetteer import MOST, find_cities


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Paris", "Paris, France"), ("paris, tx", "Paris, TX, United States"),
        ("Paris, US", "Paris, TX, United States"),
        ("Paris, USA", "Paris, TX, United States"), ("Köln", "Köln, Germany"), ("koln", "Köln, Germany"),
        ("Cologne", "Köln, Germany"), ("München", "Munich, Germany"), ("Sao Paulo", "São Paulo, Brazil"),
        ("東京", "Tokyo, Japan"),
        ("St. Petersburg, Russia", "Saint Petersburg, Russia"), ("new york", "New York City, NY, United States"),
        ("Springfield, IL", "Springfield, IL, United States"), ("Manchester, UK", "Manchester, United Kingdom"),
    ],
)  # fmt: skip
def test_a_city_is_found_by_any_of_its_names(text: str, label: str) -> None:
    assert find_cities(text)[0].label == label


def test_the_larger_city_of_a_name_comes_first_and_few_are_named() -> None:
    found = find_cities("Birmingham")
    assert [city.label for city in found][:2] == ["Birmingham, United Kingdom", "Birmingham, AL, United States"]
    assert len(find_cities("Krasno")) == MOST


@pytest.mark.parametrize("text", ["", "x", "Nowhereville", "Paris, Atlantis", "a" * 81, "\n\n", "place:1,2,3km@17"])
def test_what_is_no_city_is_none(text: str) -> None:
    assert find_cities(text) == ()


@given(st.text(max_size=90))
def test_any_text_has_an_answer(text: str) -> None:
    assert len(find_cities(text)) <= MOST
