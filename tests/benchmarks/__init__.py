"""Measurements; each prints a table and what it ran."""
