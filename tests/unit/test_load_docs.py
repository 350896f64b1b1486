"""docs/loading.md says what there is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.cli.load.aggregates import MERGE
from deploy.cli.load.command import load
from deploy.cli.load.evaluate import FUNCTIONS
from deploy.cli.load.mapping import EventMapping, Mapping, bundled
from deploy.cli.load.plan import compile_mapping

TEXT = (Path(__file__).parents[2] / "docs" / "loading.md").read_text()


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *MERGE} - {"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/"}))
def test_every_function_is_in_the_manual(name: str) -> None:
    assert name in TEXT


@pytest.mark.parametrize("name", sorted({*Mapping.__struct_fields__, *EventMapping.__struct_fields__}))
def test_every_entry_of_a_mapping_is_in_the_manual(name: str) -> None:
    assert name in TEXT


def test_every_bundled_mapping_and_the_example_of_the_manual_can_be_used() -> None:
    assert all(f"`{name}`" in TEXT for name in bundled())
    example = TEXT.split("```toml\n")[1].split("```")[0]
    columns = "invoice_no,stock_code,quantity,invoice_date,unit_price,customer_id,country"
    mapping = msgspec.toml.decode(example, type=Mapping)
    assert len(compile_mapping(mapping, columns.split(",")).events) == 3


def test_options_in_the_manual_exist() -> None:
    options = {option for parameter in load.params for option in parameter.opts}
    used = {word.strip("`;,()") for word in TEXT.split() if word.strip("`;,()").startswith("--")}
    assert {word for word in used if word.strip("-")} <= options
