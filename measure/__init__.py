"""Measurements: model and prompts in, records out. No storage, no scheduler, no screen."""
