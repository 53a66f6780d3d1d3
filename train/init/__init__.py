"""The beginning of training: a text tower that learned from a teacher, weights averaged."""
