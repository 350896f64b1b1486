"""What is said of a statement that the engine refuses: our words, and of its own only what the statement has too."""

from __future__ import annotations

import re
from typing import Final

from contracts.errors import CdpError, Internal, InvalidRequest
from services.kit.clickhouse import ClickHouseError
from services.query.sql import refused

_MEANINGS: Final = {
    6: "a text cannot be read as the type asked for",
    10: "there is no such column",
    20: "the number of columns differs",
    27: "a value cannot be read",
    32: "a value ends too early",
    35: "there are too few or too many arguments",
    36: "an argument is not right",
    38: "a text is no date",
    41: "a text is no time",
    42: "a function has the wrong number of arguments",
    43: "a function cannot take arguments of this type",
    44: "a function or a clause cannot take a column of this type",
    46: "there is no such function",
    47: "there is no such column",
    48: "this is not implemented",
    50: "there is no such type",
    51: "a column is named twice",
    53: "types do not fit each other",
    60: "there is no such table",
    62: "the statement cannot be read",
    63: "there is no such aggregate function",
    68: "an expression is not fit for this place",
    69: "an argument is out of its bounds",
    70: "a value cannot be converted to the type asked for",
    72: "a text is no number",
    80: "the statement is not right",
    125: "a sub-query as a value returns more than one row",
    128: "an array would be too large",
    130: "a text cannot be read as an array",
    131: "a text would be too large",
    133: "an aggregate function has the wrong parameters",
    153: "a division cannot be done",
    170: "a sub-query has the wrong columns",
    179: "an alias names several expressions",
    184: "an aggregate function stands where none may",
    190: "arrays differ in length",
    206: "a sub-query or table needs an alias",
    207: "a name is ambiguous",
    215: "a column stands neither in GROUP BY nor under an aggregate function",
    258: "the parts of a UNION differ",
    321: "a value is NULL where none may be",
    349: "NULL cannot be converted to a type that does not take it",
    352: "a column is ambiguous",
    386: "types have no common type",
    395: "a function raised an error",
    403: "the condition of a JOIN is not supported",
    407: "a decimal overflows",
    427: "a pattern is not a regular expression",
    432: "a time zone is not known",
    441: "a text is no domain value",
    456: "a parameter has no value",
    636: "a structure cannot be told",
    675: "a text is no IPv4 address",
    676: "a text is no IPv6 address",
    691: "a value is not of the enumeration",
    376: "a text is no UUID",
}
"""Of the engine's error codes, those that a statement's author can act on."""
_FAULTS: Final = frozenset((0, 49, 1001, 1002))
_REFUSED: Final = frozenset((164, 291, 446, 497))
_NAME: Final = re.compile(r"[`'\"]?([A-Za-z_][A-Za-z0-9_.]*)[`'\"]?")
_COMMON: Final = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "column", "columns", "different", "for", "from", "function"),
        *("identifier", "in", "is", "it", "its", "name", "not", "number", "of", "on", "or", "query", "scope", "select"),
        *("should", "table", "that", "the", "this", "to", "type", "types", "unknown", "expression", "where", "with"),
    )
)
"""Words that messages are made of: finding one in a statement tells nothing."""


def explained(error: ClickHouseError, text: str) -> CdpError:
    """Return the error for the author of a statement.

    The engine's own text may hold the rewritten statement, values, paths and versions: of it only the first
    word that the author's statement has as well is passed on, with the place where it stands there.
    """
    if error.code in _REFUSED:
        return InvalidRequest.at(refused.POINTER, "the statement asks for something that is not available")
    if error.code in _FAULTS:
        return Internal(f"the engine failed with error {error.code}")
    meaning = _MEANINGS.get(error.code, f"the engine refuses the statement with error {error.code}, {error.name}")
    for found in _NAME.finditer(error.message.partition("In scope")[0]):
        name = found[1].rsplit(".", 1)[-1]
        if len(name) < 2 or name.lower() in _COMMON or name.startswith("__"):
            continue
        place = re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", text)
        if place is not None:
            return refused.at(text, place.start(), f"{meaning} (at {name})")
    return InvalidRequest.at(refused.POINTER, meaning)
