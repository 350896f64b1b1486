"""`cdp load`: files into the event tables. docs/loading.md is the manual; `pipeline.py` is where to start reading."""
