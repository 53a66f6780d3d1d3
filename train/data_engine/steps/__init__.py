"""The steps of a run, in this order: ingest, inspect, deduplicate, write_texts, pack."""
