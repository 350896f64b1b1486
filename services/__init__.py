"""The services. None imports another: they talk over NATS."""
