"""What the engine reads in a statement is held against what was written, line by line of its own explanations."""

from __future__ import annotations

import pytest

from contracts.errors import InvalidRequest
from services.query.sql.engine_check import check_ast, check_tree
from services.query.sql.rewrite import Rewritten

EXPECTED = Rewritten("", frozenset(("cdp.events_track",)), frozenset(("numbers",)), 2)
AST = """SelectWithUnionQuery (children 1)
 ExpressionList (children 1)
  SelectQuery (children 2)
   ExpressionList (children 2)
    Function dictGetOrDefault (alias a) (children 1)
    Function dictGetOrDefault (children 1)
    Function in (children 1)
     ExpressionList (children 2)
      Identifier x
      Literal Tuple_(UInt64_1, UInt64_2)
   TablesInSelectQuery (children 2)
    TablesInSelectQueryElement (children 1)
     TableExpression (children 1)
      TableIdentifier cdp.events_track (alias t)
    TablesInSelectQueryElement (children 1)
     TableExpression (children 1)
      TableIdentifier __cte0
    TableExpression (children 1)
     Function numbers (children 1)"""
TREE = """QUERY id: 0
  PROJECTION
    FUNCTION id: 2, function_name: sumIf, function_type: aggregate, result_type: String
    FUNCTION id: 3, function_name: __scalarSubqueryResult, function_type: ordinary, result_type: String
  JOIN TREE
    TABLE id: 14, alias: __table2, table_name: cdp.events_track, final: 1
    TABLE id: 15, alias: __table3, table_name: system.one
    TABLE_FUNCTION id: 16, alias: __table4, table_function_name: numbers"""


def test_what_was_written_passes() -> None:
    check_ast(AST.splitlines(), EXPECTED)
    check_tree(TREE.splitlines(), EXPECTED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("TableIdentifier cdp.events_track (alias t)", "TableIdentifier cdp.identity_links (alias t)"),
        ("TableIdentifier cdp.events_track (alias t)", "TableIdentifier events_track (alias t)"),
        ("Function in (children 1)", "Function arrayMap (children 1)"),
        ("TableIdentifier __cte0", "TableIdentifier system.one"),
        ("TableIdentifier __cte0", "TableIdentifier x.__cte0"),
        ("Function in (children 1)", "Function file (children 1)"),
        ("Function in (children 1)", "Function file (alias in) (children 1)"),
        ("Literal Tuple_(UInt64_1, UInt64_2)", "Identifier cdp.events_track"),
        ("Literal Tuple_(UInt64_1, UInt64_2)", "TableIdentifier cdp.events_track"),
        ("Literal Tuple_(UInt64_1, UInt64_2)", "Function format (children 1)"),
        ("Identifier x", "Identifier user"),
        ("Identifier x", "Identifier currentUser (alias x)"),
        ("    Function dictGetOrDefault (children 1)\n", ""),
        ("    Function dictGetOrDefault (children 1)\n", "    Function dictGetOrDefault (children 1)\n" * 2),
        ("Function numbers", "Function merge"),
        ("Literal Tuple_(UInt64_1, UInt64_2)", "Set"),
        ("Literal Tuple_(UInt64_1, UInt64_2)", "ColumnsApplyTransformer"),
        ("SelectWithUnionQuery (children 1)", "Explain EXPLAIN (children 1)"),
        ("SelectWithUnionQuery (children 1)", "CreateQuery"),
    ],
)
def test_a_parse_that_differs_is_refused(before: str, after: str) -> None:
    changed = AST.replace(before, after, 1)
    assert changed != AST
    with pytest.raises(InvalidRequest):
        check_ast(changed.splitlines(), EXPECTED)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("table_name: cdp.events_track, final: 1", "table_name: cdp.events_page, final: 1"),
        ("table_name: cdp.events_track, final: 1", "table_name: cdp.identity"),
        ("alias: __table3, table_name: system.one", "alias: __table3, table_name: system.tables"),
        ("TABLE id: 15, alias: __table3, table_name: system.one", "TABLE id: 15, table_name: system.tables"),
        ("function_name: sumIf", "function_name: file"),
        ("table_function_name: numbers", "table_function_name: merge"),
    ],
)
def test_a_resolution_that_differs_is_refused(before: str, after: str) -> None:
    changed = TREE.replace(before, after, 1)
    assert changed != TREE
    with pytest.raises(InvalidRequest):
        check_tree(changed.splitlines(), EXPECTED)


def test_no_explanation_is_a_refusal() -> None:
    with pytest.raises(InvalidRequest):
        check_ast([], EXPECTED)
    with pytest.raises(InvalidRequest):
        check_tree([], EXPECTED)
