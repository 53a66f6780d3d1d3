"""The Classify page: class names in plain words, and how sure the model is of each."""
