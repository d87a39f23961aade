"""No file over 350 lines and no function over 50, unless its docstring gives the reason (CONTRIBUTING.md, "Limits"); few files at the top."""

from __future__ import annotations

import ast

from tests.architecture.source import ROOT, portal_modules

FILE, FUNCTION = 350, 50


def has_reason(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef, limit: int) -> bool:
    return f"Over {limit} lines: " in (ast.get_docstring(node) or "")


def test_files_are_short_or_say_why_not() -> None:
    lengths = {m: len((ROOT / m.path).read_text(encoding="utf-8").splitlines()) for m in portal_modules()}
    long = [
        f"{m.path}: {lines} lines"
        for m, lines in lengths.items()
        if lines > FILE and not has_reason(m.tree, FILE)
    ]
    assert long == []


def test_functions_are_short_or_say_why_not() -> None:
    long = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in portal_modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION
        and not has_reason(node, FUNCTION)
    ]
    assert long == []


def test_the_ground_floor_has_a_dozen_modules_at_most() -> None:
    floor = [
        m.name
        for m in portal_modules()
        if m.path.count("/") == 1 and m.name != "portal" and m.is_in("portal")
    ]
    assert len(floor) <= 12, floor
