"""Writes what was decided, in bulk, and recomputes nothing."""
