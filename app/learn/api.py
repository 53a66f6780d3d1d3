"""The endpoints /grow, /order, /swap and /reword."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.collections import AppState
from app.learn import reword as learn_reword
from app.learn import service as learn
from app.learn import swap as learn_swap
from app.learn.service import Part, Reading, Standing
from app.learn.subject import text_of_tile
from app.learn.swap import Pair
from app.server.endpoint import publish
from lrsclip.errors import TextError

_TEXT = "A river runs past green fields. A road crosses it beside some houses. Trees stand along its bank."


def add_learn(state: AppState) -> None:
    """Add /grow, /order, /swap and /reword."""
    _add_grow(state)
    _add_order(state)
    _add_swap(state)
    _add_reword(state)


def _add_grow(state: AppState) -> None:
    def grow(tile_id: str, text: str = "", by: Part = "sentences") -> dict[str, Any]:
        """Add a description of a tile part by part, and see after each how well it finds the tile.

        Args:
            tile_id: A tile as /search names it.
            text: The description; leave it empty for the one that is known of the tile.
            by: sentences or clauses.

        Returns:
            An object with tile_id, tiles (how many are ranked) and steps, at most 16. A step has added, tokens (of the
            text so far) and, as wide (all tokens that the model reads) and narrow (77 tokens), what is kept, what is
            cut, tokens, rank and rank_worst (1 is best; they differ where others score the same), score_cos, and
            first_id, the tile that is found first.
        """
        _check_tile(tile_id)
        grown = learn.grow(state, tile_id, text or text_of_tile(state, tile_id), by or "sentences")
        steps = [
            {
                "added": step.added.strip(),
                "tokens": step.tokens,
                "wide": _reading(step.wide),
                "narrow": _reading(step.narrow),
            }
            for step in grown.steps
        ]
        return {"tile_id": tile_id, "tiles": grown.tiles, "steps": steps}

    by = gr.Textbox("sentences", label="by", visible=False)
    publish(grow, [_box("tile_id"), _box("text"), by], _example(state, text=_TEXT))


def _add_order(state: AppState) -> None:
    def order(tile_id: str, text: str = "", seed: int = 0) -> dict[str, Any]:
        """Tell a description in full, its first sentence alone, its sentences shuffled, and without the first one.

        Args:
            tile_id: A tile as /search names it.
            text: The description, two sentences or more; leave it empty for the one that is known of the tile.
            seed: Of the shuffles.

        Returns:
            An object with tile_id, tiles and orders: name (full, first, shuffled, without_first), mean_rank, mean_cos,
            and tries, each with text, rank, rank_worst, score_cos and first_id.
        """
        if not isinstance(seed, int | None) or (seed or 0) < 0:
            raise TextError(f"the seed is {seed!r}; give a whole number from 0")
        _check_tile(tile_id)
        told = learn.reorder(state, tile_id, text or text_of_tile(state, tile_id), seed=seed or 0)
        orders = [
            {
                "name": one.name,
                "mean_rank": one.mean_rank,
                "mean_cos": one.mean_cos,
                "tries": [{"text": t, **_standing(s)} for t, s in zip(one.texts, one.standings, strict=True)],
            }
            for one in told.orders
        ]
        return {"tile_id": tile_id, "tiles": told.tiles, "orders": orders}

    seed = gr.Number(0, precision=0, label="seed", visible=False)
    publish(order, [_box("tile_id"), _box("text"), seed], _example(state, text=_TEXT))


def _add_swap(state: AppState) -> None:
    def swap(tile_id: str, true_text: str = "", false_text: str = "", kind: str = "count") -> dict[str, Any]:
        """Does the model prefer a true sentence about a tile to the same with one thing wrong?

        Args:
            tile_id: A tile as /search names it.
            true_text: The true sentence; leave both empty to have a pair made for a tile of the rendered landscape.
            false_text: The false one.
            kind: What is wrong in it: count, color, object, place or relation.

        Returns:
            An object with tile_id, kind, alone and whole (the pair within the whole description; null where the true
            sentence is no part of it), each with true_text, false_text, true_cos, false_cos and verdict (noticed,
            missed, close), and rates: for each kind the percent of pairs in which the truth was preferred in tests
            (chance is 50), and how many pairs there were.
        """
        _check_tile(tile_id)
        learn_swap.kind_of(kind)
        if not true_text and not false_text:
            pair = learn_swap.prepared_pair(state, tile_id, kind)
            if pair is None:
                raise TextError(f"no {kind} is known of {tile_id} that could be swapped; write both sentences")
            true_text, false_text = pair
        told = learn_swap.swap(state, tile_id, true_text, false_text, kind)
        return {
            "tile_id": tile_id,
            "kind": kind,
            "alone": _pair(told.alone),
            "whole": None if told.whole is None else _pair(told.whole),
            "rates": {name: {"percent": rate.percent, "pairs": rate.pairs} for name, rate in told.rates.items()},
        }

    kind = gr.Textbox("count", label="kind", visible=False)
    pair = {"true_text": "Two ponds lie in a meadow.", "false_text": "Five ponds lie in a meadow."}
    publish(swap, [_box("tile_id"), _box("true_text"), _box("false_text"), kind], _example(state, **pair, kind="count"))


def _add_reword(state: AppState) -> None:
    def reword(tile_id: str, text: str = "", again: str = "") -> dict[str, Any]:
        """Does the model find a tile as well by other words that say the same?

        Args:
            tile_id: A tile as /search names it.
            text: One description; leave it empty for the one that is known of the tile.
            again: The same in other words; leave it empty to have it made for a tile of the rendered landscape.

        Returns:
            An object with tile_id, tiles (how many are ranked), texts (for each its text, what is kept, what is cut,
            tokens, rank and rank_worst, 1 is best, score_cos, and first_id, the tile that is found first) and
            alike_cos, the cosine of the two texts.
        """
        _check_tile(tile_id)
        text, again = text or text_of_tile(state, tile_id), again or learn_reword.other_wording(state, tile_id)
        told = learn_reword.reword(state, tile_id, text, again)
        texts = [{"text": one, **_reading(read)} for one, read in zip(told.texts, told.readings, strict=True)]
        return {"tile_id": tile_id, "tiles": told.tiles, "texts": texts, "alike_cos": told.alike_cos}

    example = _example(state, text=_TEXT, again="Green farmland along a stream, with a road and a few houses.")
    publish(reword, [_box("tile_id"), _box("text"), _box("again")], example)


def _example(state: AppState, **values: str) -> dict[str, str]:
    return {"tile_id": next(iter(state.tile_ids()), ""), **values}


def _check_tile(tile_id: str) -> None:
    if not tile_id:
        raise TextError("tile_id is empty; give a tile as /search names it")


def _box(name: str) -> gr.Textbox:
    return gr.Textbox("", label=name, visible=False)


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "rank": standing.best,
        "rank_worst": standing.worst,
        "score_cos": standing.score_cos,
        "first_id": standing.first_id,
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {"kept": reading.kept, "cut": reading.cut, "tokens": reading.tokens, **_standing(reading.standing)}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "true_text": pair.true_text,
        "false_text": pair.false_text,
        "true_cos": pair.true_cos,
        "false_cos": pair.false_cos,
        "verdict": pair.verdict,
    }
