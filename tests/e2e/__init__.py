"""The platform as `cdp up` runs it, asked what no honest client would ask."""
