"""Yes, unsure or no: the bounds that are chosen, and the answers and rates that follow from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from lrsclip.calibration.logistic import Logistic
from train.calibration.bounds import Bounds, bounds_of

RATES = {"weights": (1.0,), "bias": 0.0, "false_alarm_rate": 0.1, "miss_rate": 0.1}
CASES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60).filter(
    lambda cases: len({there for _, there in cases}) == 2
)


def test_a_checkpoint_without_bounds_is_never_unsure() -> None:
    said = Logistic.model_validate(RATES)
    assert [said.verdict(p) for p in (0.0, 0.49, 0.5, 1.0)] == ["no", "no", "yes", "yes"]
    bounded = Logistic.model_validate(RATES | {"no_below": 0.3, "yes_from": 0.8})
    assert [bounded.verdict(p) for p in (0.29, 0.3, 0.79, 0.8)] == ["no", "unsure", "unsure", "yes"]
    for wrong in ({"no_below": 0.6}, {"yes_from": 0.4}):  # a no that is likelier than not
        with pytest.raises(ValidationError):
            Logistic.model_validate(RATES | wrong)


@given(CASES, st.sampled_from([0.05, 0.2]))
@example([(0.0, True), (0.58, False)], 0.05)  # a case on a bound, which 1 - 0.42 passes by a rounding
def test_no_error_is_more_frequent_than_allowed_and_no_more_is_left_unsure_than_must_be(
    cases: list[tuple[float, bool]], most: float
) -> None:
    chances, there = np.array([p for p, _ in cases]), np.array([t for _, t in cases])
    bounds = bounds_of(chances, there, most)
    rates = bounds.rates(chances, there)
    assert rates["miss_rate"] <= most + 1e-9 and 0 <= bounds.no_below <= 0.5 <= bounds.yes_from <= 1
    if bounds.yes_from < 1:
        assert rates["false_alarm_rate"] <= most + 1e-4
    if bounds.no_below < 0.49:
        assert (chances[there] < bounds.no_below + 0.01).mean() > most - 1e-9
    Logistic.model_validate(RATES | bounds.entry())


def test_the_rates_are_those_of_the_cases() -> None:
    chances, there = np.array([0.1, 0.4, 0.6, 0.9, 0.1, 0.9]), np.array([True, True, True, True, False, False])
    rates = Bounds(0.3, 0.7).rates(chances, there)
    assert rates == {"false_alarm_rate": 0.5, "miss_rate": 0.25, "unsure_rate": 0.3333, "cases": 6}
