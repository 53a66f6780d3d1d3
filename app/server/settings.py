"""Settings of an operator: environment variables, over which the command line wins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from lrsclip.errors import LRSCLIPError
from lrsclip.numbers import whole_of

PREFIX = "LRSCLIP_"


class SettingError(LRSCLIPError, ValueError):
    """An environment variable with a value that makes no sense."""


@dataclass(frozen=True)
class Settings:
    """All settings; the variable of each is `LRSCLIP_` and its name in capitals.

    Attributes:
        checkpoint: name, folder or Hub address of the model.
        tiles: address of the tiles; empty for the rendered landscape.
        base_map: online map to offer, or empty.
        host: address to listen on.
        port: port to listen on.
        hosts: names under which the server may be asked, with commas between them, or * for all; empty for localhost
            and IP addresses where only people of this machine use it, and for all elsewhere.
        max_upload_mb: largest file that may be sent.
        max_uploads_mb: all files that are kept for visitors; beyond it the oldest of the client that holds most go.
        max_cache_mb: disk for all collections that visitors open; beyond it those used longest ago go.
        max_pixels: most pixels of a picture that is decoded whole; rasters are read by windows.
        max_text: most characters of a text.
        max_windows: windows of a scene that one question may have encoded; 25 ms each on two idle cores.
        max_scene_px: most pixels of a scene that is localized, also of a raster.
        requests_per_minute: of one client; 0 for no limit.
        trust_proxy: number of the operator's proxies, which stand before the server and add to X-Forwarded-For, which
            then names the client; 0 does not believe it.
        log: whether each call is logged as a line of JSON.
        mcp: whether the endpoints are offered to language models too (Model Context Protocol).
        allow_private: whether map services of this machine and its network may be asked.
    """

    checkpoint: str = "tiny"
    tiles: str = ""
    base_map: str = ""
    host: str = "127.0.0.1"
    port: int = 7860
    hosts: str = ""
    max_upload_mb: int = 64
    max_uploads_mb: int = 512
    max_cache_mb: int = 4_096
    max_pixels: int = 100_000_000
    max_text: int = 10_000
    max_windows: int = 1_000
    max_scene_px: int = 200_000_000
    requests_per_minute: int = 240
    trust_proxy: int = 0
    log: bool = False
    mcp: bool = False
    allow_private: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the variables that are set and not empty.

        On a Hugging Face Space, which is known by SPACE_ID, the page listens to all, calls are logged, and clients are
        not counted unless asked for: behind its proxies, of a number that nobody promises, all look like one.

        Raises:
            SettingError: a value is not of its kind or out of range; the message names the variable.
        """
        given = os.environ if environment is None else environment
        on_space = bool(given.get("SPACE_ID"))
        read: dict[str, Any] = {"host": "0.0.0.0", "log": True, "requests_per_minute": 0} if on_space else {}
        for one in fields(cls):
            name = PREFIX + one.name.upper()
            if text := given.get(name, "").strip():
                read[one.name] = _READERS[str(one.type)](name, text)
        settings = cls(**read)
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(settings, name) <= most:
                raise SettingError(
                    f"{PREFIX}{name.upper()} is {getattr(settings, name)}; give a number from {least:,} to {most:,}"
                )
        return settings


PORTS = (1, 65_535)
_RANGES = {
    "port": PORTS,
    "max_upload_mb": (1, 4_096),
    "max_uploads_mb": (16, 1_048_576),
    "max_cache_mb": (64, 1_048_576),
    "max_pixels": (4_096, 175_000_000),
    "max_text": (200, 100_000),
    "max_windows": (10, 100_000),
    "max_scene_px": (4_096, 1_000_000_000),
    "trust_proxy": (0, 8),
    "requests_per_minute": (0, 1_000_000),
}


def _whole(name: str, text: str) -> int:
    if (value := whole_of(text)) is None:
        raise SettingError(f"{name} is {text!r}; give a whole number")
    return value


def _switch(name: str, text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise SettingError(f"{name} is {text!r}; give 1 or 0")


_READERS: dict[str, Callable[[str, str], Any]] = {"int": _whole, "bool": _switch, "str": lambda _, text: text}


_IN_FORCE = [Settings()]


def in_force() -> Settings:
    """Return the settings that the server runs with; the usual ones until `use` is called."""
    return _IN_FORCE[0]


def use(settings: Settings) -> None:
    """Put settings into force from now on."""
    _IN_FORCE[0] = settings
