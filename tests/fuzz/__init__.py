"""Fuzzing: hostile bytes, found by what they make the code do (`make fuzz`)."""
