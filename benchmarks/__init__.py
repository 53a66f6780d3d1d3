"""Speed measurements, each with both sides in one run; figures in the README come from here."""
