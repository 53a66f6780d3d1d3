"""The hallucination gate: what a text claims, held against what is known of its picture."""
