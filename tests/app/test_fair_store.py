"""A bounded store: each client pushes out its own, whatever the others do."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.fair_store import FairStore

_PUTS = st.lists(
    st.tuples(st.integers(0, 12).map(str), st.sampled_from("abc"), st.integers(1, 9), st.booleans()), max_size=60
)


@given(_PUTS, st.integers(5, 40))
def test_the_store_keeps_its_bound_and_takes_from_whoever_holds_most(
    puts: list[tuple[str, str, int, bool]], most: int
) -> None:
    store: FairStore[str] = FairStore(most)
    sizes: dict[str, int] = {}
    owners: dict[str, set[str]] = {}
    for key, client, size, takes_out in puts:
        if takes_out:
            assert store.pop(key) == (key if key in sizes else None)
            sizes.pop(key, None)
            owners.pop(key, None)
            continue
        sizes[key] = size
        owners.setdefault(key, set()).add(client)
        for gone in store.put(key, key, client, size):
            held = Counter[str]()
            for one, its in owners.items():
                held.update(dict.fromkeys(its, sizes[one]))
            assert max(held[one] for one in owners[gone]) == max(held.values())
            del sizes[gone], owners[gone]
        assert store.size == sum(sizes.values())
        assert store.size <= most or len(sizes) == 1
        assert sorted(store.values()) == sorted(sizes)


def test_a_flood_of_one_client_pushes_out_its_own_and_takes_little_time() -> None:
    store: FairStore[int] = FairStore(20_000)
    store.put("other", -1, "other")
    for number in range(60_000):
        store.put(str(number), number, "greedy")
    assert store.get("other") == -1
    assert store.get("39999") is None and store.get("59999") == 59_999
