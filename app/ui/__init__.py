"""Parts that every page uses: HTML, the tile picker, the token counter, CSV, styles."""
