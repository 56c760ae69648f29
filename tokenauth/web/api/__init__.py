"""The endpoints, their bodies and their description."""
