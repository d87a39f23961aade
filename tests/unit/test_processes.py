import os
import subprocess
import sys

from portal.worker.processes import is_dead, own_name


def named(pid):
    parts = own_name().split(":")
    parts[-2] = str(pid)
    return ":".join(parts)


def test_G4_a_process_that_ended_is_dead_and_one_that_runs_is_not():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert not is_dead(named(other.pid))
        other.stdin.write(b"\n")
        other.stdin.close()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(named(other.pid)), "a zombie"
    assert is_dead(named(other.pid))
    assert is_dead(named(os.getpid())), "an earlier process with our number"


def test_G4_of_another_machine_nobody_can_tell():
    host, *rest = own_name().split(":")
    assert not is_dead(":".join([f"{host}x", *rest]))
    assert not is_dead("dead") and not is_dead("")
    assert len(own_name()) <= 64
