"""The two towers: architecture, tokenizer, preprocessing, precision. Nothing here knows of files or tiles."""
