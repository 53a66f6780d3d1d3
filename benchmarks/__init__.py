"""Speed measurements, each with both sides in one run; figures in docs/results.md come from here."""
