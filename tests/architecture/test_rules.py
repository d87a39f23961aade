"""docs/rules.md, the code and the tests speak of the same rules: each is in one place, is cited, and is held by a test."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| ([SMWLTG]\d) \| .+? \| (.+?) \|$", re.MULTILINE)
CITED = re.compile(r"\b([SMWLTG]\d)\b")
RULES = dict(ROW.findall((ROOT / "docs" / "rules.md").read_text(encoding="utf-8")))


def test_every_rule_is_listed_once():
    listed = ROW.findall((ROOT / "docs" / "rules.md").read_text(encoding="utf-8"))
    assert len(listed) == len(RULES) > 40


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_lives_where_the_document_says(rule):
    for name in re.findall(r"`([^`]+)`", RULES[rule]):
        assert (ROOT / "portal" / name).is_file(), name


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_held_by_a_test(rule):
    pattern = re.compile(rf"def test_\w*{rule}(_|\b)|Test\w*{rule}|test_\w*{rule}\.py")
    tests = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8")) or pattern.search(path.name)
    ]
    assert tests, f"no test carries {rule} in its name"


def test_code_cites_only_rules_that_are_listed():
    for path in (ROOT / "portal" / "engine").rglob("*.py"):
        unknown = {one for one in CITED.findall(path.read_text(encoding="utf-8"))} - RULES.keys()
        assert not unknown, f"{path.name} cites {sorted(unknown)}"
