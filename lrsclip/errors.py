"""Typed errors. Every message names the thing that is wrong and says how to mend it."""

from __future__ import annotations


class LRSCLIPError(Exception):
    """Base of every error that this project raises on purpose."""


class UnknownModelError(LRSCLIPError):
    """No checkpoint goes by that name, at that path, or under that Hub address."""


class CheckpointError(LRSCLIPError):
    """A checkpoint is missing files, damaged, or its tensors do not fit together."""


class TextError(LRSCLIPError, ValueError):
    """A text is empty or not text."""


class PictureError(LRSCLIPError, ValueError):
    """A picture cannot be read, has no pixels, or is over the size limit."""


class TileSourceError(LRSCLIPError):
    """A tile source (a folder, rasters, a data set, a place on Earth) cannot be used."""


class AddressError(TileSourceError):
    """A web address may not be asked: no http, or of a private network."""


class FetchError(LRSCLIPError):
    """A server did not send what was asked for; trying again may help."""


class Busy(LRSCLIPError):
    """A server has too much to do at the moment; trying again helps."""


class IndexMismatchError(LRSCLIPError):
    """An index was built by another model (or another source) than the one at hand."""


class IndexDamagedError(LRSCLIPError):
    """An index on disk is incomplete or does not match its manifest."""


class IndexArgumentError(LRSCLIPError, ValueError):
    """A number or an array handed to an index, or to a search of it, makes no sense."""


class ExportError(LRSCLIPError):
    """A heat-map cannot be written where it should go."""


class DataError(LRSCLIPError):
    """Training or evaluation data is missing, or not laid out as its reader expects."""


class TrainingError(LRSCLIPError):
    """Training cannot start or go on (settings that do not fit, loss not finite)."""


class Cancelled(LRSCLIPError):
    """Long work was stopped on request; what was finished is kept."""
