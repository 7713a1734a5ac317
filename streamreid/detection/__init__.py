"""Person detectors and the motion gate that decides whether they run."""
