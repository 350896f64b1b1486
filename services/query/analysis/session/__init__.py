"""Sessions: figures, actors and the sessions themselves (docs/sessions.md)."""
