"""Readers, writers, importers, sign-ins and a sync at once, over real connections: nobody is answered with an error of ours.

A fixed number of requests and no measured time: what they answer, and that everything adds up afterwards.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from portal.clock import utcnow
from portal.models import Account
from simulator.server import SimulatorServer
from tests.distributed.installation import Installation, installed

READERS, WRITERS, IMPORTERS, GUESSERS = 4, 4, 2, 2
ROUNDS, ROWS = 5, 60


@pytest.fixture
def portal(simulator: SimulatorServer, any_database: str, tmp_path: Path) -> Iterator[Installation]:
    """``rollcall serve`` as a process, with its scheduler."""
    settings = {"ROLLCALL_SCHEDULER": "embedded"}
    with installed(simulator, None, tmp_path, url=any_database, **settings) as found:
        found.start().add(
            Account(email="ada@x.example", name="Ada", role="administrator", created_at=utcnow())
        )
        yield found


class Crowd:
    """What everybody was answered: (method, path, status)."""

    def __init__(self, portal: Installation) -> None:
        self._portal = portal
        self.answers: list[tuple[str, str, int]] = []
        self.wrong: list[BaseException] = []

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._portal.token}", **more.pop("headers", {})}
        answer = requests.request(method, self._portal.bases[0] + path, headers=headers, timeout=120, **more)
        self.answers.append((method, path, answer.status_code))
        return answer

    def at_once(self, *works: Callable[[], None]) -> None:
        def kept(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as error:  # told by the test's own thread
                self.wrong.append(error)

        threads = [threading.Thread(target=kept, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.wrong, [repr(one) for one in self.wrong]


def test_nobody_gets_an_error_of_ours_while_everybody_works(
    portal: Installation, simulator: SimulatorServer
) -> None:
    """Over 50 lines: what each kind of client does stands beside the sums that it leads to."""
    api, crowd = portal.api, Crowd(portal)
    microsoft = api.connected(simulator.tenant_ids[0])
    synced = api.organization("Synced", microsoft["id"])
    others = api.post("/organizations", {"name": "Others"})["id"]
    people = f"/api/v1/organizations/{others}/end-users"

    def read() -> None:
        for _ in range(ROUNDS):
            for path in (
                "/healthz",
                "/login",
                "/api/v1/organizations",
                f"{people}?q=p&sort=-name",
                f"{people}.csv",
                "/api/v1/audit-events",
            ):
                crowd.ask("GET", path)

    def write(number: int) -> None:
        for n in range(ROUNDS):
            made = crowd.ask(
                "POST",
                people,
                json={"display_name": f"Written {number}-{n}", "email": f"w{number}-{n}@x.example"},
            ).json()
            crowd.ask("PATCH", f"/api/v1/end-users/{made['id']}", json={"phone": f"{number}{n}"})
        crowd.ask("DELETE", f"/api/v1/end-users/{made['id']}")

    def bring(number: int) -> None:
        for n in range(3):
            rows = "".join(f"i{number}-{row}@x.example,Imported {row},{n}{row}\n" for row in range(ROWS))
            told = crowd.ask(
                "POST",
                f"{people}/import",
                data=f"email,display_name,phone\n{rows}".encode(),
                headers={"Content-Type": "text/csv"},
            ).json()
            assert (told["created"], told["updated"], told["rejected"]) == (
                (ROWS, 0, []) if n == 0 else (0, ROWS, [])
            )

    def guess() -> None:
        for n in range(2):
            browser = requests.Session()
            page = browser.get(f"{portal.bases[0]}/login", timeout=60)
            csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
            assert csrf is not None
            form = {"csrf_token": csrf[1], "email": f"somebody{n}@x.example", "password": "a wrong guess"}
            answer = browser.post(f"{portal.bases[0]}/login", data=form, timeout=60, allow_redirects=False)
            crowd.answers.append(("POST", "/login", answer.status_code))

    runs: list[dict[str, Any]] = []

    def sync() -> None:
        runs.append(api.enabled(synced, add_disabled_accounts=True, only_licensed=False))
        runs.append(api.synced(synced))

    works = [*[read] * READERS, *[guess] * GUESSERS, sync]
    works += [lambda n=n: write(n) for n in range(WRITERS)]  # type: ignore[misc]
    works += [lambda n=n: bring(n) for n in range(IMPORTERS)]  # type: ignore[misc]
    crowd.at_once(*works)
    assert [answer for answer in crowd.answers if answer[2] >= 500] == []
    assert [answer for answer in portal.answers if answer[1] >= 500] == []
    assert (
        len(crowd.answers) == READERS * ROUNDS * 6 + WRITERS * (2 * ROUNDS + 1) + IMPORTERS * 3 + GUESSERS * 2
    )
    found = api.people(others)
    assert len(found) == WRITERS * (ROUNDS - 1) + IMPORTERS * ROWS
    assert {found[f"i{n}-{row}@x.example"]["phone"] for n in range(IMPORTERS) for row in range(ROWS)} == {
        f"2{row}" for row in range(ROWS)
    }
    assert [run["status"] for run in runs] == ["succeeded", "succeeded"]
    assert len(api.people(synced)) == runs[0]["counts"]["created"] > 50
    assert runs[1]["counts"]["created"] == 0
    portal.command("audit", "verify")
