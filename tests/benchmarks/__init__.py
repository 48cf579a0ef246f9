"""Measurements of speed and memory, run by hand: no file here is collected by pytest."""
