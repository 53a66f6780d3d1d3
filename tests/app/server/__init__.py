"""Tests of what stands between a stranger and the app."""
