"""`cdp demo`: a generated shop of 20,000 people, the same on every machine and day."""
