"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contracts.errors import KINDS
from contracts.operations import OPERATIONS
from services.kit.settings import describe

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "default", "text"), describe())
def test_every_setting_is_in_the_readme_with_its_default(name: str, default: str, text: str) -> None:
    assert f"| `{name}` | {f'`{default}`' if default else ''} | {text} |" in README


def test_the_readme_lists_no_setting_that_is_gone() -> None:
    known = {name for name, _, _ in describe()}
    assert set(re.findall(r"^\| `(ANALYTICS_[A-Z_]+)`", README, re.MULTILINE)) == known


def test_every_make_target_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z/]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named: set[str] = set()
    for arguments in re.findall(r"(?:^|`)make ([a-z/ ]+)", README, re.MULTILINE):
        named |= {word for word in arguments.split() if word}
    assert named <= targets | {""}, named - targets


def test_every_link_of_a_document_leads_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_operations_have_unique_ids_subjects_and_routes() -> None:
    for key in ("id", "subject"):
        values = [getattr(operation, key) for operation in OPERATIONS]
        assert len(values) == len(set(values))
    routes = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(routes) == len(set(routes))


def test_error_kinds_are_unique() -> None:
    assert len({kind.kind for kind in KINDS}) == len(KINDS)
