"""Typed errors. Every message names the wrong thing and a way to mend it."""

from __future__ import annotations

_HEAD, _TAIL = 900, 280  # characters of a message: what is wrong stands first, the way to mend it last


def clipped(text: str, head: int = _HEAD, tail: int = _TAIL) -> str:
    """Leave out the middle of a text that is too long to be read.

    Args:
        text: any text.
        head: characters that stay of its beginning.
        tail: characters that stay of its end, more than 0.

    Returns:
        The text itself where it is no longer than both together with the mark between them.
    """
    mark = " ... "
    return text if len(text) <= head + len(mark) + tail else f"{text[:head]}{mark}{text[-tail:]}"


class LRSCLIPError(Exception):
    """Base of every error that this project raises on purpose."""

    def __str__(self) -> str:
        """Return the message, without the middle of a long one: it may quote a text of any length whole."""
        return clipped(super().__str__())


class UnknownModelError(LRSCLIPError):
    """A name, path or Hub address without a checkpoint."""


class CheckpointError(LRSCLIPError):
    """A checkpoint with missing files or damage, with tensors that do not fit together, or that leaves something open.

    Its message is one printable line of bounded length: the names of tensors and fields in it are a stranger's, and may
    hold anything, such as control codes of a terminal.
    """

    def __init__(self, message: str) -> None:
        printable = (letter if letter.isprintable() else ascii(letter)[1:-1] for letter in clipped(message))
        super().__init__("".join(printable))


class CheckpointDamagedError(CheckpointError):
    """A file of weights that is cut off or damaged, so that its tensors cannot be read."""


class TextError(LRSCLIPError, ValueError):
    """A text that is empty or not text."""


class PictureError(LRSCLIPError, ValueError):
    """A picture that cannot be read, has no pixels, or is over the size limit."""


class TileSourceError(LRSCLIPError):
    """A tile source (a folder, rasters, a data set, a place on Earth) that cannot be used."""


class AddressError(TileSourceError):
    """A web address that may not be asked: no http, or of a private network."""


class FetchError(LRSCLIPError):
    """A server's failure to send the answer; trying again may help."""


class Busy(LRSCLIPError):
    """A server's overload at the moment; trying again helps."""


class IndexMismatchError(LRSCLIPError):
    """An index built by another model (or from another source) than the one at hand."""


class IndexDamagedError(LRSCLIPError):
    """An index on disk that is incomplete or does not match its manifest."""


class IndexArgumentError(LRSCLIPError, ValueError):
    """A number or an array without sense for an index, or for a search of it."""


class ExportError(LRSCLIPError):
    """A heat-map that cannot be written to its place."""


class DataError(LRSCLIPError):
    """Training or evaluation data that is missing, or not laid out as its reader expects."""


class TrainingError(LRSCLIPError):
    """Training that cannot start or go on (settings that do not fit, loss not finite)."""


class Cancelled(LRSCLIPError):
    """A stop of long work on request; finished parts are kept."""
