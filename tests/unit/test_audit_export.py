"""An export of the audit log can be checked by itself: what was changed, left out, put in or moved is named."""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import audit
from portal.errors import PortalError
from portal.evidence import chain
from portal.evidence.chain import Mark
from portal.evidence.export import Export, verify_file
from portal.models import AuditEvent, Base

# What a spreadsheet would run is guarded in a CSV, and has to come back as it was.
NAMES = ("Fabrikam", "=1+1", '"Ärzte";\r\n„Nord“ \U0001f600', "'@x", "-", "last")


@pytest.fixture
def exported(tmp_path):
    """``exported("csv")``, or with a filter: the path of a file with some of six events, and the head."""
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)

    def write(kind, only=None):
        with Session(engine) as session:
            statement = sa.select(AuditEvent).order_by(AuditEvent.number)
            if only is not None:
                statement = statement.where(AuditEvent.number.in_(only))
            anchor, head = chain.ends(session)
            filters = {} if only is None else {"actor": "ada"}
            made = Export(
                chain.stored(session, statement), anchor, head, filters, chain.moment(datetime.now(UTC))
            )
            path = tmp_path / f"log.{kind}"
            path.write_bytes("".join(made.csv() if kind == "csv" else made.json()).encode())
        return path, head

    with Session(engine) as session, audit.acting_as(audit.Actor("=ada", "page", "192.0.2.7")):
        for name in NAMES:
            audit.record(session, "tenant_created", object_type="tenant", object_id="-1", name=name)
            session.commit()
    yield write
    engine.dispose()


def rows_of(path):
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def write_rows(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def edit(path, change):
    """Have ``change`` edit the list of events, in either kind of file."""
    if path.suffix == ".csv":
        header, *events, end = rows_of(path)
        change(events)
        write_rows(path, [header, *events, end])
    else:
        found = json.loads(path.read_text(encoding="utf-8"))
        change(found["events"])
        path.write_text(json.dumps(found), encoding="utf-8")


def falsify(event):
    if isinstance(event, dict):
        event["actor"] = "eve"
    else:
        event[2] = "eve"


KINDS = pytest.mark.parametrize("kind", ["csv", "json"])


@KINDS
def test_what_was_exported_is_whole(exported, kind):
    path, head = exported(kind)
    found = verify_file(path)
    assert (found.problem, found.events, found.head, found.is_complete) == (None, 6, head, True)
    assert verify_file(path, head).problem is None
    assert verify_file(path, Mark(3, "0" * 64)).problem.number == 3
    assert verify_file(path, Mark(7, "0" * 64)).problem.kind == "cut"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert verify_file(path).problem is None


@KINDS
@pytest.mark.parametrize(
    ("change", "wrong", "number"),
    [
        (lambda events: falsify(events[2]), "changed", 3),
        (lambda events: events.pop(2), "cut", 3),
        (lambda events: events.pop(), "cut", 6),
        (lambda events: events.pop(0), "cut", 1),
        (lambda events: events.clear(), "cut", 1),
        (lambda events: events.insert(3, events[2]), "inserted", 3),
        (lambda events: events.append(events[1]), "reordered", 2),
        (lambda events: events.reverse(), "cut", 1),
        (lambda events: events.insert(2, events.pop(1)), "cut", 2),
    ],
)
def test_what_was_done_to_a_file_is_named(exported, kind, change, wrong, number):
    path, _ = exported(kind)
    edit(path, change)
    found = verify_file(path).problem
    assert (found.kind, found.number) == (wrong, number), found


@KINDS
@pytest.mark.parametrize(
    ("change", "wrong", "number"),
    [
        (lambda events: falsify(events[1]), "changed", 4),
        (lambda events: events.pop(1), "cut", 0),
        (lambda events: events.reverse(), "reordered", 4),
    ],
)
def test_a_filtered_file_is_checked_as_far_as_it_goes(exported, kind, change, wrong, number):
    path, _ = exported(kind, only=(2, 4, 5))
    found = verify_file(path)
    assert (found.problem, found.events, found.is_complete) == (None, 3, False)
    edit(path, change)
    found = verify_file(path).problem
    assert (found.kind, found.number) == (wrong, number), found


def test_a_csv_that_lost_its_last_line_was_cut(exported):
    path, _ = exported("csv")
    write_rows(path, rows_of(path)[:-1])
    found = verify_file(path).problem
    assert (found.kind, found.number) == ("cut", 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name,mac\r\nx,y\r\n",
        "{",
        "{}",
        "[]",
        '{"format": "rollcall-audit-export", "version": 2}',
        '{"format": 1, "version": 1}',
        "a" * 300_000,
        '{"a":' * 900,
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "x"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PortalError) as refused:
        verify_file(path)
    assert "\n" not in str(refused.value) and str(path) in str(refused.value)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(PortalError, match="No such file"):
        verify_file(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PortalError, match="not an audit export"):
        verify_file(path)


@KINDS
def test_values_of_another_kind_are_a_refusal_or_a_change_and_no_crash(exported, kind):
    for value in ("x", "", "[]", "-5"):
        path, _ = exported(kind)
        edit(
            path, lambda events, value=value: events[0].__setitem__("number" if kind == "json" else 0, value)
        )
        try:
            assert verify_file(path).problem is not None
        except PortalError:
            pass


def rewrite_end(path, change):
    """Have ``change`` edit what stands behind the events."""
    if path.suffix == ".json":
        found = json.loads(path.read_text(encoding="utf-8"))
        change(found)
        path.write_text(json.dumps(found), encoding="utf-8")
        return
    *rows, end = rows_of(path)
    column = rows[0].index("detail")
    told = json.loads(end[column])
    change(told)
    end[column] = json.dumps(told)
    write_rows(path, [*rows, end])


@KINDS
def test_a_file_whose_beginning_was_cut_is_named_though_its_anchor_and_its_sums_fit(exported, kind):
    path, _ = exported(kind)
    gone = []
    edit(path, lambda events: gone.extend(events.pop(0) for _ in range(2)))
    hashes = [event["hash"] if kind == "json" else event[-1] for event in gone]
    left = json.loads(exported("json")[0].read_text(encoding="utf-8"))["events"][2:]
    digest = hashlib.sha256("".join(event["hash"] for event in left).encode()).hexdigest()
    anchor = {"number": 2, "hash": hashes[1]}
    if kind == "json":  # written anew just above
        edit(path, lambda events: [events.pop(0) for _ in range(2)])
    rewrite_end(path, lambda end: end.update(anchor=anchor, rows=4, digest=digest))
    found = verify_file(path).problem
    assert (found.kind, found.number) == ("cut", 2), found


@KINDS
def test_a_noted_head_that_a_filtered_file_leaves_out_cannot_be_checked(exported, kind):
    path, head = exported(kind)
    hashes = {
        event["number"]: event["hash"]
        for event in json.loads(exported("json")[0].read_text(encoding="utf-8"))["events"]
    }
    path, head = exported(kind, only=[2, 4])
    assert verify_file(path, Mark(4, hashes[4])).problem is None
    assert verify_file(path, Mark(4, "0" * 64)).problem.kind == "changed"
    assert verify_file(path, head).problem is None, "the head goes along with the file"
    assert verify_file(path, Mark(head.number, "0" * 64)).problem.kind == "changed"
    found = verify_file(path, Mark(3, hashes[3])).problem
    assert (found.kind, found.number) == ("unchecked", 3)
