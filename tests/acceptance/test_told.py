"""Subscribers are told of whatever has been stored, however the adapter dies."""

import os
import signal
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from adapter.discharge.notices import Notice, NoticeKind
from adapter.fhir.notices import message_bundle
from adapter.fhir.wire import to_json
from tests.rig import SENDER, TOKEN, Rig, receiver_address, rig
from tests.stage import SYNNOVE
from tests.subscriber import subscriber, wanted

SIGNED_IN = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}
DIES_AFTER_A_COMMIT = ("-m", "tests.killable", "0")


def push(made: Rig) -> int | None:
    """A notice of the hospital's to the first municipality; None where the adapter died over it."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  # the sender's own clock
    notice = Notice(
        kind=NoticeKind.CARE_NEEDS,
        message_id=str(uuid.uuid4()),
        sender=SENDER.token,
        occurred=now,
        sent_at=now,
    )
    bundle = message_bundle(
        notice,
        subject=SYNNOVE,
        sender=SENDER,
        receivers=[receiver_address(0)],
        hospital=SENDER,
        transmission_id=str(uuid.uuid4()),
    )
    try:
        return requests.post(made.url, data=to_json(bundle), headers=SIGNED_IN, timeout=10).status_code
    except requests.RequestException:
        return None


def until(what: Callable[[], Any], seconds: float = 25.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.05)


@pytest.mark.slow
def test_what_is_stored_is_told_whatever_kills_the_adapter(tmp_path: Path) -> None:
    with subscriber() as told, rig(tmp_path, names=("laerdal",), settings='lease = "PT7S"') as made:
        made.told, made.timeout = (told.url,), 1
        made.start()
        address = made.url.replace("$process-message", "Subscription")
        asked = requests.post(address, json=wanted(told, "case-changed"), headers=SIGNED_IN, timeout=10)
        assert asked.status_code == 201, asked.text
        until(lambda: told.kinds == ["handshake"])
        assert push(made) == 200
        until(lambda: 1 in told.numbers)
        made.kill()

        made.wrapper, made.dies = DIES_AFTER_A_COMMIT, True
        made.start()
        assert push(made) is None  # between the commit and everything after it
        assert made.adapter is not None
        assert made.adapter.wait(10) == -signal.SIGKILL
        made.wrapper, made.dies = ("-m", "adapter.cli"), False
        assert 2 not in told.numbers
        made.start()
        until(lambda: 2 in told.numbers)

        victim = made.adapter.pid
        told.on_heard = lambda: os.kill(victim, signal.SIGKILL)
        push(made)  # between sending and recording
        assert made.adapter.wait(10) == -signal.SIGKILL
        told.on_heard = lambda: None
        made.start()
        assert push(made) == 200
        until(lambda: 4 in told.numbers)
        assert sorted(set(told.numbers)) == [1, 2, 3, 4]
        assert told.numbers == sorted(told.numbers)  # repeated, and never out of order
        again = [one.headers["x-request-id"] for one in told.taken if one.status["type"] != "handshake"]
        assert len(set(again)) == 4
        endpoint = f"subscription/{asked.json()['id']}"
        assert made.cli("endpoints", "pause", endpoint).returncode == 0
        assert made.cli("endpoints", "resume", endpoint).returncode == 0
        assert made.cli("endpoints", "pause", f"{endpoint}0").returncode == 2
        checked = made.cli("check", "--journal")
        assert checked.returncode == 0, checked.stdout
