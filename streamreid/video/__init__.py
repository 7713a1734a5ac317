"""Video sources (PyAV) and the cheap picture operations that work straight on YUV planes."""
