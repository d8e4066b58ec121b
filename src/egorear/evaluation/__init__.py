"""Scores predictions that are stored on disk."""
