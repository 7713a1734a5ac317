"""The loops that the worker processes run, their supervisor and their counters."""
