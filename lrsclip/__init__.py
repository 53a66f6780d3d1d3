"""LRSCLIP: find and ground long descriptions in satellite and aerial imagery.

A sentence walks through these rooms: `tokens` (text to token ids), `text` and `vision` (ids and pictures to vectors),
`index` (vectors to hits), `localize` (a scene to a heat-map). `load` hands out model, tokenizer and preprocessing
together.
"""

from lrsclip.bundle import LRSCLIP
from lrsclip.errors import LRSCLIPError
from lrsclip.loading import embedded_names, load, random_model
from lrsclip.tokens import TokenReport

__all__ = ["LRSCLIP", "LRSCLIPError", "TokenReport", "embedded_names", "load", "random_model"]
