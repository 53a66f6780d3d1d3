"""How far scores are to be believed: fitted on held-out cases, kept in a checkpoint's manifest."""
