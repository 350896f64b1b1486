"""Predicates and fields of event queries: checked, then compiled to ClickHouse SQL. Meanings: docs/predicates.md."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.kit.predicates.checks import check_predicate
from services.kit.predicates.columns import COLUMNS, PROFILE, Scope
from services.kit.predicates.compiler import compile_predicate
from services.kit.predicates.fields import check_field
from services.kit.predicates.output import Field, Rendered, compile_field, render_column
from services.kit.predicates.profile import join, traits_named

SETTINGS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "output_format_json_escape_forward_slashes": 0,
        "output_format_json_quote_64bit_integers": 0,
        "type_json_skip_null_typed_paths": 1,  # a declared path of `context` that a row lacks is absent, not null
        "max_query_size": 33_554_432,
        "max_ast_elements": 1_000_000,
        "max_expanded_ast_elements": 2_000_000,
    }
)
"""Settings that a query made of these expressions must run with: compact JSON as defined, and room for the largest tree
that `check_predicate` lets through."""

__all__ = [
    "COLUMNS",
    "PROFILE",
    "SETTINGS",
    "Field",
    "Rendered",
    "Scope",
    "check_field",
    "check_predicate",
    "compile_field",
    "compile_predicate",
    "join",
    "render_column",
    "traits_named",
]
