"""Trains the networks, a stage at a time: `egorear fit --config configs/….yaml` (docs/training.md)."""
