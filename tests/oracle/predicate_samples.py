"""Random events and predicate trees, made to meet: few names, close values, odd ones of each kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.oracle import predicates as oracle

AS_OF = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)

NAMES = ("a", "a", "b", "b", "a.b", "a.b.c", "", "x y", "A", "é", "q'`\"", "^`a`", ":`String`", "c[]", "d.", "\\")
NAMES += ("1", "^a", "\n", "a\0b", "😀", "a-b")
TEXTS = (
    "",
    "a",
    "a",
    "A",
    "ab",
    "x\ny",
    "é",
    "É",
    "İ",
    "ß",
    "ΑΣ",
    "日本",
    "/",
    'a"b',
    "\\",
    "\0",
    "\u2028",
    "\x7f",
    "%",
    "'",
)
TEXTS += ("{}", "[]", "null", "true", "TRUE", "false", '["a"]', "[1]", '{"a":1}', "K")
NUMERIC = ("1", "1.0", "01", "+1", "-0", "1e2", "1E2", "100", "1.5", " 1", "1.", ".5", "0x1", "9007199254740993")
NUMERIC += ("18446744073709551615", "18446744073709551616", "-9223372036854775809", "1e400", "nan", "inf", "\u0661")
TIMES = ("2026-03-31", "2026-03-31T12:00:00Z", "2026-03-30T23:59:59.999999Z", "2026-03-24 12:00", "2026-02-30")
TIMES += (
    "2026-03-31T14:00+02:00",
    "2026-03-31T24:00",
    "1899-12-31",
    "2300-01-01",
    "0000-01-01",
    "2026-04-01T00:00:60Z",
)
TIMES += (
    "2026-03-31T12:00:00.123456789Z",
    "2026-03-31T12:00Z ",
    "2026-3-1",
    "2026-02-28T11:00:00+00",
    "2026-03-29T02:30",
)
TIMES += ("1900-01-01", "2299-12-31T23:59:59-23:59", "2026-03-31T11:59:59.9999", "2026-04-07T10:00:00Z", "2026-04-30")
WHOLE = (0, 1, 1, 2, -1, 100, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, -(2**63) - 1)
DOUBLES = (0.0, -0.0, 1.0, 1.5, 100.0, 0.1, 1e-6, 1e-7, 1e15, 1e20, 1e21, 1.5e300, 9007199254740992.0, -2.5, 2.0**60)
PATTERNS = ("a", "^a", "[0-9]+", "a.b", "x.y", "A|é", "^.", "(?:ab)+", "", r"\\", r"1\.5", '"a"')
DURATIONS = ("0min", "90min", "24h", "1d", "7d", "1w", "1m", "0d", "2m")
BACK = (0, 1, 3_600_000, 86_400_000, 7 * 86_400_000, 7 * 86_400_000 + 3_600_000, -1, -86_400_000)

NUMBERS = (*WHOLE, *DOUBLES, *(text for text in NUMERIC if oracle.number(text) is not None))
LIMITS = tuple(time for time in TIMES if (moment := oracle.moment(time)) is not None and moment.year < 2300)
COLUMNS = (
    "event",
    "name",
    "user_id",
    "table",
    "properties",
    "context",
    "context.ip",
    "context.page",
    "context.page.path",
)
COLUMNS += ("context.page.foo", "context.locale", "context.a[]", "context.ip[]", "context.page.a.b", "properties.a")
TIME_COLUMNS = ("timestamp", "received_at")

Tree = dict[str, Any]


class Samples(Random):
    """Seeded: the same seed gives the same events and trees."""

    def scalar(self) -> Any:
        """Return a text, number or boolean."""
        pool: Sequence[Any] = self.choice((TEXTS, TEXTS, NUMERIC, TIMES, WHOLE, DOUBLES, (True, False)))
        return self.choice(pool)

    def value(self, depth: int = 0) -> Any:
        """Return anything JSON can be."""
        kind = self.random()
        if kind < 0.55 or depth > 3:
            return self.scalar()
        if kind < 0.6:
            return None
        if kind < 0.85:
            like: Callable[[], Any] = self.choice(
                (self.scalar, lambda: self.value(depth + 1), lambda: self.object(depth + 1))
            )
            return [like() for _ in range(self.randrange(4))]
        return self.object(depth + 1)

    def object(self, depth: int = 0) -> dict[str, Any]:
        """Return a JSON object with few names."""
        return {self.choice(NAMES): self.value(depth) for _ in range(self.randrange(5))}

    def event(self) -> dict[str, Any]:
        """Return a track or page event; its name is under both `event` and `name`."""
        name = self.choice((*TEXTS, *NUMERIC))
        page = {
            self.choice(("path", "url", "foo", "a.b")): self.choice((self.scalar(), None))
            for _ in range(self.randrange(4))
        }
        context = {"ip": self.scalar(), "page": page, "locale": self.choice(TEXTS), "a": self.value()}
        return {
            "table": self.choice(("track", "page")),
            "user_id": self.choice((*TEXTS, *NUMERIC)),
            "anonymous_id": "someone",
            "event": name,
            "name": name,
            "timestamp": AS_OF - timedelta(milliseconds=self.choice(BACK)),
            "received_at": AS_OF - timedelta(milliseconds=self.choice(BACK)),
            "properties": self.object(),
            "context": {key: context[key] for key in context if self.random() < 0.6},
        }

    def path(self) -> str:
        """Return a path of one or two segments, some through arrays."""
        return ".".join(
            self.choice(NAMES).replace("[]", "\\[]") + "[]" * self.choice((0, 0, 0, 1, 1, 2))
            for _ in range(self.choice((1, 1, 2)))
        )

    def field(self, inside: bool) -> str:
        """Return a field of a row, or of an element."""
        if inside:
            return self.path() or "a"
        return self.choice(COLUMNS) if self.random() < 0.3 else f"properties.{self.path()}"

    def tree(self, depth: int = 0, *, inside: bool = False) -> Tree:
        """Return a predicate, as JSON."""
        kind = self.random()
        if depth > 3 or kind < 0.7:
            return self.leaf(inside)
        if kind < 0.8:
            items = [self.tree(depth + 1, inside=inside) for _ in range(self.randrange(4))]
            return {"op": self.choice(("and", "or")), "items": items}
        if kind < 0.85:
            return {"op": "not", "item": self.tree(depth + 1, inside=inside)}
        where = self.tree(depth + 1, inside=True)
        return {"op": self.choice(("any", "all")), "field": self.field(inside), "where": where}

    def leaf(self, inside: bool) -> Tree:
        """Return a predicate that asks one field."""
        field, fold = self.field(inside), self.random() < 0.3
        op = self.choice(tuple(_VALUES))
        if not inside and op not in _NUMERIC and op != "array_contains" and self.random() < 0.1:
            field = self.choice(TIME_COLUMNS)
        value = _VALUES[op](self)
        tree = {"op": op, "field": field} | ({} if value is None else {"value": value})
        return tree | {"ignore_case": fold} if op in _FOLDING else tree


_NUMERIC = ("gt", "gte", "lt", "lte", "between")
_FOLDING = (
    "eq",
    "neq",
    "in",
    "not_in",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "matches",
    "array_contains",
)
_VALUES: dict[str, Callable[[Samples], Any]] = {
    **dict.fromkeys(("eq", "neq", "array_contains"), Samples.scalar),
    **dict.fromkeys(("in", "not_in"), lambda self: [self.scalar() for _ in range(self.randrange(6))]),
    **dict.fromkeys(("gt", "gte", "lt", "lte"), lambda self: self.choice(NUMBERS)),
    "between": lambda self: [self.choice(NUMBERS), self.choice(NUMBERS)],
    **dict.fromkeys(
        ("contains", "not_contains", "starts_with", "ends_with"), lambda self: self.choice((*TEXTS, *NUMERIC))
    ),
    "matches": lambda self: self.choice(PATTERNS),
    **dict.fromkeys(("exists", "not_exists"), lambda self: None),
    **dict.fromkeys(("before", "after"), lambda self: self.choice(LIMITS)),
    **dict.fromkeys(("within_last", "within_next"), lambda self: self.choice(DURATIONS)),
}
