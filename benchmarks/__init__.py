"""Measurements of this project against other people's tools, side by side on one machine."""
