"""Weights on disk and on the Hub: our own folders, published state dicts, and the embedded one (`tiny`)."""
