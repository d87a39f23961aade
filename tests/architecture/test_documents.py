"""Documents say what is true: the settings and commands of README.md, what they link to, and what code cites of them."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import PORTAL, ROOT, parse, tracked_texts

README = (ROOT / "README.md").read_text(encoding="utf-8")
VARIABLE = re.compile(r"(?:ROLLCALL|MICROSOFT)_[A-Z_]+|REQUESTS_CA_BUNDLE")
FIXED = """
ROLLCALL_DATA_DIR ROLLCALL_DATABASE_URL ROLLCALL_SECRET_KEY ROLLCALL_BASE_URL MICROSOFT_CLIENT_ID MICROSOFT_CLIENT_SECRET
MICROSOFT_CERTIFICATE_FILE MICROSOFT_LOGIN_URL MICROSOFT_GRAPH_URL REQUESTS_CA_BUNDLE ROLLCALL_SYNC_INTERVAL_MINUTES
ROLLCALL_SCHEDULER
""".split()


def variables_read() -> set[str]:
    config = PORTAL / "config.py"
    if not config.exists():
        return set()
    return {text for _line, text in parse(config).strings() if VARIABLE.fullmatch(text)}


def variables_documented() -> set[str]:
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("|")]
    return {name for row in rows for name in VARIABLE.findall(row)}


def test_every_setting_is_documented() -> None:
    assert sorted(variables_read() - variables_documented()) == []


def test_every_documented_setting_exists() -> None:
    assert sorted(variables_documented() - variables_read()) == []


@pytest.mark.parametrize("name", FIXED)
def test_the_settings_others_rely_on_keep_their_names(name: str) -> None:
    assert name in variables_read()


def test_the_checks_run_the_test_command_of_the_readme() -> None:
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    commands = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    tests = {command for command in commands if re.match(r"make test\b", command)}
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    steps = [line for line in script if line.strip() and not line.startswith(("#", "set ", "cd "))]
    assert tests == {"make test"}
    assert steps == ["exec make test"]


def test_every_make_target_named_anywhere_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    named = {
        name for page in pages for name in re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8"))
    }
    assert sorted(named - targets) == []


def test_every_icon_that_a_template_names_is_on_the_list() -> None:
    listed = set((ROOT / "static" / "icons.list").read_text(encoding="utf-8").split())
    used = {
        (name, str(template.relative_to(ROOT)))
        for template in sorted((ROOT / "templates").rglob("*.html"))
        for name in re.findall(r"""\bicon\(\s*["']([a-z0-9-]+)["']""", template.read_text(encoding="utf-8"))
    }
    assert sorted(f"{name} ({where})" for name, where in used if name not in listed) == []


def test_every_picture_and_page_that_a_document_links_to_exists() -> None:
    missing = [
        f"{page.name}: {target}"
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["administrator", "operator", "support"])
def test_what_a_guide_sets_in_italics_stands_on_a_page(name: str) -> None:
    """Guides name buttons, menus and headings that way, and their own headings; a name that changes leaves them behind."""
    guide = " ".join((ROOT / "docs" / "guide" / f"{name}.md").read_text(encoding="utf-8").split())
    shown = " ".join(
        " ".join(path.read_text(encoding="utf-8").split())
        for folder, kind in (("templates", "*.html"), ("portal", "*.py"), ("docs/guide", "*.md"))
        for path in sorted((ROOT / folder).rglob(kind))
        if folder != "docs/guide" or path.stem == name
    )
    named = {
        part for path in re.findall(r"(?<!\*)\*([^*]{3,60})\*(?!\*)", guide) for part in path.split(" → ")
    }
    assert sorted(part for part in named if part not in shown.replace(f"*{part}*", "")) == []


DOCUMENT = re.compile(r"(?:\bdocs/[\w/-]*?)?[\w-]+\.md\b")
NUMBER = r"\d+(?:\.\d+)?"
GRAPH_CITED = re.compile(rf"docs/microsoft-graph\.md, ({NUMBER}(?:(?:, | and ){NUMBER})*)")
GRAPH_SECTION = re.compile(rf"^##+ ({NUMBER}) ", re.MULTILINE)


def sources() -> dict[str, str]:
    """What cites documents, by path: every text of the repository that is not a document itself."""
    return {where: text for where, text in tracked_texts() if not where.endswith(".md")}


def unknown_documents(texts: dict[str, str], documents: set[str]) -> list[str]:
    """Names in ``texts`` that are neither a path from the root nor the bare name of one of ``documents``."""
    known = documents | {name.rpartition("/")[2] for name in documents}
    named = {(where, name) for where, text in texts.items() for name in DOCUMENT.findall(text)}
    return sorted(f"{where}: {name}" for where, name in named if name not in known)


def test_every_document_that_code_names_exists() -> None:
    documents = {where for where, _text in tracked_texts() if where.endswith(".md")}
    assert unknown_documents(sources(), documents) == []


def test_a_document_that_does_not_exist_is_found() -> None:
    texts = {"a.py": "as docs/engine.md and engine" + ".md say", "b.html": "see facts" + ".md"}
    assert unknown_documents(texts, {"docs/engine.md"}) == ["b.html: facts" + ".md"]


def test_the_sections_of_microsoft_graph_are_those_that_code_cites() -> None:
    """A heading over several sections counts as cited with any of them."""
    page = (ROOT / "docs" / "microsoft-graph.md").read_text(encoding="utf-8")
    sections = GRAPH_SECTION.findall(page)
    cited = {
        number
        for text in sources().values()
        for numbers in GRAPH_CITED.findall(text)
        for number in re.findall(NUMBER, numbers)
    }
    assert len(sections) == len(set(sections))
    assert sorted(cited - set(sections)) == []
    assert [
        one for one in sections if not any(number == one or number.startswith(f"{one}.") for number in cited)
    ] == []
