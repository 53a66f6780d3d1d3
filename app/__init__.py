"""The browser demo: adapts `lrsclip` to Gradio and Folium. Nothing in `lrsclip` knows of this package."""

import app.server.gradio_import  # noqa: F401  (before Gradio, from any module)
