"""Room of the atlas: a landscape that the project renders itself, and of which it knows everything.

A seed makes an endless world (`landuse`, `roads`, the painters in `sites_*`); any window of it is drawn (`region`), has
its ground truth in polygons (`truth`), and is described in true statements (`claims`, checked by `check`, put into
`words`). `tiles.AtlasTiles` hands all this out as a tile source.
"""
