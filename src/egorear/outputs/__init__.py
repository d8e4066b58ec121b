"""What leaves for other programs: a humanoid with rotations, BVH, CSV (docs/outputs.md)."""
