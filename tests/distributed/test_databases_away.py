"""PostgreSQL goes away under load: pages and API say so and when to come back, workers wait and go on, nothing is lost."""

import threading

import pytest
import requests

from tests.distributed import customers, quick_worker
from tests.distributed.customers import change, differences, finished, press
from tests.distributed.installation import installed
from tests.postgres import running_server
from tests.system.conftest import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(900)]
PAGES = ("/login", "/", "/organizations", "/api/v1/tenants", "/api/v1/end-users", "/readyz", "/metrics")


class Visitors:
    """Ask for pages one after the other until told to stop, and keep every answer that is no good one."""

    def __init__(self, one, number=2):
        self.one, self.bad, self.asked, self.unavailable = one, [], 0, 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.visit, args=(n,)) for n in range(number)]
        for thread in self.threads:
            thread.start()

    def visit(self, number):
        session = requests.Session()
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {self.one.token}"
        while not self.over.is_set():
            path = PAGES[(self.asked + number) % len(PAGES)]
            self.asked += 1
            try:
                answer = session.get(self.one.bases[0] + path, timeout=60, allow_redirects=False)
            except requests.RequestException as error:
                self.bad.append((path, error))
                continue
            if answer.status_code == 503:
                self.unavailable += 1
                if path != "/readyz" and "Retry-After" not in answer.headers:
                    self.bad.append((path, "503 without Retry-After"))
            elif answer.status_code >= 500:
                self.bad.append((path, answer.status_code))
            self.over.wait(0.05)  # a visitor, and no attack

    def leave(self):
        self.over.set()
        for thread in self.threads:
            thread.join(timeout=90)


def test_G4_postgres_restarts_under_load(simulator, tmp_path):
    with running_server() as server, installed(simulator, server, tmp_path) as one:
        one.start()
        workers = [one.run("worker", "--concurrency", "2", program=quick_worker.main) for _ in range(2)]
        found = customers.connect(one, simulator, 3)
        visitors = Visitors(one)
        for number, mode in enumerate(("fast", "immediate", "fast")):
            for customer in found:
                change(simulator, customer, f"Title {number}", leavers=number)
            runs = [press(one, customer) for customer in found]
            one.restart(mode)
            assert {finished(one, run)["status"] for run in runs} == {"succeeded"}
        visitors.leave()
        assert visitors.bad == []
        assert visitors.asked > visitors.unavailable
        assert [differences(one, customer) for customer in found] == [[]] * 3
        assert all(worker.lives() for worker in workers), "they wait and go on"
        assert wait_until(lambda: (one.ready() or (0,))[0] == 200, "ready again")
        assert [status for _, status in one.answers if status >= 500 and status != 503] == []
