"""Where things are: camera models, rigs, skeletons, rigid transforms. Metres, pixels, OpenCV axes."""
