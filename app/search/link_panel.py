"""The search in the page's address: copied by a button, read when the page loads and when one goes back."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.blocks import Block

from app.collections import AppState, Collections
from app.search.controls import Controls, liked_tile, query_of
from app.search.link import Link, as_parameters, faults_text
from app.search.service import Found, Query, public_address
from app.server.events import INTERNAL, for_page, sentence
from lrsclip.errors import LRSCLIPError

OWN, PRIVATE = "own", "private:"
"""Addresses in a link for the first collection and for another one, where their own are nobody's business."""
BEGIN = "-"
"""Stands for the address of the page as it begins."""


@dataclass(frozen=True)
class LinkPart:
    """The components that events use.

    Attributes:
        notes: on values of a link that could not be used.
        copy: copies the link.
        said: confirms that.
        parameters: of the link to be copied.
        visited: the address to which one went back, as the script says it.
        arrived: whether a link asks for a search.
    """

    notes: gr.HTML
    copy: gr.Button
    said: gr.HTML
    parameters: gr.Textbox
    visited: gr.Textbox
    arrived: gr.Textbox


def lay_out_notes() -> gr.HTML:
    """Put on the page the place for notes on values of a link that could not be used."""
    return gr.HTML("", elem_id="link-notes", elem_classes="if-any")


def lay_out(notes: gr.HTML) -> LinkPart:
    """Put the button on the page; the line that confirms is rendered by the page."""
    copy = gr.Button("Copy link", size="sm", min_width=60, elem_id="copy-link")
    said = gr.HTML('<p class="why" role="status"></p>', elem_id="link-said", render=False)
    parameters, arrived = (gr.Textbox(label=name, visible=False) for name in ("Link", "Link asks"))
    visited = gr.Textbox(label="Address", visible="hidden", elem_id="visited-address")
    return LinkPart(notes, copy, said, parameters, visited, arrived)


def wire(collections: Collections, part: LinkPart, opened: gr.State, controls: Controls) -> None:
    """Connect the button."""

    def parameters(values: dict[Block, Any]) -> str:
        try:
            query = query_of(controls, values | {controls.picture: None})
            return as_parameters(Link("search", query, address_in_links(collections, collections.of(values[opened]))))
        except LRSCLIPError as error:
            gr.Warning(sentence(error))
            return ""

    part.copy.click(
        for_page(parameters), {opened, *controls.inputs}, part.parameters, preprocess=False,
        show_progress="hidden", **INTERNAL,
    ).success(None, [part.parameters, controls.picture], None, js=_COPY)  # fmt: skip


def address_in_links(collections: Collections, state: AppState) -> str:
    """Return what stands for a collection in a link: its address, or a name that this server alone understands."""
    spec = state.source.spec
    if public := public_address(spec):
        return public
    return OWN if state is collections.first else f"{PRIVATE}{hashlib.sha256(spec.encode()).hexdigest()[:16]}"


def collection_of(collections: Collections, link: Link, mine: Collection[str]) -> tuple[AppState | None, str]:
    """Find the open collection that a link speaks of.

    Args:
        collections: the app's.
        link: the link as parsed.
        mine: addresses that this visitor opened: a stranger's private collection is nobody else's.

    Returns:
        The collection, or None and a sentence that says why not.
    """
    if not link.spec:
        return collections.first, ""
    for state in collections.opened():
        if link.spec == address_in_links(collections, state):
            if link.spec.startswith(PRIVATE) and collections.untrusted and state.source.spec not in mine:
                continue
            return state, ""
    if link.spec == OWN or link.spec.startswith(PRIVATE):
        return None, "The link was made on a collection that only its own machine can open; nothing was searched here."
    return (
        None,
        f"The link was made on the collection {link.spec}. To search it: Places, Look up, Open.",
    )


def parameters_of(collections: Collections, state: AppState, found: Found) -> str:
    """Return the parameters of the address that brings results back; `BEGIN` for none, "" for too long ones."""
    address = address_in_links(collections, state)
    if not found.searched:
        return BEGIN if state is collections.first else as_parameters(Link("search", Query(), address))
    try:
        return as_parameters(Link("search", replace(found.query, image=None), address))
    except LRSCLIPError:  # a text too long for an address stays out of it
        return ""


def restored_controls(
    controls: Controls, state: AppState, link: Link, *, keep_typed: bool
) -> tuple[dict[Block, Any], str]:
    """Return the controls' values of a link, and a sentence on what could not be used.

    Args:
        controls: the components.
        state: the collection that the link speaks of.
        link: the link as parsed.
        keep_typed: whether text that was typed while the page was loading stays where the link has none.
    """
    query, told, like, shown_like = link.query, [faults_text(link)], link.query.like, ""
    if like:
        try:
            if state.index.source_spec(like) != state.source.spec:
                raise LRSCLIPError(f"no tile {like!r}")
            shown_like = liked_tile(state, like)
        except LRSCLIPError:
            told.append(f"The link names the tile {like}, which this collection does not have.")
            like = ""
    typed: dict[Block, str] = {controls.text: query.text, controls.exclude: query.exclude}
    values: dict[Block, Any] = {
        **{box: text for box, text in typed.items() if text or not keep_typed},
        controls.exclude_weight: query.exclude_weight,
        controls.picture: None,
        controls.like: like,
        controls.like_note: shown_like,
        controls.forget: gr.Button(visible=bool(like)),
        controls.picture_weight: query.image_weight,
        controls.by_picture: gr.Accordion(open=bool(like)),
        controls.count: query.k,
        controls.least: query.min_score_cos or 0,
        controls.hide: query.hide_duplicates,
        controls.area: query.area.written(),
        controls.by_area: gr.Accordion(open=bool(query.area)),
    }
    return values, " ".join(filter(None, told))


SEARCH_IF_ASKED = """(asked) => {
  if (asked) setTimeout(() => document.querySelector("#search-button").click(), 100);
}"""
"""The button is clicked, and no search begins on the server: nobody without a link waits in the encoder's queue."""

# The server may stand behind another name: only the browser knows under which address it sees the page.
_COPY = """async (parameters, picture) => {
  const said = document.querySelector("#link-said p");
  said.textContent = "";
  if (!parameters) return; // a warning says why
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
