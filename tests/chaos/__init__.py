"""Faults that are really injected: processes killed, frozen and flooded."""
