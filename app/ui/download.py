"""A text of the page saved as a file by the browser; it never becomes a file of the server."""

from __future__ import annotations

_SAVE_JS = """(text) => {
  if (!text) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "KIND;charset=utf-8"}));
  link.download = "NAME";
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


def download_js(name: str, kind: str) -> str:
    """A script that saves the text it is given.

    Args:
        name: of the file.
        kind: its media type.
    """
    return _SAVE_JS.replace("NAME", name).replace("KIND", kind)
