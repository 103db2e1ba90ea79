"""Procedural streets and studios, rendered with exact labels: the embedded default data."""
