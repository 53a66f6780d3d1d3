"""Commands that fit how far a checkpoint's scores are to be believed, and write it into its manifest."""
