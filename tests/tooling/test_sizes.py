"""No file over 350 lines and no function over 50, unless its head gives the reason (CONTRIBUTING.md, "Limits"); few files at the top."""

from __future__ import annotations

import ast
import re

from tests.architecture.source import ROOT, other_modules, portal_modules, tracked_texts

FILE, FUNCTION = 350, 50
STYLES_SCRIPTS_AND_PAGES = (".css", ".js", ".cjs", ".html")
LEADING_COMMENT = re.compile(r"\s*(/\*.*?\*/|(//[^\n]*\n)+|\{#.*?#\})", re.DOTALL)


def has_reason(head: str | None, limit: int) -> bool:
    return f"Over {limit} lines: " in (head or "")


def heads() -> dict[str, str | None]:
    """What stands at the head of each file: a module's docstring, the first comment of others."""
    modules = {m.path: ast.get_docstring(m.tree) for m in portal_modules() + other_modules()}
    comments = {
        path: (found := LEADING_COMMENT.match(text)) and found[0]
        for path, text in tracked_texts()
        if path.endswith(STYLES_SCRIPTS_AND_PAGES)
    }
    return {**modules, **comments}


def test_files_are_short_or_say_why_not() -> None:
    long = [
        f"{path}: {lines} lines"
        for path, head in heads().items()
        if (lines := len((ROOT / path).read_text(encoding="utf-8").splitlines())) > FILE
        and not has_reason(head, FILE)
    ]
    assert long == []


def test_functions_are_short_or_say_why_not() -> None:
    long = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in portal_modules() + other_modules()
        for node in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        if node.end_lineno is not None
        and node.end_lineno - node.lineno >= FUNCTION
        and not has_reason(ast.get_docstring(node), FUNCTION)
    ]
    assert long == []


def test_the_ground_floor_has_a_dozen_modules_at_most() -> None:
    floor = [
        m.name
        for m in portal_modules()
        if m.path.count("/") == 1 and m.name != "portal" and m.is_in("portal")
    ]
    assert len(floor) <= 12, floor
