"""What lies between the adapter and the systems at the far ends, and those systems.

Bytes arrive or are lost, and so are answers; a receiver may be down, too busy, wrong, slow with its receipt,
or in two minds about it. What a receiver has been given it keeps, in the order in which it first came.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapter.mappings import Head
from adapter.mappings.known import recognise
from adapter.messaging.acknowledgement import Issue, Status, Verdict
from adapter.messaging.delivery import Leased, Reply
from adapter.messaging.register import Endpoint
from adapter.transport import Mail, Memory, Outgoing

RUBBISH = b"<html><body>It works!</body></html>"
HELD = b'{"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "duplicate"}]}'


@dataclass
class Arrived:
    """One message at its receiver."""

    content: bytes
    number: int  # its place among all that came to that receiver, by its first arrival
    delivery: int
    times: int = 1
    answer: bytes | None = None  # the receiver's receipt; it says the same whenever it is asked again
    first: bytes | None = None  # what it says instead, once


@dataclass
class System:
    """The system of one party: what it has been given, how it answers, and what it still has to say."""

    name: str
    reads: str
    chance: random.Random
    ids: Callable[[], str]
    down: bool = False
    healthy: bool = False  # at the end of the day everything works
    arrived: dict[str, Arrived] = field(default_factory=dict)
    later: list[bytes] = field(default_factory=list)  # receipts that it will send by itself
    mail: dict[str, bytes] = field(default_factory=dict)  # in its folder for us, by key
    altered: list[str] = field(default_factory=list)  # ids of messages that came again as other bytes

    def take(self, message: Outgoing, now: datetime, *, receipt: bool) -> Arrived:
        """The bytes are there; whatever happens to the answer."""
        known = self.arrived.get(message.message_id)
        if known is not None:
            known.times += 1
            if known.content != message.content:
                self.altered.append(message.message_id)
            return known
        made = Arrived(message.content, len(self.arrived), message.delivery_id)
        self.arrived[message.message_id] = made
        if not receipt:
            self._receipts(made, now)
        return made

    def _receipts(self, one: Arrived, now: datetime) -> None:
        """When it will give its receipt, and which."""
        how = self.chance.choice(
            ("at once", "at once", "later", "later", "twice", "not now", "refused", "never", "contradicting")
            if self.reads == "fhir"
            else ("later", "later", "later", "twice", "refused later", "never", "contradicting")
        )
        refused = how.startswith("refused") or (how == "contradicting" and self.chance.random() < 0.5)
        status = Status.REFUSED if refused else Status.ACCEPTED
        said = self._receipt(one.content, status, now)
        if how in ("at once", "refused", "contradicting", "not now") and self.reads == "fhir":
            one.answer = said
            if how == "not now":  # and the next time it takes the message
                one.first = self._receipt(one.content, Status.NOT_NOW, now)
        elif how != "never":
            self.later.append(said)
        if how == "twice":
            self.later += [said, self._receipt(one.content, status, now)]
        if how == "contradicting":
            other = Status.ACCEPTED if refused else Status.REFUSED
            self.later.append(self._receipt(one.content, other, now))

    def _receipt(self, content: bytes, status: Status, now: datetime) -> bytes:
        dialect = recognise(Head(content=content))
        assert dialect is not None
        envelope = dialect.envelope(content, content_type=None, zone=UTC)
        issues = (Issue(code="E10", text="ugyldig"),) if status is Status.REFUSED else ()
        made = dialect.acknowledge(envelope, Verdict(status=status, at=now, id=self.ids(), issues=issues))
        assert made is not None
        return made

    # --- a folder that both sides share ---

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """The mail not yet seen; what was accepted before a crash, but not put away, is put away now."""
        for key in list(self.mail):
            one = Mail(content=self.mail[key], content_type=None, key=key, name=key)
            if memory.seen(key):
                self.done(one)
            else:
                yield one

    def done(self, mail: Mail) -> None:
        """It has been taken."""
        self.mail.pop(mail.key, None)

    def forget(self, mail: Mail) -> None:
        """Nobody may keep it."""
        self.done(mail)

    def failed(self, mail: Mail, reason: str) -> None:
        """It cannot be taken as it stands, and a person is told."""
        self.done(mail)


@dataclass
class Network:
    """The transport of every process; `carrying` is what the one at work has leased."""

    chance: random.Random
    now: Callable[[], datetime]
    systems: dict[str, System]
    trace: Callable[..., None]
    arrived: Callable[[System, Leased], None]  # told of every first arrival
    carrying: Leased | None = None
    dies: Callable[[], None] = lambda: None  # the process may die while it sends
    calm: bool = False

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One attempt."""
        system = self.systems[endpoint.name]
        leased = self.carrying
        assert leased is not None and leased.message_id == message.message_id
        what = "ok" if self.calm else self._weather(system, endpoint.transport)
        if what in ("ok", "answer lost", "rubbish"):
            new = message.message_id not in system.arrived
            one = system.take(message, self.now(), receipt=leased.kind == "receipt")
            if new:
                self.arrived(system, leased)
        else:
            one = None
        self.trace("send", leased.id, f"{leased.kind} to {system.name}", what)
        self.dies()
        return self._reply(what, one, endpoint)

    def _weather(self, system: System, transport: str) -> str:
        if system.down:
            return "refused"
        if transport == "directory":
            return self.chance.choices(("ok", "answer lost", "refused"), (8, 1, 1))[0]
        return self.chance.choices(
            ("ok", "answer lost", "rubbish", "refused", "503", "429", "400"), (24, 3, 1, 2, 3, 2, 1)
        )[0]

    def _reply(self, what: str, one: Arrived | None, endpoint: Endpoint) -> Reply:
        if what in ("refused", "answer lost"):
            return Reply(error=f"the receiver's connection: {what}", ms=1.0)
        if endpoint.transport == "directory":
            return Reply(taken=True, ms=1.0)
        if what == "rubbish":
            return Reply(status=200, taken=True, delivered=True, body=RUBBISH, ms=1.0)
        if one is None:
            wait = 30.0 if what == "429" else None
            return Reply(status=int(what), retry_after=wait, ms=1.0)
        more: dict[str, Any] = {}
        said, one.first = one.first or one.answer, None
        if said is not None:
            more = {"body": said, "content_type": "application/fhir+json"}
        elif one.times > 1 and self.chance.random() < 0.5:
            return Reply(status=409, body=HELD, content_type="application/fhir+json", ms=1.0)
        return Reply(status=200 if more else 202, taken=True, delivered=True, ms=1.0, **more)
