"""The rolling gallery of feature maps and the scorer built on it."""
