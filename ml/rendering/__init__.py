"""Render arrays as pictures."""
