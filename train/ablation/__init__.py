"""Controlled comparisons: every recipe with every seed, and their tables."""
