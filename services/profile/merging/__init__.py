"""Merging profiles, taking merges back, and what says that ids are not what they seem."""
