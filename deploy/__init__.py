"""How the platform runs: command line, embedded stores, deployment files."""
