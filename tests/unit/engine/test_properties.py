"""What must hold for every world (hypothesis): not examples, but the promises themselves."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.engine.changes import wanted
from portal.engine.decide import plan
from portal.engine.guards import check_sums, guard
from portal.text import email_key
from portal.engine.records import Action, HoldRule, LinkState, Presence, Reason, SectionFilter
from tests.unit.engine.builders import only, person, remote, snapshot

SMALL = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
ADDRESSES = ["", "a@x.example", "b@x.example", "C@x.example", "d@y.example", "e@y.example"]
IDS = ["u1", "u2", "u3", "u4", "u5", "u6"]

users = st.lists(
    st.builds(
        remote,
        st.sampled_from(IDS),
        st.sampled_from(ADDRESSES),
        display_name=st.sampled_from(["Ann", "Bo"]),
        department=st.sampled_from(["", "IT", "Sales"]),
        aliases=st.lists(st.sampled_from([a.casefold() for a in ADDRESSES if a]), max_size=2, unique=True).map(tuple),
        account_enabled=st.sampled_from([True, False, None]),
        presence=st.sampled_from([Presence.PRESENT, Presence.PRESENT, Presence.PRESENT, Presence.GONE, Presence.SOFT_DELETED]),
        license_sku_ids=st.sampled_from([(), ("sku",)]),
        immutable_id=st.sampled_from(["", "im1", "im2"]),
        problem=st.sampled_from(["", "", "", "", "broken"]),
    ),
    max_size=6,
    unique_by=lambda u: u.object_id,
)


@st.composite
def people(draw):
    found, keys, taken = [], set(), set()
    for number in range(draw(st.integers(0, 5))):
        address = draw(st.sampled_from(ADDRESSES))
        if email_key(address) in keys:
            address = ""
        if address:
            keys.add(email_key(address))
        link = None
        target = draw(st.sampled_from([None, *IDS, "x1", "x2"]))
        if target is not None and target not in taken:
            taken.add(target)
            link = LinkState(
                target,
                "mt",
                is_disabled=draw(st.booleans()),
                is_foreign=target.startswith("x") and draw(st.booleans()),
                immutable_id=draw(st.sampled_from(["", "im1", "im2"])),
                written={"department": "Sales"} if draw(st.booleans()) else {},
            )
        found.append(person(f"e{number}", address, link=link, display_name="Ann", department=draw(st.sampled_from(["", "Sales"]))))
    return found


filters = st.builds(
    lambda departments, disabled, licensed: replace(
        only(department=departments) if departments is not None else only(), add_disabled_accounts=disabled, only_licensed=licensed
    ),
    st.one_of(st.none(), st.lists(st.sampled_from(["", "IT", "Sales"]), min_size=1, max_size=2, unique=True)),
    st.booleans(),
    st.booleans(),
)
worlds = st.builds(lambda u, p, f, c: snapshot(u, p, filters=f, is_complete=c), users, people(), filters, st.booleans())


def after(shot, found):
    """The world once every decision was applied: what the writer does, in ten lines."""
    rows = {row.id: row for row in shot.end_users}
    by_id = {user.object_id: user for user in shot.users}
    for number, decision in enumerate(found.decisions):
        user = by_id.get(decision.object_id)
        if decision.action is Action.CREATE:
            fields = wanted(user)
            link = LinkState(user.object_id, "mt", is_disabled=decision.sets_disabled, immutable_id=user.immutable_id, written=fields)
            rows[f"n{number}"] = replace(person(f"n{number}"), fields=fields, link=link)
        elif decision.end_user_id and decision.action is not Action.SKIP:
            row = rows[decision.end_user_id]
            if decision.action is Action.CONFLICT and not decision.changes and decision.moves_link_from is None:
                continue
            fields = {**row.fields, **{c.field: c.new for c in decision.changes}}
            link = row.link
            if decision.action is Action.LINK or decision.moves_link_from is not None:
                link = LinkState(user.object_id, "mt", immutable_id=user.immutable_id, is_disabled=decision.sets_disabled)
                if row.link is not None and not row.link.is_foreign:
                    link = replace(link, written=row.link.written)
            elif link is not None and not link.is_foreign and link.object_id == decision.object_id:
                link = replace(link, is_disabled=decision.sets_disabled, is_in_scope=decision.sets_in_scope)
            if link is not None:
                link = replace(link, written={**link.written, **{c.field: c.new for c in decision.changes}})
            rows[row.id] = replace(row, fields=fields, link=link)
    return replace(shot, end_users=tuple(rows.values()))


@SMALL
@given(worlds)
def test_W3_deciding_after_applying_yields_nothing(shot):
    again = plan(after(shot, plan(shot)))
    for decision in again.decisions:
        assert decision.action in {Action.LEAVE, Action.SKIP, Action.CONFLICT}, decision
        assert decision.changes == (), decision


@SMALL
@given(worlds, st.randoms(use_true_random=False))
def test_M2_the_order_of_pages_and_rows_does_not_matter(shot, random):
    shuffled_users, shuffled_people = list(shot.users), list(shot.end_users)
    random.shuffle(shuffled_users)
    random.shuffle(shuffled_people)
    assert plan(replace(shot, users=tuple(shuffled_users), end_users=tuple(shuffled_people))) == plan(shot)


@SMALL
@given(worlds)
def test_S1_a_tighter_filter_never_adds_anyone(shot):
    def accepted(found):
        return {d.object_id for d in found.decisions if d.is_in_scope and not d.is_absent and d.reason not in {Reason.BAD_RECORD}}

    tighter = replace(shot.filters, domain=SectionFilter(all=False, values=("x.example",)))
    assert accepted(plan(replace(shot, filters=tighter))) <= accepted(plan(shot))


@SMALL
@given(worlds)
def test_M3_nobody_outside_the_organization_is_named(shot):
    known = {row.id for row in shot.end_users}
    for decision in plan(shot).decisions:
        assert {decision.end_user_id, decision.other_end_user_id} - {None} <= known


@SMALL
@given(worlds)
def test_M4_one_decision_an_object_and_one_link_an_end_user(shot):
    found = plan(shot).decisions
    assert len({d.object_id for d in found}) == len(found)
    takers = [d.end_user_id for d in found if d.end_user_id and d.action not in {Action.CONFLICT, Action.SKIP} and not d.is_absent]
    assert len(takers) == len(set(takers))


@SMALL
@given(worlds)
def test_M4_emails_stay_unique_after_the_run(shot):
    keys = [row.email_key for row in after(shot, plan(shot)).end_users if row.email_key]
    assert len(keys) == len(set(keys))


@SMALL
@given(worlds)
def test_L2_a_partial_read_never_disables_anyone(shot):
    partial = replace(shot, is_complete=False)
    marked = {row.link.object_id for row in shot.end_users if row.link is not None and row.link.is_disabled}
    for decision in plan(partial).decisions:
        assert decision.action is not Action.MARK_DISABLED
        if decision.action is not Action.CREATE:
            assert not decision.sets_disabled or decision.object_id in marked


@SMALL
@given(worlds, st.booleans())
def test_G8_the_counts_add_up(shot, initial):
    rule = HoldRule(percent=10, minimum=1, create_minimum=1)
    guarded = guard(plan(shot), linked=2, is_initial=initial, rule=rule)
    assert check_sums(guarded.counts)
    assert guarded.counts.read == sum(1 for u in shot.users if u.presence is Presence.PRESENT)
