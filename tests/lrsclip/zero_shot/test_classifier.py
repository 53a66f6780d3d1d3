"""Names in templates: what is too long to be read is refused before it is made."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrsclip.errors import TextError
from lrsclip.zero_shot.classifier import class_prototypes, filled_characters
from tests.helpers.knowing import Knowing


@given(st.text(max_size=30), st.lists(st.text(max_size=9), min_size=1, max_size=4))
def test_filled_templates_are_counted_without_being_made(phrasing: str, names: list[str]) -> None:
    template = phrasing + "{}" + phrasing
    assert filled_characters(template, names) == sum(len(template.replace("{}", name)) for name in names)


def test_a_long_name_in_many_places_is_refused_and_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TextError, match=r"makes a text of 1,4\d\d,\d\d\d,\d\d\d characters; 100,000 are the limit"):
            class_prototypes(Knowing({}), ["\U0001f600" * 160_000, "b"], ["{}" * 9000])
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_usual_names_pass() -> None:
    made = class_prototypes(Knowing({"a desert": "desert", "a forest": "forest"}), ["desert", "forest"], ["a {}"])
    assert made.labels == ("desert", "forest") and np.argmax(made.vectors[0]) == 1
