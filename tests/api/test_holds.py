"""G1 by API: all or some of those held back are applied or dismissed, by object id."""

import pytest

from portal.extensions import db
from portal.models import AuditEvent, MicrosoftTenant, Organization, UserSync
from tests.web import holds


@pytest.fixture
def hold(app, enabled, microsoft_tenant):
    """A run that holds four leavers and two new people: its path."""
    with app.app_context():
        organization, microsoft = (
            db.session.get_one(Organization, enabled["id"]),
            db.session.get_one(MicrosoftTenant, microsoft_tenant),
        )
        run = holds.held_run(organization, microsoft, leavers=4, new=2)
        db.session.commit()
        return f"/sync-runs/{run.id}"


@pytest.fixture
def waiting(api, hold):
    """Object ids of those who wait, as the API lists them."""

    def ask():
        status, found = api("GET", f"{hold}/changes?state=held&per_page=500")
        assert status == 200
        return [row["object_id"] for row in found["items"]]

    return ask


def paused_by(app):
    with app.app_context():
        return db.session.query(UserSync).one().hold_run_id


def test_G1_G8_parts_are_applied_and_dismissed_until_nobody_waits(app, api, hold, waiting):
    ids = waiting()
    leavers, new = (
        [one for one in ids if one.startswith("leaver")],
        [one for one in ids if one.startswith("new")],
    )
    status, run = api("POST", f"{hold}/held/apply", {"object_ids": [leavers[0], leavers[0].upper(), new[0]]})
    assert (status, run["status"], run["held"]["state"], run["held"]["count"], run["held"]["applied"]) == (
        200,
        "held",
        "waiting",
        4,
        2,
    )
    assert (run["counts"]["disabled"], run["counts"]["created"], run["counts"]["held"]) == (1, 1, 4)
    assert holds.adds_up(run["counts"]) and paused_by(app) == run["id"]
    assert sorted(waiting()) == sorted({*ids} - {leavers[0], new[0]})

    status, run = api("POST", f"{hold}/held/dismiss", {"object_ids": [leavers[1], new[1]]})
    assert (status, run["status"], run["held"]["count"], run["held"]["dismissed"]) == (200, "held", 2, 2)
    assert holds.adds_up(run["counts"]) and (run["counts"]["skipped"], run["counts"]["unchanged"]) == (1, 1)
    assert api("GET", hold)[1]["held"] == run["held"] and paused_by(app) == run["id"]

    status, run = api("POST", f"{hold}/held/apply")
    assert (status, run["status"], run["held"]["state"], run["held"]["count"]) == (
        200,
        "succeeded",
        "applied",
        6,
    )
    assert holds.adds_up(run["counts"]) and (run["counts"]["disabled"], run["counts"]["held"]) == (3, 0)
    assert waiting() == [] and paused_by(app) is None
    with app.app_context():
        events = (
            db.session.query(AuditEvent).filter(AuditEvent.action.startswith("hold_")).order_by(AuditEvent.at)
        )
        assert [event.detail["count"] for event in events] == [2, 2, 2]
    for verb in ("apply", "dismiss"):
        for body in (None, {"object_ids": leavers}):
            status, problem = api("POST", f"{hold}/held/{verb}", body)
            assert status == 409 and problem["detail"] == "Nothing in this run is held back."


@pytest.mark.parametrize("verb", ["apply", "dismiss"])
@pytest.mark.parametrize("named", [["nobody-here"], [], ["nobody-here", "leaver"], [""]])
def test_G1_who_is_not_held_or_nobody_is_refused_and_nothing_is_done(app, api, hold, waiting, verb, named):
    ids = [waiting()[0] if one == "leaver" else one for one in named]
    before = api("GET", hold)[1]
    status, problem = api("POST", f"{hold}/held/{verb}", {"object_ids": ids})
    assert status == 422 and list(problem["errors"]) == ["object_ids"]
    assert api("GET", hold)[1] == before and len(waiting()) == 6 and paused_by(app) == before["id"]


@pytest.mark.parametrize(
    "body", [{"object_ids": "all"}, {"object_ids": [1]}, {"object_ids": {}}, {"ids": []}]
)
def test_G1_a_body_of_another_shape_is_refused(api, hold, waiting, body):
    assert api("POST", f"{hold}/held/apply", body)[0] == 422
    assert len(waiting()) == 6


@pytest.mark.parametrize("role", ["technician", "read-only"])
def test_G1_only_administrators_decide(as_role, api, hold, waiting, role):
    somebody = waiting()[:1]
    other = as_role(role)
    for verb in ("apply", "dismiss"):
        assert other("POST", f"{hold}/held/{verb}", {"object_ids": somebody})[0] == 403
    assert len(waiting()) == 6
