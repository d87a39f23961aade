"""``rollcall apply FILE`` as an operator uses it: a plan, a question, just that, and nothing the second time (F5)."""

import json

import pytest

from simulator.server import SimulatorServer
from simulator.world import World

FILE = """
[[filter_templates]]
name = "Everybody in a group"
[filter_templates.filters]
group = ["All *"]

[[organizations]]
name = "Harborview"
microsoft_tenant = "{first}"
filter_template = "everybody in a group"
enabled = true
tags = ["pod A"]

[[organizations]]
name = "Kestrel"
microsoft_tenant = "{second}"
enabled = true
"""


@pytest.fixture(scope="module")
def simulator():
    with SimulatorServer(World(tenants=2, users=12, seed=4)) as server:
        yield server


@pytest.fixture(autouse=True)
def microsoft(simulator, data_dir, monkeypatch):
    for name, value in {
        "MICROSOFT_CLIENT_ID": simulator.client_id,
        "MICROSOFT_CLIENT_SECRET": simulator.client_secret,
        "MICROSOFT_LOGIN_URL": simulator.base_url,
        "MICROSOFT_GRAPH_URL": simulator.base_url,
        "REQUESTS_CA_BUNDLE": simulator.ca_file,
    }.items():
        monkeypatch.setenv(name, value)


def test_F5_a_fleet_from_one_file_and_the_second_time_nothing_to_do(rollcall, simulator, tmp_path):
    file = tmp_path / "fleet.toml"
    first, second = simulator.tenant_ids
    names = [g.props["displayName"] for g in simulator.world.tenants[first].directory.groups.values()]
    pattern = next(name for name in names if name and "*" not in name)
    file.write_text(
        FILE.format(first=first, second=second).replace(
            "All *", pattern.replace("\\", "\\\\").replace('"', '\\"')
        )
    )
    dry = rollcall("apply", str(file), "--dry-run")
    assert dry.returncode == 0, dry.stderr
    signs = [line[0] for line in dry.stdout.splitlines()]
    assert signs == ["+"] * 10 and "+ Filter template Everybody in a group" in dry.stdout
    asked = rollcall("apply", str(file), stdin="n\n")
    assert asked.returncode == 1 and "Nothing was changed." in asked.stderr
    assert json.loads(rollcall("apply", str(file), "--dry-run", "--json").stdout)["changes"][0]["sign"] == "+"
    done = rollcall("apply", str(file), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 done, 0 not." in done.stdout, (
        "the groups are found once the tenant was read, which is waited for"
    )
    again = rollcall("apply", str(file))
    assert (again.returncode, again.stdout.splitlines()[0]) == (
        0,
        "Nothing to do: everything matches the file.",
    )


def test_F5_bad_entries_are_a_line_each_by_key_path(rollcall, tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('[[organizations]]\nname = "A"\nenabled = "x"\n[[organizations]]\ncolor = 3\n')
    bad = rollcall("apply", str(file))
    assert bad.returncode == 1
    assert [line.partition(":")[0] for line in bad.stderr.splitlines()[:-1]] == [
        "organizations[1].enabled", "organizations[2].color", "organizations[2].name",
    ]  # fmt: skip
    assert bad.stderr.endswith("3 entries of the file cannot be used. Nothing was changed.\n")
    file.write_text("color = 3\n")
    assert "\n1 entry of the file cannot be used. " in rollcall("apply", str(file)).stderr
    file.write_bytes(b"\xff")
    assert rollcall("apply", str(file)).stderr.endswith("is not UTF-8.\n")
    assert rollcall("apply", str(tmp_path / "none.toml")).returncode == 2
