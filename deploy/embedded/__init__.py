"""Everything on one machine: stores from wheels, started and watched by a supervisor."""
