"""Processes that begin with everything loaded are processes like any other."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests import warm
from tests.shell import environment

CLI = ("-m", "adapter.cli")


def test_it_has_the_folder_input_and_environment_that_it_was_given(tmp_path: Path) -> None:
    told = {**environment(), "DISCHARGE_ADAPTER_PORT": "9000"}
    done = warm.run([*CLI, "config", "--json"], cwd=tmp_path, env=told)
    assert (done.returncode, b'"port": 9000' in done.stdout) == (0, True)
    done = warm.run([*CLI, "receive", "-"], cwd=tmp_path, env=environment(), input=b"no message")
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    assert (tmp_path / "discharge-adapter.db").exists()
    assert b'"port": 8425' in warm.run([*CLI, "config", "--json"], cwd=tmp_path, env=environment()).stdout


def test_a_wrong_command_line_has_its_status_for_shells_as_well(tmp_path: Path) -> None:
    assert warm.run([*CLI, "nothing"], cwd=tmp_path).returncode == 2
    program = warm.command(tmp_path / "discharge-adapter", "-m adapter.cli")
    done = subprocess.run(["bash", "-c", f"'{program}' --version | tr a-z A-Z; '{program}' nothing"],
                          cwd=tmp_path, capture_output=True)  # fmt: skip
    assert (done.returncode, done.stdout[:17]) == (2, b"DISCHARGE-ADAPTER")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 0)])
def test_it_is_ended_by_its_own_id(tmp_path: Path, number: int, status: int) -> None:
    words = [*CLI, "run", "--json", "--port", "0"]
    process = warm.start(words, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert b"{" in process.stdout.readline()  # it serves
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(30) == status
    process.stdout.close()
