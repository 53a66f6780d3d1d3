"""Files and addresses from outside: decoding, rasters, fetching, writing whole or not at all."""
