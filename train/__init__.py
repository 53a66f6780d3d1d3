"""Training, evaluation and data for LRSCLIP; uses `lrsclip`, never the app."""
