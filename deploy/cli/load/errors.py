"""What can go wrong while loading."""

from __future__ import annotations


class LoadError(Exception):
    """Nothing (more) can be loaded; the text tells a user what to do about it."""


class MappingError(LoadError):
    """The mapping cannot be: names the entry, what is wrong and what would be right."""


class RowError(ValueError):
    """One row cannot become an event; the text is the reason that the reject file keeps."""
