"""Poses made visible: overlays on the cameras' pictures and plots in space."""
