"""Leaflet maps, written into documents that ask the network for nothing."""
