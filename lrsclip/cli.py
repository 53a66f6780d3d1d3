"""The command `lrsclip`: one door to every part of the project, also as `python -m lrsclip.cli`.

Each subcommand is a module with a command line of its own (`python -m MODULE`), imported only when it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import lrsclip
from lrsclip.program import called_as


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        module: with a function `main(argv)` that returns an exit status; as text, since the library imports neither
            the page nor the training.
        about: purpose, in a few words.
        extra: of the package, where the module needs one.
        before: arguments that go before those of the user.
    """

    module: str
    about: str
    extra: str = ""
    before: tuple[str, ...] = ()


COMMANDS = {
    "serve": Command("app.cli", "start the demo in the browser"),
    "index": Command("lrsclip.index.__main__", "index tiles: build, add, remove, info"),
    "search": Command("lrsclip.index.__main__", "find the tiles that fit a text or an image", before=("search",)),
    "localize": Command("lrsclip.commands.localize", "show where in a scene a sentence is true"),
    "classify": Command("lrsclip.commands.classify", "name what pictures show"),
    "train": Command("train.fit", "train a model", "train"),
    "evaluate": Command("train.evaluate", "measure a checkpoint on the paper's tasks", "train"),
    "data": Command("train.data_engine.__main__", "make training data with short and long texts", "data-engine"),
    "checkpoint": Command("lrsclip.commands.checkpoint", "tell of a checkpoint (info), or verify it"),
}
_EXIT_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: the arguments, those of the process by default.

    Returns:
        Exit status: the subcommand's; 0 after help; 2 for an unknown subcommand or a package that is not installed.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    name = given[0] if given else "--help"
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        print(lrsclip.__version__)
        return 0
    if name not in COMMANDS:
        print(f"error: there is no command {name!r}; choose {', '.join(COMMANDS)}", file=sys.stderr)
        return _EXIT_ERROR
    command = COMMANDS[name]
    try:
        module = import_module(command.module)
    except ModuleNotFoundError as error:
        wanted = f"lrsclip[{command.extra}]" if command.extra else "lrsclip"
        print(f"error: lrsclip {name} needs {error.name}: pip install '{wanted}'", file=sys.stderr)
        return _EXIT_ERROR
    shown = next(own for own, other in COMMANDS.items() if other.module == command.module)
    with called_as(f"lrsclip {shown}"):
        status: int | None = module.main([*command.before, *given[1:]])
    return status or 0


def _help() -> str:
    widest = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{widest}}  {command.about}" for name, command in COMMANDS.items())
    return (
        "usage: lrsclip COMMAND ...\n\nFind and ground long descriptions in satellite and aerial imagery.\n\n"
        f"{listed}\n\nlrsclip COMMAND --help tells of each; --version of this package."
    )


if __name__ == "__main__":
    sys.exit(main())
