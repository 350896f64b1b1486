"""ClickHouse in one process: the chdb engine behind ClickHouse's native TCP protocol and HTTP interface."""
