"""What users keep: queries with versions, and lists of actors. Meanings: docs/queries.md."""
