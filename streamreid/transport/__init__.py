"""Carrying messages from camera workers to the matcher with credits and acknowledgements."""
