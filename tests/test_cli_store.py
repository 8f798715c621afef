"""Commands and the store: which of them make one, and what is said where there is none or a broken one."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from adapter.store import Store
from adapter.store.migrations import migrate
from tests.shell import FIXTURES, Shell

PLO = FIXTURES / "plo"
ADMITTED = PLO / "home-with-help" / "admitted.plo-1.6.xml"

LOOKING = [
    "cases", "case 1", "deliveries", "delivery 1", "quarantine", "alarms", "deadlines", "endpoints",
    "endpoints pause laerdal", "endpoints resume laerdal", "resend 1", "reissue 1", "give-up 1", "release 1",
    "check --journal", "backup today.db",
]  # fmt: skip
STORED = ("discharge-adapter.db", "discharge-adapter.db.turn", "discharge-adapter.db-wal", "today.db")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path).with_region()


@pytest.mark.parametrize("command", LOOKING)
def test_a_command_that_looks_or_acts_makes_no_store_and_says_what_makes_one(
    shell: Shell, command: str
) -> None:
    done = shell(*command.split())
    assert (done.status, done.out) == (2, b"")
    assert f"there is no store at {shell.folder}/discharge-adapter.db" in done.said
    assert "`discharge-adapter run`, `receive` or `migrate` makes one, `restore` puts a backup" in done.said
    assert not [name for name in STORED if (shell.folder / name).exists()]


@pytest.mark.parametrize("command", LOOKING)
def test_an_empty_file_is_not_adopted_as_a_store(shell: Shell, command: str) -> None:
    (shell.folder / "discharge-adapter.db").touch()
    done = shell(*command.split())
    assert (done.status, done.out) == (2, b"")
    assert "discharge-adapter.db is an empty file and no store; move it away" in done.said
    assert (shell.folder / "discharge-adapter.db").stat().st_size == 0


def test_a_database_of_somebody_else_is_not_adopted_either(shell: Shell) -> None:
    with sqlite3.connect(shell.folder / "discharge-adapter.db") as connection:
        connection.execute("CREATE TABLE patients (name)")
    done = shell("cases")
    assert (done.status, "nothing of ours" in done.said) == (2, True)
    with sqlite3.connect(shell.folder / "discharge-adapter.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("patients",)]
    assert "nothing of ours" in shell("check").out.decode()


@pytest.mark.parametrize("command", [["receive", ADMITTED], ["migrate"]], ids=lambda c: c[0])
def test_a_command_that_takes_messages_or_prepares_makes_the_store(
    shell: Shell, command: list[object]
) -> None:
    assert shell(*command).status == 0
    assert shell("cases").status == 0


def test_check_looks_at_the_configuration_before_there_is_a_store(shell: Shell) -> None:
    done = shell("check")
    assert (done.status, done.out) == (0, b"nothing found wrong\n")
    assert "there is no store at" in done.said
    assert not [name for name in STORED if (shell.folder / name).exists()]


def test_check_finds_a_store_over_which_a_start_would_be_refused(shell: Shell, store_url: str) -> None:
    store = Store(store_url)
    migrate(store)
    with store.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    done = shell("check", store=store_url)
    assert (done.status, b"of version 9999" in done.out, b"upgrade this program" in done.out) == (
        1,
        True,
        True,
    )
    with store.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    done = shell("check", store=store_url)
    at_the_start = store.embedded
    assert (done.status == 0, b"run `discharge-adapter migrate`" in done.out) == (
        at_the_start,
        not at_the_start,
    )
    store.close()


EVERY_COMMAND = [
    *LOOKING, "check", "config", f"receive {ADMITTED}", f"convert {ADMITTED} --to fhir",
    "migrate", "restore x.db",
]  # fmt: skip


@pytest.mark.parametrize("command", EVERY_COMMAND)
@pytest.mark.parametrize("store", ["foo", "mysql://post@127.0.0.1/kept", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_that_is_no_address_is_said_in_one_sentence(shell: Shell, command: str, store: str) -> None:
    done = shell(*command.split(), store=store)
    assert (done.status, done.out) == (2, b"")
    (said,) = done.said.splitlines()
    assert said == (
        "discharge-adapter: the environment: DISCHARGE_ADAPTER_STORE: "
        "must be sqlite:///FILE, or postgresql://USER@HOST/DATABASE"
    )


def test_a_backup_of_a_broken_store_leaves_no_file_behind(shell: Shell) -> None:
    (shell.folder / "discharge-adapter.db").write_bytes(b"no database at all, but long enough " * 400)
    done = shell("backup", "today.db")
    assert (done.status, done.out) == (1, b"")
    assert "Traceback" not in done.said
    assert not list(shell.folder.glob("today.db*"))


@pytest.mark.parametrize("name", ["discharge-adapter.db", "discharge-adapter.db.turn"])
def test_a_store_that_cannot_be_opened_is_said_in_one_sentence(shell: Shell, name: str) -> None:
    shell("migrate")
    (shell.folder / name).unlink()
    (shell.folder / name).mkdir()
    for command in ("cases", "resend 1", "migrate", f"receive {ADMITTED}"):
        done = shell(*command.split())
        assert (done.status, done.out) == (1, b""), command
        (said,) = done.said.splitlines()
        assert said.startswith("discharge-adapter: the store cannot be "), command


def test_duties_are_shown_with_who_has_them(shell: Shell) -> None:
    from datetime import UTC, datetime

    from adapter.scheduler.duties import Duties
    from adapter.store import Store

    shell("receive", ADMITTED)
    assert shell("duties", "--json").json == []
    store = Store(f"sqlite:///{shell.folder}/discharge-adapter.db")
    now = datetime.now(UTC)  # noqa: TID251  # the command's own clock
    Duties(store=store, names={"clock", "poll vik"}, holder="here/1/ab", clock=lambda: now)()
    store.close()
    (first, second) = shell("duties", "--json").json
    assert (first["name"], first["holder"], first["held"]) == ("clock", "here/1/ab", True)
    assert second["name"] == "poll vik"
