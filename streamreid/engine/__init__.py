"""The whole live decision as one object without I/O."""
