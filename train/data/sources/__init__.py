"""Readers of data sets as they lie on disk: a class for each layout.

A layout is imported from its module: detection needs defusedxml, which training alone does without.
"""
