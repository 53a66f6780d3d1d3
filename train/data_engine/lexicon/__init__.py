"""Words: what can be seen from above, tags of OpenStreetMap, English in small."""
