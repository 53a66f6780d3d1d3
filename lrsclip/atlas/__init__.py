"""Room of the atlas: a landscape that the project renders itself, and of which it knows everything.

A seed makes an endless world (`land_use`, `roads`, the painters in `sites_*`); any window of it is drawn (`rendering`),
has its ground truth in polygons (`truth`), and is described in true statements (`statement`, checked by
`statement_check`, put into words by `realization`). `lrsclip.tiles.atlas` hands all this out as a tile source.
"""
