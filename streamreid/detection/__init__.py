"""Finding people: the motion gate, the detectors, and choosing among them."""
