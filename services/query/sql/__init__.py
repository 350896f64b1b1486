"""Custom SQL: one workspace's own tables, read by statements its users write. See docs/sql.md."""
