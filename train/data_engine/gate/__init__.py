"""The hallucination gate: a text's claims, checked against the facts of its picture."""
