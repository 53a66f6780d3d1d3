"""Near-duplicates among pictures: fingerprints, and the search for pairs."""
