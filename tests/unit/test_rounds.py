"""How often a distributed worker looks after what nobody asks for, as the library understands it."""

from itertools import pairwise

import pytest
from procrastinate.periodic import PeriodicTask

from portal.worker import distributed_worker


@pytest.mark.parametrize(
    ("cron", "seconds"), [(distributed_worker.ROUNDS, 5), (distributed_worker.SLOW_ROUNDS, 600)]
)
def test_rounds_are_so_many_seconds_apart(cron, seconds):
    turns = PeriodicTask(task=None, cron=cron, periodic_id="", configure_kwargs={}).croniter
    times = [turns.get_next() for _ in range(1000)]
    assert {later - earlier for earlier, later in pairwise(times)} == {seconds}
