"""What each step of one message costs, one thread, in milliseconds: so that the next limit is visible."""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapter.config import Settings
from adapter.fhir.notices import notice_in, subject_in
from adapter.fhir.validation import validate
from adapter.fhir.wire import parse
from adapter.incoming import Incoming
from adapter.mappings.known import named
from adapter.messaging.acknowledgement import Status
from adapter.messaging.delivery import Reply
from adapter.simulator.load import Load
from adapter.simulator.receivers import receipt
from tests.rig import SENDER
from tests.stage import FakePost, address_of, stage, taken


def cost_per_step(count: int = 400) -> dict[str, object]:
    """Milliseconds a message for every step, over `count` different messages of about 6 kB."""
    now = datetime.now(UTC)  # noqa: TID251  # the bench's own clock
    with tempfile.TemporaryDirectory() as folder:
        made = stage(f"sqlite:///{folder}/store.db", lambda: now, settings=Settings())
        register = made.built.register
        moulds = Load(
            url="http://127.0.0.1/",
            token="",
            sender=SENDER,
            receivers=(address_of(register, "sogndal"), address_of(register, "luster")),
            at=now,
            count=count,
        ).moulds()
        contents = [moulds.content(n) for n in range(count)]
        bundles = [parse(c) for c in contents]
        zone = made.built.inbox.zone
        figures: dict[str, object] = {"steps: size of a message (bytes)": sum(map(len, contents)) // count}

        def timed(name: str, work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
            began = time.perf_counter()
            results = [work(item) for item in items]
            figures[f"steps: {name} (ms)"] = round((time.perf_counter() - began) * 1000 / len(items), 3)
            return results

        validate(bundles[0])
        timed("parse JSON", parse, contents)
        timed("validate", validate, bundles)
        timed("notice and subject", lambda b: (notice_in(b, zone=zone), subject_in(b)), bundles)
        inbox, store = made.built.inbox, made.built.store
        prepared = timed("read = all of these", lambda c: inbox.read(Incoming(content=c)), contents)
        begun = time.perf_counter()
        for future in [store.submit(lambda tx, p=p: inbox.take(tx, p, now)) for p in prepared]:
            future.result()
        figures["steps: take, commits shared (ms)"] = round((time.perf_counter() - begun) * 1000 / count, 3)
        begun = time.perf_counter()
        leased = store.write(lambda tx: made.outbox.claim(tx, {"sogndal": count, "luster": count}, now))
        figures["steps: claim (ms)"] = round((time.perf_counter() - begun) * 1000 / max(1, len(leased)), 3)
        answers = [receipt("sogndal", parse(item.content), Status.ACCEPTED, now) for item in leased]
        replies = timed(
            "read the receipt", lambda a: inbox.read(Incoming(content=a, channel="reply")), answers
        )
        assert all(r.reading is not None and r.reading.acknowledgement is not None for r in replies)
        reply = Reply(status=200, taken=True, delivered=True, ms=1.0)
        begun = time.perf_counter()

        def settle(tx: Any, n: int) -> None:
            made.outbox.record(tx, leased[n], reply, now, receipted=True)
            inbox.reply(tx, replies[n], leased[n], now)

        for future in [store.submit(lambda tx, n=n: settle(tx, n)) for n in range(len(leased))]:
            future.result()
        figures["steps: record and receipt (ms)"] = round(
            (time.perf_counter() - begun) * 1000 / len(leased), 3
        )
        timed(
            "write own FHIR anew",
            lambda b: named("fhir").write(b, dialect="fhir", addressing=_addressing(b)),
            bundles,
        )
        store.close()
        assert isinstance(made.post, FakePost) and taken and Path(folder).exists()
        return figures


def _addressing(bundle: dict[str, Any]) -> Any:
    from adapter.mappings import Addressing
    from adapter.messaging.envelope import HER, Address

    return Addressing(
        message_id=bundle["entry"][0]["resource"]["id"],
        transmission_id=bundle["id"],
        sender=SENDER,
        receiver=Address(identifiers=((HER, "8143551"),), name="Sogndal kommune"),
    )
