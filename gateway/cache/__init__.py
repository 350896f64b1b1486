"""The two-level cache of answers: memory in each gateway, Redis behind all of them. See docs/cache.md."""
