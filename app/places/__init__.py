"""The Places page: which tiles are searched, and how others are opened."""
