"""The analyses: each a pure compiler from request to SQL, what they share beside them (docs/analyses.md)."""
