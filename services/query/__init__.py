"""The query service: raw events, the catalogue of what is in them, and the workspace's settings."""
