"""A link that restores the Search tab: copied by a button, read when the page loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.blocks import Block

from app.collections import AppState, Collections
from app.search.controls import Controls, liked_tile, query_of
from app.search.html import note
from app.search.link import Link, as_parameters, faults_text, read_parameters
from app.search.service import public_address
from app.server.events import INTERNAL, QUICK, for_page
from app.ui.bbox import written
from lrsclip.errors import LRSCLIPError


@dataclass(frozen=True)
class LinkPart:
    """The components that events use; `arrived` says whether a link asks for a search."""

    notes: gr.HTML
    copy: gr.Button
    said: gr.HTML
    parameters: gr.Textbox
    arrived: gr.Textbox


def lay_out_notes() -> gr.HTML:
    """Put on the page the place for notes on values of a link that could not be used."""
    return gr.HTML("", elem_id="link-notes", elem_classes="if-any")


def lay_out(notes: gr.HTML) -> LinkPart:
    """Put the button on the page; the line that confirms is rendered by the page."""
    copy = gr.Button("Copy link", size="sm", min_width=60, elem_id="copy-link")
    said = gr.HTML('<p class="why" role="status"></p>', elem_id="link-said", render=False)
    parameters, arrived = (gr.Textbox(label=name, visible=False) for name in ("Link", "Link asks"))
    return LinkPart(notes, copy, said, parameters, arrived)


def wire(
    collections: Collections, demo: gr.Blocks, part: LinkPart, opened: gr.State, controls: Controls, tabs: gr.Tabs
) -> None:
    """Connect the button, and the components that a link restores."""

    def parameters(values: dict[Block, Any]) -> str:
        address = public_address(collections.of(values[opened]).source.spec)
        return as_parameters(Link("search", query_of(controls, values | {controls.picture: None}), address))

    def restored(request: gr.Request) -> Any:
        link = read_parameters(dict(request.query_params))
        if link is None:
            return gr.skip()
        return restore(part, controls, tabs, collections.first, link)

    part.copy.click(
        for_page(parameters), {opened, *controls.inputs}, part.parameters, preprocess=False,
        show_progress="hidden", **INTERNAL,
    ).success(None, [part.parameters, controls.picture], None, js=_COPY)  # fmt: skip
    given = [
        tabs, controls.text, controls.exclude, controls.exclude_weight, controls.like, controls.like_note,
        controls.forget, controls.picture_weight, controls.by_picture, controls.count, controls.least, controls.hide,
        controls.area, controls.by_area, part.notes, part.arrived,
    ]  # fmt: skip
    # The button is clicked, and no search is begun from here: then nobody who opens the page without a link waits in
    # the encoder's queue.
    demo.load(restored, None, given, **QUICK).then(None, part.arrived, None, js=_SEARCH_IF_ASKED, **QUICK)


def restore(part: LinkPart, controls: Controls, tabs: gr.Tabs, state: AppState, link: Link) -> dict[Block, Any]:
    """Return the controls' values of a link; a note names those that cannot be used.

    Args:
        part: components for the notes, and for the link's wish for a search.
        controls: the components that the link restores.
        tabs: of the page.
        state: the collection that is searched.
        link: the link as parsed.
    """
    query, told = link.query, [faults_text(link)]
    address = public_address(state.source.spec)
    if link.spec and link.spec != address:
        told.append(
            f"The link was made on the collection {link.spec}; this page searches another one. "
            "Open that one under Places and search again."
        )
    like, shown_like = query.like, ""
    if like:
        try:
            if state.index.source_spec(like) != state.source.spec:
                raise LRSCLIPError(f"no tile {like!r}")
            shown_like = liked_tile(state, like)
        except LRSCLIPError:
            told.append(f"The link names the tile {like}, which this collection does not have.")
            like = ""
    asks = query.has_text or bool(like)
    typed = {controls.text: query.text, controls.exclude: query.exclude}
    return {
        tabs: gr.Tabs(selected=link.tab),
        **{box: text for box, text in typed.items() if text},  # text typed while the page was loading stays
        controls.exclude_weight: query.exclude_weight,
        controls.like: like,
        controls.like_note: shown_like,
        controls.forget: gr.Button(visible=bool(like)),
        controls.picture_weight: query.image_weight,
        controls.by_picture: gr.Accordion(open=bool(like)),
        controls.count: query.k,
        controls.least: query.min_score_cos or 0,
        controls.hide: query.hide_duplicates,
        controls.area: written(query.bbox_lonlat) if query.bbox_lonlat else "",
        controls.by_area: gr.Accordion(open=query.bbox_lonlat is not None),
        part.notes: note(" ".join(filter(None, told))),
        part.arrived: "asked" if asks else "",
    }


_SEARCH_IF_ASKED = """(asked) => {
  if (asked) setTimeout(() => document.querySelector("#search-button").click(), 100);
}"""

# The server may stand behind another name: only the browser knows under which address it sees the page.
_COPY = """async (parameters, picture) => {
  const said = document.querySelector("#link-said p");
  const link = `${window.location.origin}${window.location.pathname}?${parameters}`;
  const but = picture ? " Your picture is not part of it." : "";
  let done = false;
  try {
    await navigator.clipboard.writeText(link);
    done = true;
  } catch {
    const box = document.createElement("textarea");
    box.value = link;
    document.body.append(box);
    box.select();
    done = document.execCommand("copy");
    box.remove();
  }
  said.textContent = (done ? "Link copied." : `Copy this link: ${link}`) + but;
}"""
