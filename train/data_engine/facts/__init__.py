"""Certain statements about a picture, computed from the things that are marked in it."""
