"""Every message of the platform: structs, subjects, headers, errors and the table of operations.

Pure data: nothing here does I/O or knows a framework, so any process may import it.
"""
