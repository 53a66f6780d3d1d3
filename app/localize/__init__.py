"""The Localize page: a sentence becomes a map of where in a scene it is true."""
