"""Calls of tools by language models: bounded, checked away from the event loop, charged, and each refusal logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from app.server.fair_work import CHECKING
from app.server.rate_limit import CHARGE, CLIENT
from app.server.request_log import log_event
from app.server.values import LONGEST_LIST, MAX_PICTURES, CallError
from lrsclip.errors import Busy, LRSCLIPError, clipped

MAX_CALLS, MAX_CALLS_EACH = 24, 8
"""Calls that run at once: in all, and of one client."""


def bounded_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Bound a tool's arguments and their lists; the schema is changed in place, and returned.

    Args:
        schema: JSON schema of the arguments, in which pictures are texts.
    """
    schema["additionalProperties"] = False
    for one in schema.get("properties", {}).values():
        if one.get("type") == "array":
            of_texts = isinstance(items := one.get("items"), dict) and items.get("type") == "string"
            one["maxItems"] = MAX_PICTURES if of_texts else LONGEST_LIST
    return schema


def unchecked_server(base: type[Any]) -> type[Any]:
    """Make the class of an MCP server that leaves the check of arguments to `bound_calls`.

    The library looks for every fault in the event loop, to tell of one.

    Args:
        base: the library's own class.
    """

    class Unchecked(base):
        """The server of the library, without its check of arguments."""

        def call_tool(self, **_: Any) -> Any:
            """Register the function that runs tools."""
            return super().call_tool(validate_input=False)

    return Unchecked


def bound_calls(server: Any, handlers: dict[Any, Any], schema_of: Callable[[str], dict[str, Any]]) -> None:
    """Let few calls of tools run, fewer of one client: each runs to its end, and holds its pictures meanwhile.

    Args:
        server: of MCP.
        handlers: its handlers by kind of request; that of calls is replaced.
        schema_of: returns the schema of a tool's arguments; ValueError where there is no such tool.
    """
    from mcp import types

    call, at_work, schemas = handlers[types.CallToolRequest], Counter[str](), dict[str, Any]()

    async def answered(request: Any, client: str, charge: Callable[[float], float] | None) -> Any:
        name, arguments = request.params.name, request.params.arguments or {}
        if (pictures := _pictures_in(arguments)) > MAX_PICTURES:
            raise CallError(f"too many pictures; give up to {MAX_PICTURES} at a time")
        if at_work[client] >= MAX_CALLS_EACH or at_work.total() >= MAX_CALLS:
            raise Busy("too many calls of tools are at work; wait for one of them")
        at_work[client] += 1
        try:
            await CHECKING.run(client, partial(_check, arguments, name, schemas, schema_of))
            # a picture costs as its upload would; the first is paid with the call
            if charge is not None and pictures > 1 and (wait_s := charge(pictures - 1)):
                raise Busy(f"too many pictures; try again in {wait_s:.0f} s")
            return await call(request)
        finally:
            at_work[client] -= 1
            if not at_work[client]:
                del at_work[client]

    async def call_in_turn(request: Any) -> Any:
        scope = getattr(server.request_context.request, "scope", {})
        try:
            answer = await answered(request, str(scope.get(CLIENT, "")), scope.get(CHARGE))
        except LRSCLIPError as error:  # what comes further has its line as a call of its function
            log_event("mcp", "busy" if isinstance(error, Busy) else "refused", error=type(error).__name__)
            text = types.TextContent(type="text", text=str(error))
            return types.ServerResult(types.CallToolResult(content=[text], isError=True))
        if getattr(answer.root, "isError", False):
            for part in answer.root.content:
                if isinstance(part, types.TextContent):
                    part.text = clipped(part.text)
        return answer

    handlers[types.CallToolRequest] = call_in_turn


def _check(
    arguments: dict[str, Any], name: str, schemas: dict[str, Any], schema_of: Callable[[str], dict[str, Any]]
) -> None:
    """Hold arguments against the schema of their tool, up to the first fault.

    Args:
        arguments: by name.
        name: of the tool.
        schemas: those that were asked for before, by tool.
        schema_of: returns the schema of a tool.

    Raises:
        CallError: there is no such tool, or an argument does not fit.
    """
    from jsonschema.validators import validator_for

    if (check := schemas.get(name)) is None:
        try:
            schema = schema_of(name)
        except ValueError as error:
            raise CallError(f"there is no tool {name!r}; ask tools/list for those that are there") from error
        check = schemas[name] = validator_for(schema)(schema)
    fault = next(check.iter_errors(arguments), None)
    if fault is not None:
        place = ".".join(map(str, fault.absolute_path)) or "the arguments"
        raise CallError(f"{place}: {fault.message}")


def _pictures_in(value: Any) -> int:
    """Count the pictures in a call's arguments: Gradio uploads each to itself before it looks at their number."""
    if isinstance(value, str):
        return value.startswith("data:")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_pictures_in, parts))
