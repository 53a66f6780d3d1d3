"""The browser demo: adapts `lrsclip` to Gradio and Folium. Nothing in `lrsclip` knows of this package."""
