"""How good poses and heatmaps are: plain functions in `errors`, torchmetrics classes in `pose` and `heatmap`."""
