"""G4: workers that are stopped for longer than anybody waits, at commit boundaries and inside transactions, and then go on.

Others take over meanwhile and come to the end; what the first ones knew is old then, and none of it is written.
"""

import pytest

from tests.distributed import customers
from tests.distributed.conftest import stopped, went_on
from tests.distributed.customers import change, differences, finished, press
from tests.system.conftest import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.postgres, pytest.mark.timeout(600)]
BOUNDARIES = (1, 2, 3, 5, 7, 9)


def states(one, people):
    return [(one.api.get(f"/microsoft-tenants/{c.tenant_id}")["state"], differences(one, c)) for c in people]


@pytest.mark.parametrize("where", ["before", "inside"])
def test_G4_stopped_at_commit_boundaries_and_inside_transactions(one, worker, simulator, where):
    """Each of a chain of workers takes over from the one before, and stops a little further on."""
    first = worker()
    found = customers.connect(one, simulator, 3)
    assert first.end() == 0
    for customer in found:
        change(simulator, customer, "Old", leavers=0)
    runs = [press(one, customer) for customer in found]
    chain = []
    for number in BOUNDARIES:
        chain.append(worker(hold=f"{where} run {number}", concurrency=1))
        stopped(chain[-1])
    healthy = worker()
    assert {finished(one, run)["status"] for run in runs} == {"succeeded"}
    for customer in found:
        change(simulator, customer, "New", leavers=3)
    assert {finished(one, press(one, customer))["status"] for customer in found} == {"succeeded"}
    assert states(one, found) == [("connected", [])] * 3
    for process in chain:
        went_on(process)
    assert states(one, found) == [("connected", [])] * 3, "who was stopped wrote"
    again = [finished(one, press(one, customer)) for customer in found]
    assert {run["status"] for run in again} == {"succeeded"}
    assert states(one, found) == [("connected", [])] * 3, "the mirror had old facts"
    assert [process.end() for process in (*chain, healthy)] == [0] * (len(chain) + 1)


def test_G4_a_worker_stopped_where_it_wrote_many_rows_keeps_its_tenant_waiting_no_longer(
    one, worker, simulator
):
    first = worker()
    (customer,) = customers.connect(one, simulator, 1)
    first.end()
    change(simulator, customer, "New")
    run = press(one, customer)
    stopped(worker(hold="midway run 2"))
    worker()
    assert finished(one, run, 60)["status"] == "succeeded"
    assert states(one, [customer]) == [("connected", [])]


def test_G4_a_stopped_reader_does_not_write_that_a_permission_is_missing(one, worker, simulator):
    """Found in the field: its consent was taken back and given again while it was stopped."""
    first = worker()
    (customer,) = customers.connect(one, simulator, 1)
    first.end()
    simulator.control.withdraw_consent(customer.directory_id)
    run = press(one, customer)
    refused = worker(hold="before run 2", concurrency=1)
    stopped(refused)
    simulator.control.grant_consent(customer.directory_id)
    worker()
    assert finished(one, run)["status"] == "succeeded"
    went_on(refused)
    assert states(one, [customer]) == [("connected", [])]


def test_G4_a_stopped_check_does_not_break_a_healthy_connection(one, worker, simulator):
    first = worker()
    (customer,) = customers.connect(one, simulator, 1)
    first.end()
    simulator.control.withdraw_consent(customer.directory_id)
    one.sql("UPDATE microsoft_tenants SET checked_at = now() - interval '2 days'")
    checking = worker(hold="check check 1")
    stopped(checking)
    simulator.control.grant_consent(customer.directory_id)
    worker()
    assert finished(one, press(one, customer))["status"] == "succeeded"
    path = f"/microsoft-tenants/{customer.tenant_id}"
    checked = wait_until(
        lambda: one.sql(
            "SELECT checked_at FROM microsoft_tenants WHERE checked_at > now() - interval '1 day'"
        ),
        "a check",
    )
    checking.go_on()
    wait_until(lambda: "check over" in checking.log.read_text(), "the first one's check ends")
    assert one.api.get(path)["state"] == "connected"
    lines = one.sql("SELECT checks::text FROM microsoft_tenants")[0][0]
    assert checked and "missing_permission" not in lines


@pytest.mark.parametrize("number", [2, 4])
def test_G4_a_stopped_slow_pass_writes_nothing_after_another(one, worker, simulator, number):
    first = worker()
    (customer,) = customers.connect(one, simulator, 1)
    wait_until(
        lambda: one.sql("SELECT 1 FROM microsoft_tenants WHERE slow_due_at > now()"), "the first slow pass"
    )
    first.end()
    user = min(customer.truth)
    simulator.control.set_methods(customer.directory_id, user, ["mobilePhone"])
    one.sql("UPDATE microsoft_tenants SET slow_due_at = now()")
    slow = worker(hold=f"before slow {number}")
    stopped(slow)
    simulator.control.set_methods(customer.directory_id, user, ["fido2SecurityKey"])
    worker()
    wait_until(
        lambda: one.sql("SELECT 1 FROM microsoft_tenants WHERE slow_due_at > now()"),
        "the other's slow pass",
        120,
    )
    asked = "SELECT slow_fence, mfa_at::text FROM microsoft_tenants"
    before = one.sql(asked), one.sql("SELECT mfa_methods::text FROM end_users WHERE object_id = %s", user)
    went_on(slow)
    assert (
        one.sql(asked),
        one.sql("SELECT mfa_methods::text FROM end_users WHERE object_id = %s", user),
    ) == before


def test_T1_a_worker_stopped_inside_a_transaction_keeps_no_other_tenant_waiting(one, worker, simulator):
    """Found in the field: its row lock stopped the schedule of all tenants."""
    first = worker()
    found = customers.connect(one, simulator, 3)
    first.end()
    one.sql("DELETE FROM procrastinate_jobs WHERE queue_name = 'slow'")  # each would hold a tenant of its own
    one.sql("UPDATE microsoft_tenants SET slow_due_at = now() + interval '1 day'")
    press(one, found[0])
    held = worker(hold="inside run 2", idle="600")
    stopped(held)
    worker(idle="600")
    for customer in found:
        change(simulator, customer, "Hourly")
    free = "SELECT id FROM microsoft_tenants FOR UPDATE SKIP LOCKED"
    due = f"UPDATE microsoft_tenants SET next_run_at = now() - interval '1 minute' WHERE id IN ({free}) RETURNING directory_id"
    others = {
        directory_id
        for (directory_id,) in wait_until(lambda: one.sql(due), "somebody else's row is free", 60)
    }
    assert len(others) < len(found)
    for customer in [customer for customer in found if customer.directory_id in others]:
        wait_until(
            lambda customer=customer: differences(one, customer) == [], "an hourly run of the others", 120
        )
    assert held.is_stopped() and one.holders(), "it still holds its rows"
    assert one.api.get("/sync-runs?status=succeeded")["total"] >= 2
