"""Seeds of the worlds that the project itself uses."""

from __future__ import annotations

DEFAULT_SEED = 11
"""The world of the demo, the most varied of the first twenty; never trained on."""
GROUNDING_SEED = 20
"""The world of the grounding test; never trained on."""
