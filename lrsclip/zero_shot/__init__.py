"""Zero-shot classification: class names in a few phrasings become vectors."""
