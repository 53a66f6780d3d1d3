"""Images and rasters on their way in: decoded, checked, stripped of metadata."""
