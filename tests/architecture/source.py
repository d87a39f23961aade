"""Reading the own source for the architecture tests: parsed files, their imports, the tracked files."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

N = TypeVar("N", bound=ast.AST)
ROOT = Path(__file__).resolve().parents[2]
PORTAL = ROOT / "portal"
SIMULATOR = ROOT / "simulator"
BINARY = {".png", ".jpg", ".ico", ".gif", ".woff2", ".pdf", ".gz", ".zip"}


@dataclass(frozen=True)
class Module:
    """One source file; ``name`` is dotted (``portal.engine.records``), ``path`` relative to the repository."""

    name: str
    path: str
    tree: ast.Module

    def is_in(self, *packages: str) -> bool:
        return within(self.name, *packages)

    @functools.cached_property
    def _by_type(self) -> dict[type[ast.AST], list[Any]]:
        by_type = defaultdict(list)
        for node in ast.walk(self.tree):
            by_type[type(node)].append(node)
        return dict(by_type)

    def nodes(self, *types: type[N]) -> Iterator[N]:
        """Every node of these types, one type after the other. The tree is walked once, whoever asks."""
        for type_ in types:
            yield from self._by_type.get(type_, ())

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every import with its line, as far as it can be told: ``portal.models.customers.EndUser``."""
        package = self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]
        for node in self.nodes(ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        for node in self.nodes(ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)

    def strings(self) -> Iterator[tuple[int, str]]:
        """Every string literal that is not a docstring or a bare string statement."""
        bare = {id(node.value) for node in self.nodes(ast.Expr)}
        for node in self.nodes(ast.Constant):
            if isinstance(node.value, str) and id(node) not in bare:
                yield node.lineno, node.value

    def attributes(self) -> Iterator[tuple[int, str]]:
        """Every dotted expression that is made of names only: ``os.environ``, ``dt.datetime.now``."""
        for node in self.nodes(ast.Attribute):
            if name := dotted(node):
                yield node.lineno, name


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or below one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def parse(path: Path) -> Module:
    relative = path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(
        name=name,
        path=str(relative),
        tree=ast.parse(path.read_text(encoding="utf-8"), filename=str(relative)),
    )


@functools.cache
def portal_modules() -> tuple[Module, ...]:
    """Every module of the portal, and of the simulator beside it."""
    return tuple(parse(path) for folder in (PORTAL, SIMULATOR) for path in sorted(folder.rglob("*.py")))


def modules_in(*packages: str) -> list[Module]:
    return [module for module in portal_modules() if module.is_in(*packages)]


@functools.cache
def other_modules() -> tuple[Module, ...]:
    """Every tracked module beside them: tests, tools, migrations."""
    known = {ROOT / module.path for module in portal_modules()}
    return tuple(parse(path) for path in tracked_files() if path.suffix == ".py" and path not in known)


@functools.cache
def features() -> frozenset[str]:
    """The packages that have pages, plus the API: ``portal.end_users``, ..."""
    pages = [*PORTAL.glob("*/routes.py"), *PORTAL.glob("*/routes/")]
    return frozenset({f"portal.{path.parent.name}" for path in pages} | {"portal.api"})


def is_standard_library(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """What git tracks, or would with ``git add``: the files that a clone gets."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    return tuple(ROOT / name for name in sorted(set(listed)) if name and (ROOT / name).is_file())


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Path (relative) and text of every tracked text file."""
    for path in tracked_files():
        if path.suffix not in BINARY:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
