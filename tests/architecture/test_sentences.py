"""Sentences are never data (docs/pages.md, "View records"): what is compared is a code, and its words are made where they are shown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from tests.architecture.source import ROOT, Module, dotted, portal_modules

# What others say: our own sentences have no place here.
OTHERS = {
    "portal/api/schema.py": {"Value error, "},  # pydantic's
    "portal/config.py": {"Value error, "},
}
COLUMNS = {"portal/imports/assets.py", "portal/imports/end_users.py"}  # heads of a file's columns
WORDS = {"portal/settings/audit_log.py"}  # spelled as pages do
ASKS = {"startswith", "endswith", "partition", "rpartition", "index", "find"}
LITERAL = re.compile(r'"([^"]*)"|\'([^\']*)\'')
COMPARES = re.compile(r"(?:[=!]=|\bin)\s*[\[(]?\s*$")
SOUGHT = re.compile(r"\s+(not\s+)?in\s+(?!request\.args)")


def is_sentence(text: object) -> bool:
    """Two words or more; SQL and HTTP words are one."""
    return isinstance(text, str) and bool(re.search(r"[a-z],? [a-z]|[a-z], ?$", text))


def constants() -> dict[str, str]:
    """Dotted name -> text of every constant that is a sentence."""
    return {
        f"{module.name}.{target.id}": node.value.value
        for module in portal_modules()
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and is_sentence(node.value.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def compared_with(module: Module) -> Iterator[ast.expr]:
    """Every expression that something is compared with."""
    for comparison in module.nodes(ast.Compare):
        for side in (comparison.left, *comparison.comparators):
            yield from side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else (side,)
    for call in module.nodes(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ASKS:
            yield from call.args[:1]
    for case in module.nodes(ast.MatchValue):
        yield case.value
    for members in module.nodes(ast.Set):
        yield from members.elts
    for mapping in module.nodes(ast.Dict):
        yield from (key for key in mapping.keys if key is not None)


def compared(module: Module, known: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Line and text of every sentence that ``module`` compares with."""
    places = {name.rpartition(".")[2]: name for _, name in module.imports()}
    for node in compared_with(module):
        if isinstance(node, ast.Constant) and is_sentence(node.value):
            yield node.lineno, str(node.value)
        elif name := dotted(node):
            first, _, rest = name.partition(".")
            full = f"{places.get(first, f'{module.name}.{first}')}.{rest}".rstrip(".")
            if full in known:
                yield node.lineno, known[full]


def test_no_sentence_is_compared_as_data() -> None:
    known = constants()
    found = [
        f"{module.path}:{line} {text}"
        for module in portal_modules()
        if module.is_in("portal") and module.path not in COLUMNS | WORDS
        for line, text in compared(module, known)
        if text not in OTHERS.get(module.path, ())
    ]
    assert found == []


def test_no_template_compares_a_sentence() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {literal[0]}"
        for path in sorted((ROOT / "templates").rglob("*.html"))
        for tag in re.findall(r"\{[{%].*?[%}]\}", path.read_text(encoding="utf-8"), re.DOTALL)
        for literal in LITERAL.finditer(tag)
        if (COMPARES.search(tag[: literal.start()]) and is_sentence(literal[1] or literal[2]))
        or SOUGHT.match(tag, literal.end())
    ]
    assert found == []
