"""Where training begins: a text tower that learned from a teacher, weights averaged."""
