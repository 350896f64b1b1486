"""Retention: the operations `query.retention` and `query.retention_actors`. Meanings: docs/retention.md."""

from services.query.analysis.retention.handler import retention, retention_actors

__all__ = ["retention", "retention_actors"]
