"""Words: things to be seen from above, tags of OpenStreetMap, English in small."""
