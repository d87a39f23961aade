from datetime import timedelta

from portal.models import Account, AccountSession, Change, ConsentRequest, Invitation, SyncRun
from portal.operations.retention import forget_old
from tests.sync.directory import account
from tests.sync.steps import started


def forget(world):
    with world.sessions() as session:
        number = forget_old(session, world.now)
        session.commit()
        return number


def test_W7_what_a_run_changed_is_kept_and_old_skips_and_quiet_runs_go(world):
    world.directory.put(account("nomail", mail=None, userPrincipalName="n#EXT#@t"))
    run = started(world, 3)
    quiet = world.sync(anew=True)
    assert (len(world.changes(run.id)), len(world.changes(quiet.id))) == (4, 1)
    world.now += timedelta(days=29)
    assert forget(world) == 0
    world.now += timedelta(days=2)
    assert forget(world) == 2
    assert sorted(world.changes(run.id)) == ["u00", "u01", "u02"]
    world.now += timedelta(days=60)
    assert forget(world) == 1
    assert (world.count(SyncRun), world.count(Change)) == (1, 3)
    assert forget(world) == 0


def test_P10_sessions_links_and_consents_that_ran_out_are_forgotten_after_90_days(world):
    def at(days):
        return {"created_at": world.now, "expires_at": world.now + timedelta(days=days)}

    with world.sessions() as session:
        account = Account(email="ann@x.example", name="Ann", role="technician", created_at=world.now)
        session.add(account)
        session.flush()
        for n, days in enumerate((0, 5)):
            session.add_all(
                [
                    AccountSession(
                        account_id=account.id,
                        token_hash=f"s{n}",
                        last_seen_at=world.now,
                        ended_at=world.now,
                        **at(days),
                    ),
                    Invitation(
                        email="bob@x.example",
                        role="technician",
                        token_hash=f"i{n}",
                        used_at=world.now,
                        **at(days),
                    ),
                    ConsentRequest(state_hash=f"c{n}", session_id="b", account_id="a", **at(days)),
                ]
            )
        session.commit()
    world.now += timedelta(days=90)
    assert forget(world) == 0
    world.now += timedelta(days=1)
    assert forget(world) == 3
    assert [world.count(model) for model in (AccountSession, Invitation, ConsentRequest)] == [1, 1, 1]
    assert world.count(Account) == 1
