"""Random calls in both frameworks."""
