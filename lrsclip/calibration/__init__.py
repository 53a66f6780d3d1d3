"""Calibration of scores: fitted on held-out cases, kept in a checkpoint's manifest."""
