"""HTTP in, NATS out: validation, cache, streaming and documents, all derived from the table of operations."""
