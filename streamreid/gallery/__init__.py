"""The rolling gallery of feature maps and the scorer built on it."""

from streamreid.gallery.scorer import Candidates, Embeddings, GalleryEntry, Scorer, Scores

__all__ = ["Candidates", "Embeddings", "GalleryEntry", "Scorer", "Scores"]
