"""Data sets as training and evaluation read them: sources, records, texts, batches, features on disk."""
