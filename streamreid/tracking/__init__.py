"""Tracking inside one camera and picking the crops that represent a track."""
