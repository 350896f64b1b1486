"""What every service shares and nothing more."""
