"""The model's queue: what is batched, who goes first, who can leave, and that nobody's result changes by it."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import lrsclip
from app.server.concurrency import StopFlags
from app.server.encoder_queue import STOP, EncoderQueue, Spent, SpentByClient, Work, one_event
from app.server.events import for_page, for_programs
from app.server.queued_model import SharedModel, pieces_of
from lrsclip.errors import Busy, Cancelled, PictureError, TextError
from lrsclip.localize import WindowMemory, localize
from tests.helpers.app_parts import draw_tile


class Gate:
    """A queue whose thread stands at a first job until it is let go, so that what waits behind it is known."""

    def __init__(self, max_waiting: int = 96) -> None:
        self.queue = EncoderQueue(max_waiting)
        self.runs: list[list[float]] = []
        self.threads: list[threading.Thread] = []
        self.results: dict[str, Any] = {}
        self._open, self._there = threading.Event(), threading.Event()
        self.start("gate", lambda: self.queue.do(Work(None, self._stand), torch.zeros(1, 1)))
        assert self._there.wait(30)

    def _stand(self, rows: Tensor) -> Tensor:
        self._there.set()
        assert self._open.wait(30)
        return rows

    def work(self, kind: str | None, max_rows: int = 8, max_tokens: int | None = None) -> Work:
        """Doubles its rows, and notes each run."""

        def run(rows: Tensor) -> Tensor:
            self.runs.append(rows[:, 0].tolist())
            return rows * 2

        return Work(kind, run, max_rows, max_tokens)

    def ask(
        self, name: str, work: Work, *values: float, urgent: bool = False, stop: threading.Event | None = None
    ) -> None:
        """Let a thread ask, and wait until it stands in the line."""
        rows = torch.tensor(values)[:, None]
        self.call(name, lambda: self.queue.do(work, rows, urgent=urgent, stop=stop))

    def call(self, name: str, function: Callable[[], Any]) -> None:
        """Let a thread call what asks, and wait until it stands in the line."""
        before = self.queue.waiting
        self.start(name, function)
        until(lambda: self.queue.waiting > before)

    def start(self, name: str, function: Callable[[], Any]) -> None:
        """Let a thread call something; its result is kept by name."""

        def wait() -> None:
            try:
                self.results[name] = function()
            except BaseException as error:
                self.results[name] = error

        context = copy_context()  # as a server's threads have one for each event
        self.threads.append(threading.Thread(target=lambda: context.run(wait), daemon=True))
        self.threads[-1].start()

    def let_go(self) -> None:
        """Open the gate and wait until all have their answer."""
        self._open.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    pause = threading.Event()
    for _ in range(3000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to hold")


@pytest.fixture
def gate() -> Iterator[Gate]:
    opened = Gate()
    yield opened
    opened.let_go()
    opened.queue.close()


def test_jobs_of_one_kind_are_done_together_and_each_gets_its_own(gate: Gate) -> None:
    gate.ask("a", gate.work("texts"), 1, 2)
    gate.ask("other", gate.work("pictures"), 9)
    gate.ask("b", gate.work("texts"), 3)
    gate.ask("too many", gate.work("texts"), *range(10, 16))
    gate.ask("alone", gate.work(None), 7)
    gate.ask("alone too", gate.work(None), 8)
    gate.let_go()
    assert gate.runs == [[1, 2, 3], [9], [10, 11, 12, 13, 14, 15], [7], [8]]
    told = {name: result.flatten().tolist() for name, result in gate.results.items() if isinstance(result, Tensor)}
    assert told["a"] == [2, 4] and told["b"] == [6] and told["other"] == [18]


def test_short_texts_go_first_but_not_for_ever(gate: Gate) -> None:
    for number in range(3):
        gate.ask(f"long {number}", gate.work(None), 100 + number)
    for number in range(6):
        gate.ask(f"short {number}", gate.work(None), number, urgent=True)
    gate.let_go()
    order = [run[0] for run in gate.runs]
    assert order == [0, 1, 2, 3, 100, 4, 5, 101, 102]


def test_a_clients_second_short_text_comes_after_anothers_first(gate: Gate) -> None:
    greedy, other = Spent(), Spent()
    with one_event(greedy):
        for number in range(3):
            gate.ask(f"greedy {number}", gate.work(None), number, urgent=True)
    time.sleep(0.3)  # a burst that has waited has waited once, and not with each of its jobs
    with one_event(other):
        gate.ask("other", gate.work(None), 100, urgent=True)
    gate.let_go()
    assert gate.runs == [[0], [100], [1], [2]]


def test_whoever_had_least_goes_first_among_short_texts_too(gate: Gate) -> None:
    for name, seconds in (("much", 1000.0), ("little", 1.0), ("nothing", 0.0)):
        with one_event(Spent(seconds)):
            gate.ask(name, gate.work(None), seconds, urgent=True)
    gate.let_go()
    assert gate.runs == [[0], [1], [1000]]


def test_a_batch_takes_the_first_of_each_client_before_the_second_of_any(gate: Gate) -> None:
    with one_event(Spent()):
        gate.ask("first", gate.work("texts", 2), 1, urgent=True)
        gate.ask("second", gate.work("texts", 2), 2, urgent=True)
    with one_event(Spent()):
        gate.ask("other", gate.work("texts", 2), 3, urgent=True)
    gate.let_go()
    assert gate.runs == [[1, 3], [2]]


def test_a_batch_is_bounded_by_tokens_padding_included_and_each_pays_for_its_own(gate: Gate) -> None:
    short, long = Spent(), Spent()
    runs: list[tuple[int, ...]] = []

    def run(rows: Tensor) -> Tensor:
        runs.append(tuple(rows.shape))
        time.sleep(0.05)
        return rows[:, :1]

    def ask(name: str, rows: int, length: int, spent: Spent) -> None:
        with one_event(spent):
            work = Work("texts", run, 100, 100)
            gate.call(name, lambda: gate.queue.do(work, torch.ones(rows, length)))

    ask("short", 1, 25, short)
    ask("long", 1, 45, long)
    ask("too many, padded", 1, 6, Spent())
    ask("longer than all", 1, 200, Spent())
    gate.let_go()
    assert runs == [(2, 45), (1, 6), (1, 200)]
    assert long.seconds == pytest.approx(1.8 * short.seconds)


def test_a_word_is_not_padded_to_the_length_of_a_long_text(gate: Gate) -> None:
    shapes: list[tuple[int, ...]] = []

    def run(rows: Tensor) -> Tensor:
        shapes.append(tuple(rows.shape))
        return rows

    for name, length in (("word", 4), ("long", 80), ("word too", 5), ("long too", 70)):
        rows = torch.ones(1, length)
        gate.call(name, functools.partial(gate.queue.do, Work("texts", run, 200, 200), rows))
    gate.let_go()
    assert shapes == [(2, 5), (2, 80)]


def test_whoever_had_least_of_the_model_goes_first(gate: Gate) -> None:
    much, little = Spent(1000.0), Spent(1.0)
    with one_event(much):
        gate.ask("much", gate.work(None), 1)
    with one_event(little):
        gate.ask("little", gate.work(None), 2)
    gate.ask("new", gate.work(None), 3)
    gate.let_go()
    assert gate.runs == [[3], [2], [1]]
    assert much.seconds > 1000.0


@pytest.mark.parametrize("for_whom", [for_page, for_programs])
def test_what_an_event_had_of_the_model_counts_for_all_it_asks(gate: Gate, for_whom: Any) -> None:
    other = EncoderQueue()

    def much(rows: Tensor) -> Tensor:
        time.sleep(0.5)
        return rows

    def look() -> Tensor:
        other.do(Work(None, much), torch.zeros(1, 1))
        return gate.queue.do(gate.work(None), torch.ones(1, 1))

    gate.call("long", for_whom(look))
    gate.ask("new", gate.work(None), 2)
    gate.let_go()
    other.close()
    assert gate.runs == [[2], [1]]


def test_whoever_waits_can_leave_and_the_others_stay(gate: Gate) -> None:
    stop = threading.Event()
    gate.ask("leaves", gate.work("texts"), 1, stop=stop)
    gate.ask("stays", gate.work("texts"), 2)
    stop.set()
    until(lambda: "leaves" in gate.results)
    assert isinstance(gate.results["leaves"], Cancelled)
    gate.let_go()
    assert gate.runs == [[2]]
    assert isinstance(gate.results["stays"], Tensor)


def test_the_line_has_an_end() -> None:
    gate = Gate(max_waiting=2)
    gate.ask("a", gate.work(None), 1)
    gate.ask("b", gate.work(None), 2)
    with pytest.raises(Busy, match="2 jobs wait for the model already; try again"):
        gate.queue.do(gate.work(None), torch.zeros(1, 1))
    gate.let_go()
    assert isinstance(gate.results["b"], Tensor)
    gate.queue.close()
    with pytest.raises(Busy, match="going down"):
        gate.queue.do(gate.work(None), torch.zeros(1, 1))


def test_a_job_without_rows_does_not_end_the_line(gate: Gate) -> None:
    gate.start("none", lambda: gate.queue.do(gate.work(None), torch.zeros(0, 1)))
    gate.ask("some", gate.work(None), 1)
    gate.let_go()
    assert isinstance(gate.results["none"], Tensor) and isinstance(gate.results["some"], Tensor)


def test_a_fault_reaches_who_asked_and_nobody_else(gate: Gate) -> None:
    def fail(_: Tensor) -> Tensor:
        raise ValueError("no")

    gate.ask("bad", Work(None, fail), 1)
    gate.ask("good", gate.work(None), 2)
    gate.let_go()
    assert isinstance(gate.results["bad"], ValueError)
    assert isinstance(gate.results["good"], Tensor)


# the model behind it


@pytest.fixture(scope="module")
def plain() -> lrsclip.LRSCLIP:
    return lrsclip.random_model()


@pytest.fixture(scope="module")
def shared(plain: lrsclip.LRSCLIP) -> Iterator[SharedModel]:
    model = SharedModel.of(plain, max_characters=2000)
    yield model
    model.queue.close()


def test_texts_of_many_at_once_are_done_together_and_the_same_as_alone(
    plain: lrsclip.LRSCLIP, shared: SharedModel, gate: Gate
) -> None:
    texts = ["white boats", "a long road with fields on both sides " * 4, "tanks", "an airport " * 20]
    alone = [plain.encode_text([text])[0] for text in texts]
    model = dataclasses.replace(shared, queue=gate.queue)
    for text in texts:
        gate.call(text, functools.partial(model.encode_text, [text]))
    gate.let_go()
    assert gate.queue.runs_done == 2, "the gate, and all texts at once"
    np.testing.assert_allclose([gate.results[text][0] for text in texts], alone, atol=5e-3)  # in bfloat16 at most that
    batched = shared.encode_text(texts)
    np.testing.assert_allclose(batched, alone, atol=5e-3)


def test_a_search_waits_for_one_piece_of_a_map_at_most(
    shared: SharedModel, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noted(name: str) -> Callable[..., Tensor]:
        own = getattr(lrsclip.LRSCLIP, name)

        def run(*given: Any, **how: Any) -> Tensor:
            order.append(name)
            result: Tensor = own(*given, **how)
            return result

        return run

    for name in ("encode_tokens", "encode_pixels"):
        monkeypatch.setattr(lrsclip.LRSCLIP, name, noted(name))
    model = dataclasses.replace(shared, queue=gate.queue)
    pieces = [[draw_tile("road", seed)] * model.pictures_at_once for seed in range(4)]
    for number, piece in enumerate(pieces):
        gate.call(f"piece {number}", functools.partial(model.encode_image, piece))
    gate.call("text", lambda: model.encode_text(["white boats"]))
    gate.let_go()
    assert order == ["encode_tokens", *["encode_pixels"] * 4]


def test_long_texts_wait_and_go_in_pieces_and_many_short_ones_need_not(
    shared: SharedModel, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    own = lrsclip.LRSCLIP.encode_tokens

    def noted(self: lrsclip.LRSCLIP, tokens: Tensor, **how: Any) -> Tensor:
        sizes.append(tokens.numel())
        return own(self, tokens, **how)

    monkeypatch.setattr(lrsclip.LRSCLIP, "encode_tokens", noted)
    model = dataclasses.replace(shared, queue=gate.queue)
    shuffles = [f"{number} " + "a b c d e f g h i j k l m n o. " * 12 for number in range(8)]
    gate.call("order", lambda: model.encode_text(shuffles))
    gate.call("labels", lambda: model.encode_text([f"class {number}" for number in range(40)]))
    gate.call("search", lambda: model.encode_text(["white boats", "an airport " * 120]))
    gate.let_go()
    most = model.tokens_at_once
    assert sizes[0] < sizes[1] <= most and max(sizes) <= most, "the labels, and the search"
    assert sum(sizes[2:]) > 3 * most, "and only then the eight long ones"
    np.testing.assert_allclose(gate.results["order"], model_of(shuffles, shared), atol=5e-3)


def model_of(texts: list[str], model: lrsclip.LRSCLIP) -> Any:
    """The vectors of texts, encoded one by one."""
    return np.concatenate([model.encode_text([text]) for text in texts])


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 600))
def test_texts_are_divided_among_pieces_by_tokens(lengths: list[int], most: int) -> None:
    pieces = pieces_of(lengths, most)
    assert sorted(number for piece in pieces for number in piece) == list(range(len(lengths)))
    for piece in pieces:
        longest = max(lengths[number] for number in piece)
        assert lengths[piece[-1]] == longest
        assert len(piece) == 1 or len(piece) * longest <= most


def test_large_calls_go_in_pieces_and_give_what_the_model_gives(plain: lrsclip.LRSCLIP, shared: SharedModel) -> None:
    pictures = [draw_tile("road", seed) for seed in range(19)]
    before = shared.queue.jobs_done
    np.testing.assert_allclose(shared.encode_image(pictures), plain.encode_image(pictures), atol=5e-3)
    assert shared.queue.jobs_done - before == 3
    scene = draw_tile("harbour", 1, 300)
    for method in ("windows", "dense"):
        ours = localize(shared, scene, "white boats", method=method, memory=WindowMemory())
        theirs = localize(plain, scene, "white boats", method=method, memory=WindowMemory())
        np.testing.assert_allclose(ours.cells.values_cos, theirs.cells.values_cos, atol=5e-3)


@pytest.mark.slow
def test_a_map_is_made_square_by_square_and_pooled_as_the_model_does() -> None:
    plain = lrsclip.load("tiny")
    shared = SharedModel.of(plain)
    rgb = np.asarray(draw_tile("harbour", 1, 1264)).copy()
    boxes = np.array([[0, 0, 200, 200], [900, 900, 1200, 1264], [300, 500, 700, 900]], np.float32)
    ours, theirs = shared.map_scene(rgb), plain.map_scene(rgb)
    torch.testing.assert_close(ours, theirs)
    assert shared.queue.jobs_done == 4, "two by two squares"
    np.testing.assert_allclose(shared.pool_windows(ours, boxes), plain.pool_windows(theirs, boxes), atol=1e-6)
    shared.queue.close()


def test_what_is_wrong_is_said_before_the_line(shared: SharedModel) -> None:
    before = shared.queue.jobs_done
    for text in ("x" * 2001, "a road " * 400):
        with pytest.raises(TextError, match="2,000 are the limit"):
            shared.encode_text([text])
        with pytest.raises(TextError, match="2,000 are the limit"):
            shared.describe_tokens(text)
    with pytest.raises(PictureError, match="strip"):
        shared.encode_image([Image.new("RGB", (6000, 2))])
    assert shared.queue.jobs_done == before


def test_a_stopped_heat_map_keeps_what_it_has(shared: SharedModel) -> None:
    memory, scene, stops = WindowMemory(), draw_tile("tanks", 2, 400), StopFlags()
    seen: list[int] = []
    before = STOP.get()

    def first_part(done: int, _total: int) -> None:
        seen.append(done)
        stops.stop("me")

    def work() -> None:
        flag = stops.start("me")
        assert STOP.get() is flag
        with pytest.raises(Cancelled, match="start it again to go on"):
            localize(shared, scene, "a tank", progress=first_part, batch_size=8, memory=memory)  # the flag is known

    with ThreadPoolExecutor(1) as other:
        other.submit(work).result(60)
    assert len(seen) == 1
    again: list[int] = []
    localize(shared, scene, "a tank", progress=lambda done, _: again.append(done), batch_size=8, memory=memory)
    assert again[0] > seen[0]
    assert STOP.get() is before, "a flag of one event is not another's"


def test_events_of_one_client_count_together_and_are_forgotten_in_time() -> None:
    now = [0.0]
    known = SpentByClient(clock=lambda: now[0])
    known.of("greedy").seconds += 40.0
    assert known.of("greedy") is known.of("greedy") and known.of("greedy").seconds == 40.0
    assert known.of("other").seconds == 0.0 and known.of("") is not known.of("")
    now[0] = 60.0
    assert known.of("greedy").seconds == 10.0
