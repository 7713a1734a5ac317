"""The models of cams.yaml and its errors with line and column."""
