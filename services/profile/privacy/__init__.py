"""Forgetting people, in every store this project owns."""
