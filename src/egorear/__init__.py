"""Full-body 3D pose of the person who wears a headset, from its own front and rear fisheye cameras."""

__version__ = "0.1.0"
