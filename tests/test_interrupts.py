"""Ctrl-C and SIGTERM at awkward moments: exit code 130, one message, never a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kvopt as kv

#: Sends the process a signal as soon as a module is about to be imported.
SIGNAL_AT_IMPORT = """
import signal, sys
class Bomb:
    def find_spec(self, name, *rest):
        if name == {module!r}:
            signal.raise_signal(signal.{number})
sys.meta_path.insert(0, Bomb())
sys.argv = ["kvopt", *{arguments!r}]
from kvopt.__main__ import main
main()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["typer", "msgspec", "kvopt.io.formats", "kvopt.monitor"])
def test_a_signal_while_loading_ends_with_130(tmp_path, module, number):
    """The first tenths of a second go to imports; a signal then is an interrupt like any other."""
    kv.write(kv.Instance(5, [1, 1], [1, 3]), tmp_path / "two.json")
    arguments = ["solve", str(tmp_path / "two.json"), "--solver", "brute-force"]
    code = SIGNAL_AT_IMPORT.format(module=module, number=number, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "kvopt: interrupted\n")


def test_a_signal_while_writing_does_not_lose_the_result(tmp_path):
    """The schedule is there: a signal before it is on disk must not cost it."""
    kv.write(kv.Instance(5, [1, 1], [1, 3]), tmp_path / "two.json")
    code = """
import signal, sys
import kvopt.io.files as files
fsync = files.os.fsync
def interrupted_fsync(descriptor):
    signal.raise_signal(signal.SIGTERM)
    fsync(descriptor)
files.os.fsync = interrupted_fsync
from kvopt.__main__ import main
main()
"""
    command = [sys.executable, "-c", code, "solve", "two.json", "--solver", "brute-force", "-o", "two.result.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.endswith("kvopt: interrupted\n")
    assert "Traceback" not in done.stderr
    assert kv.read_result(tmp_path / "two.result.json", kv.read(tmp_path / "two.json")).total_latency == 4


def test_the_package_runs_as_a_module():
    """``python -m kvopt`` is the command where the script is not on the path."""
    done = subprocess.run([sys.executable, "-m", "kvopt", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"kvopt {kv.__version__}\n")
