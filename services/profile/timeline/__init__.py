"""What one person did, over all tables and ids: the timeline, sessions, ids, a summary."""
