"""Who may import whom (docs/architecture.md). The contracts in pyproject.toml say the same for indirect imports."""

from __future__ import annotations

import ast

from tests.architecture.source import (
    Module,
    features,
    is_standard_library,
    modules_in,
    portal_modules,
    within,
)

PURE = tuple(
    f"portal.engine.{name}"
    for name in ("records normalize scope devices plan schedule explain licenses".split())
)
OUTER = (
    "portal.http.responses",
    "portal.http.access",
    "portal.cli",
    "portal.config",
    "portal.worker.scheduler",
    "portal.operations.server",
    "portal.runtime",
)
HTTP = ("requests", "msal", "urllib.request", "http.client", "http.server", "werkzeug", "httpx", "urllib3")


def offences(modules: list[Module], forbidden) -> list[str]:
    return [
        f"{module.path}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if forbidden(module, name)
    ]


def test_the_pure_engine_modules_import_the_standard_library_each_other_and_the_keys() -> None:
    def foreign(_module: Module, name: str) -> bool:
        return not is_standard_library(name) and not within(name, "portal.text", *PURE)

    assert offences([m for m in portal_modules() if m.is_in(*PURE)], foreign) == []


def test_the_keys_of_texts_import_the_standard_library_and_idna() -> None:
    found = offences(
        modules_in("portal.text"), lambda _m, n: not is_standard_library(n) and not within(n, "idna")
    )
    assert found == []


def test_texts_are_folded_in_one_place() -> None:
    """S3: a text that serves as a key gets it from portal.text. The simulator stands alone and has its own."""
    ours = [m for m in portal_modules() if not m.is_in("simulator", "portal.text")]
    folding = [
        f"{module.path}:{node.lineno}"
        for module in ours
        for node in module.nodes(ast.Attribute)
        if node.attr == "casefold"
    ]
    assert folding == []
    composing = [m for m in ours if m.name != "portal.engine.normalize"]  # what is stored is NFC too (G7)
    assert offences(composing, lambda _m, name: within(name, "unicodedata", "idna")) == []


def test_what_an_address_is_is_asked_in_one_place() -> None:
    others = [m for m in portal_modules() if m.name != "portal.addresses"]
    assert offences(others, lambda _m, name: within(name, "email_validator")) == []


def test_the_pure_engine_modules_do_no_input_or_output() -> None:
    doors = ("os", "socket", "subprocess", "sqlite3", "logging.config", "random", "time", "threading", *HTTP)
    pure = [m for m in portal_modules() if m.is_in(*PURE)]
    assert offences(pure, lambda _module, name: within(name, *doors)) == []


def test_the_engine_knows_neither_the_web_nor_the_gateway() -> None:
    forbidden = ("flask", "flask_sqlalchemy", "portal.graph", "simulator", *OUTER, *HTTP)
    assert offences(modules_in("portal.engine"), lambda _m, name: within(name, *forbidden, *features())) == []


def test_the_gateway_imports_nothing_of_ours_but_the_records_and_the_errors() -> None:
    allowed = ("portal.graph", "portal.errors", "portal.engine.records", "portal.engine.ports")
    assert (
        offences(
            modules_in("portal.graph"), lambda _m, name: within(name, "portal") and not within(name, *allowed)
        )
        == []
    )
    foreign = ("flask", "sqlalchemy", "flask_sqlalchemy")
    assert offences(modules_in("portal.graph"), lambda _m, name: within(name, *foreign)) == []


def test_models_import_neither_features_nor_the_engine() -> None:
    forbidden = ("flask", "portal.engine", "portal.graph", "simulator", *OUTER, *HTTP)
    assert offences(modules_in("portal.models"), lambda _m, name: within(name, *forbidden, *features())) == []


def test_the_simulator_imports_nothing_of_ours() -> None:
    def ours(_module: Module, name: str) -> bool:
        return within(name, "portal") and not within(name, "simulator")

    assert offences(modules_in("simulator"), ours) == []


def test_only_the_command_line_imports_the_simulator() -> None:
    others = [m for m in portal_modules() if not m.is_in("simulator", "portal.cli")]
    assert offences(others, lambda _module, name: within(name, "simulator")) == []


def test_routes_and_forms_stay_within_their_feature() -> None:
    def anothers(module: Module, name: str) -> bool:
        parts = name.split(".")
        if (
            len(parts) < 3
            or parts[:2] in (["portal", "http"], ["simulator"])
            or parts[2] not in {"routes", "forms"}
        ):
            return False
        return not module.is_in(f"portal.{parts[1]}")

    inside = [m for m in portal_modules() if m.name not in {"portal", "portal.app"}]  # they join everything
    assert offences(inside, anothers) == []


def test_nothing_below_the_doors_imports_them() -> None:
    """Routes, API and commands are the doors; services and what is under them never reach up."""
    below = [
        m
        for m in portal_modules()
        if m.name.endswith(".service") or m.is_in("portal.engine", "portal.graph", "portal.models")
    ]
    doors = ("portal.api", "portal.cli")

    def reaches_up(module: Module, name: str) -> bool:
        return within(name, *doors) and not module.is_in(*doors)

    assert offences(below, reaches_up) == []


def below_the_routes() -> list[Module]:
    """Services, and the modules beside them in their features."""
    doors = {"api", "routes", "forms"}
    return [
        m
        for m in portal_modules()
        if m.name.endswith(".service") or (m.is_in(*features()) and not doors.intersection(m.name.split(".")))
    ]


def test_services_never_see_a_request_or_a_template() -> None:
    names = (
        "request session flash render_template render_template_string g redirect url_for abort make_response"
    )
    seen = tuple(f"flask.{name}" for name in names.split())
    doors = (
        "portal.auth.signed_in",
        "portal.organizations.bulk_page",
    )  # who asks, and a page of several features
    services = [m for m in below_the_routes() if not m.is_in(*doors)]
    assert (
        offences(services, lambda _m, name: name in {"flask", *seen} or within(name, "portal.http.responses"))
        == []
    )


def test_services_and_models_never_commit() -> None:
    own_transactions = """
    alerts.announcements auth.signed_in imports.runner microsoft.check microsoft.consent microsoft.discover microsoft.removal
    operations.backup
    organizations.bulk_page organizations.removal rollouts.bulk rollouts.claims rollouts.worker search.index
    """  # they wait for somebody else in between, or work outside requests
    loud = [f"portal.{name}" for name in own_transactions.split()]
    quiet = [*(m for m in below_the_routes() if not m.is_in(*loud)), *modules_in("portal.models")]
    found = [
        f"{module.path}:{line} uses {name}"
        for module in quiet
        for line, name in module.attributes()
        if name.endswith(".commit")
    ]
    assert found == []
