"""What can be said of a picture for certain, computed from what is marked in it."""
