"""Code that calls an endpoint, as *Use via API* shows it: it runs as it is copied.

Gradio's own snippets hold the boxes' first values, on which most endpoints answer that something is missing, and their
shell script loses the id of its event in bash.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

_HERE = "\0"  # where the shell puts a file


def file_named(name: str) -> dict[str, Any]:
    """Return the value of a file that lies beside the snippet, in the form of Gradio's protocol."""
    return {"path": name, "meta": {"_type": "gradio.FileData"}}


def code_snippets(name: str, values: Mapping[str, Any], root: str) -> dict[str, str]:
    """Write the calls of an endpoint, by the name that Gradio's page has for the language.

    Args:
        name: of the endpoint, with its slash.
        values: of its parameters; those with a useful default may be left out.
        root: address of the server.
    """
    taken = "Client, handle_file" if any(map(_files_in, values.values())) else "Client"
    python = [
        f"from gradio_client import {taken}",
        "",
        f"client = Client({json.dumps(root)})",
        "result = client.predict(",
        *(f"    {key}={_literal(value, repr)}," for key, value in values.items()),
        f"    api_name={json.dumps(name)},",
        ")",
        "print(result)",
    ]
    javascript = [
        f'import {{ {taken} }} from "@gradio/client";',
        "",
        f"const client = await Client.connect({json.dumps(root)});",
        f"const result = await client.predict({json.dumps(name)}, {{",
        *(f"  {key}: {_literal(value, json.dumps)}," for key, value in values.items()),
        "});",
        "console.log(result.data);",
    ]
    bash = _bash(f"{root.rstrip('/')}/api/v1{name}", values)
    return {"python": "\n".join(python), "javascript": "\n".join(javascript), "bash": bash}


def cli_snippet(name: str, values: Mapping[str, Any]) -> str:
    """Write the call of Gradio's command, which takes all values as one JSON object.

    Gradio and its page fill in the server's address and the command.
    """
    return f"{{command}} predict {{space_id}} {name} {shlex.quote(json.dumps(dict(values)))}\n"


def _literal(value: Any, written: Callable[[Any], str]) -> str:
    if _is_file(value):
        return f"handle_file({json.dumps(value['path'])})"
    if isinstance(value, list):
        return f"[{', '.join(_literal(one, written) for one in value)}]"
    return written(value)


def _bash(address: str, values: Mapping[str, Any]) -> str:
    """Write a call of the plain HTTP endpoint: one request, where Gradio's protocol needs two or three."""
    call = f"curl -s {shlex.quote(address)} -H 'Content-Type: application/json'"
    files = [file for value in values.values() for file in _files_in(value)]
    body = json.dumps({key: _marked(value) for key, value in values.items()})
    if not files:
        return f"{call} \\\n  -d {shlex.quote(body)}"
    form = body.replace("\\u0000", _HERE).replace("\\", "\\\\").replace("%", "%%").replace(_HERE, "%s")
    contents = " ".join(f'"$(base64 -w0 {shlex.quote(file["path"])})"' for file in files)
    return f"printf {shlex.quote(form)} {contents} |\n  {call} -d @-"


def _marked(value: Any) -> Any:
    if _is_file(value):
        return _HERE
    return [_marked(one) for one in value] if isinstance(value, list) else value


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and "path" in value


def _files_in(value: Any) -> list[dict[str, Any]]:
    return [one for one in (value if isinstance(value, list) else [value]) if _is_file(one)]
