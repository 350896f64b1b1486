"""Processes are killed under load, and nobody gets a wrong answer."""
