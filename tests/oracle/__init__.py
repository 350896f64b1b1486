"""Brute-force definitions in plain Python: what the SQL must agree with."""
