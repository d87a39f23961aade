"""Templates show (docs/pages.md, "View records"): what is added up, cut, sorted or sought out comes with the record."""

from __future__ import annotations

import re

from jinja2 import Environment, nodes

from tests.architecture.source import ROOT

FORMULAS = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Slice)
FILTERS = set(
    "batch dictsort float groupby int map max min reject rejectattr round select selectattr slice sort sum unique".split()
)
CHANGES = {"append", "extend", "pop", "setdefault", "update"}


def is_computing(node: nodes.Node) -> bool:
    """A formula, a slice, a filter that picks or adds up, a list that is changed, or a variable that outlives its loop."""
    if isinstance(node, nodes.Filter):
        return node.name in FILTERS
    if isinstance(node, nodes.Call):
        called = node.node
        is_change = isinstance(called, nodes.Getattr) and called.attr in CHANGES
        return is_change or (isinstance(called, nodes.Name) and called.name == "namespace")
    return isinstance(node, FORMULAS)


def test_no_template_computes() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} {type(node).__name__}"
        for path in sorted((ROOT / "templates").rglob("*.html"))
        for node in Environment().parse(path.read_text(encoding="utf-8")).find_all(nodes.Node)
        if is_computing(node)
    ]
    assert found == []


def test_no_template_spells_an_address_of_ours() -> None:
    """A route that moves takes its links along."""
    found = [
        f"{path.relative_to(ROOT)}: {address}"
        for path in sorted((ROOT / "templates").rglob("*.html"))
        for address in re.findall(
            r'(?:href|src|action|hx-get|hx-post)="(/[^"]*)', path.read_text(encoding="utf-8")
        )
    ]
    assert found == []
