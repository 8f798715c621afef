"""The running adapter tells people by itself, and asks for nothing where nobody is to be told."""

import time
from datetime import UTC, datetime
from pathlib import Path

from adapter.config import Settings
from adapter.runtime import Adapter, stations
from adapter.store import tables
from tests.mail_server import PretendMailServer
from tests.stage import region

SOLVEIG = "solveig@sogndal.example"


def adapter(folder: Path, server: PretendMailServer | None) -> Adapter:
    mail = {} if server is None else {
        "server": "127.0.0.1", "port": server.port, "security": "none", "sender": "adapter@helse.example",
        "to": [SOLVEIG], "language": "en",
    }  # fmt: skip
    settings = Settings(store=f"sqlite:///{folder}/store.db", mail=mail)
    return Adapter(stations(settings, region=region()), role="worker")


def test_a_running_adapter_mails_an_alarm_by_itself(tmp_path: Path):
    with PretendMailServer() as server:
        running = adapter(tmp_path, server)
        try:
            running.start()
            built = running.built
            now = built.clock()
            built.store.write(
                lambda tx: built.outbox.alarms.start(tx, kind="mailbox", subject="a", text="x", now=now)
            )
            until = time.monotonic() + 20
            while not server.taken and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            running.stop()
        assert "mailbox: x\n  about a, since" in server.taken[0].text
        assert {mail.to[0] for mail in server.taken} == {SOLVEIG}


def test_where_nobody_is_to_be_told_no_job_asks_and_the_clock_is_still_watched(tmp_path: Path):
    running = adapter(tmp_path, None)
    try:
        assert running.clocks is not None
        watching = {"backlog", "bring back", "compare clocks", "disk"}
        assert watching <= set(running.jobs) and not {"tell", "digest"} & set(running.jobs)
        running.duties()
        for name in watching:
            running.jobs[name][1]()
        running.clocks.look()
        with running.built.store.read() as tx:
            assert tx.execute(tables.delivery.select()).all() == []
        assert running.built.clock() <= datetime.now(UTC)  # noqa: TID251  # the real clock is wired
    finally:
        running.stop()
