"""What partners change in the plans that were put on their FHIR servers, read back as their next version.

Each plan is looked at again with `If-None-Match`; only where an ETag has moved is the whole graph read, what
is new in it included. It is bounded: so many requests in one poll, and the next goes on with the next plan.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from time import monotonic
from time import sleep as wait_in_thread
from typing import Any, Protocol

from adapter.errors import MailboxError
from adapter.fhir.bundles import Resource
from adapter.fhir.pushing import MASTERS, Placed, Watched, digest, in_our_words, targets
from adapter.messaging.register import Endpoint
from adapter.phrases import Phrase, phrase
from adapter.transport import Mail, Memory
from adapter.transport.fhir_client import JSON, Failed, Found, Server
from adapter.transport.fhir_listing import parsed_instant
from adapter.transport.wire import Wire

MOST_PLANS = 50
"""Plans that are looked at in one poll."""

MOST_READ = 500
"""Requests of one poll."""

MOST_NEW = 100
"""Resources of a plan that somebody has added there."""

_POLL = 120.0  # seconds that one poll may take


class Pulls(Protocol):
    """What the store knows of the plans that were put there; `runtime` wires it."""

    def watched(self, endpoint: str, *, after: int, most: int) -> list[Watched]: ...

    def name_of(self, endpoint: str, theirs: str) -> str: ...

    def message(
        self, endpoint: str, seen: Watched, theirs: Mapping[str, Resource], when: datetime | None
    ) -> bytes | None: ...

    def pulled(self, endpoint: str, plan: str, found: Sequence[Placed], content: bytes) -> bool: ...


class _Enough(Exception):
    """This poll has asked for as much as it may."""


class PlansMailbox:
    """Looks at the plans on the server of a `fhir-plans` endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        pulls: Pulls,
        *,
        most_read: int = MOST_READ,
        sleep: Callable[[float], None] = wait_in_thread,
    ) -> None:
        self._endpoint = endpoint
        self._pulls = pulls
        self._most_read = most_read
        self._sleep = sleep
        self._wire = Wire()
        self._after = 0  # the row of the plan that was looked at last
        self._asked = 0
        self._handed_on: dict[str, tuple[str, list[Placed], bytes]] = {}

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """Their next version of each plan that has changed. Raises MailboxError for what cannot be read."""
        self._asked = 0
        server = Server(
            endpoint=self._endpoint, wire=self._wire, sleep=self._sleep, until=monotonic() + _POLL
        )
        faults: list[Phrase] = []
        plans = self._pulls.watched(self._endpoint.name, after=self._after, most=MOST_PLANS)
        for one in plans:
            try:
                mail = self._changed(server, one, memory)
            except _Enough:
                break
            except Failed as failure:
                faults.append(failure.reply.said)
                mail = None
            self._after = one.row
            if mail is not None:
                yield mail
            if len(faults) == 3:
                break  # it is not to be had now
        else:
            if len(plans) < MOST_PLANS:
                self._after = 0  # and from the beginning again
        if faults:
            faults = list(dict.fromkeys(faults))
            raise MailboxError(
                phrase("mailbox {mailbox}: {faults}", mailbox=self._endpoint.name, faults=faults)
            )

    def done(self, mail: Mail) -> None:
        """What was taken is what stands at both ends now."""
        plan, found, content = self._handed_on.pop(mail.key)
        self._pulls.pulled(self._endpoint.name, plan, found, content)

    def forget(self, mail: Mail) -> None:
        """Nothing is changed on the server."""
        self._handed_on.pop(mail.key, None)

    def failed(self, mail: Mail, reason: str) -> None:
        """It is held, or refused, as any message: nothing is changed on the server."""
        self._handed_on.pop(mail.key, None)

    # --- one plan ---

    def _changed(self, server: Server, plan: Watched, memory: Memory) -> Mail | None:
        parts = [one for one in plan.placed if one.theirs and one.name.partition("/")[0] not in MASTERS]
        moved = {one.name: found for one in parts if (found := self._moved(server, one)) is not None}
        back = {one.theirs: one.name for one in plan.placed if one.theirs is not None}
        if not any(self._says_other(server, one, moved, back) for one in parts) or plan.name not in {
            one.name for one in parts
        }:
            return None
        whole = {one.name: moved.get(one.name) or self._whole(server, one) for one in parts}
        there = {name: one for name, one in whole.items() if one is not None}
        if plan.name not in there:
            return None  # deleted there: the next version that is put finds out, and a person decides
        graph = self._with_new(server, there, back)
        content = self._pulls.message(self._endpoint.name, plan, graph, _latest(there.values()))
        if content is None:
            return None
        placed = [
            Placed(name=name, their_id=one.their_id, etag=one.etag, hash=digest(graph[name]))
            for name, one in there.items()
        ]
        said = b"".join(digest(graph[name]) for name in sorted(graph))
        key = f"{plan.name}/{plan.number}/{sha256(said).hexdigest()[:32]}"
        if memory.seen(key):
            self._pulls.pulled(self._endpoint.name, plan.name, placed, content)
            return None
        self._handed_on[key] = (plan.name, placed, content)
        return Mail(content=content, content_type=JSON, key=key, name=plan.name)

    def _moved(self, server: Server, one: Placed) -> Found | None:
        """What stands there now, where its ETag is another; None where it is the same, or gone."""
        return self._read(server, str(one.theirs), one.etag)

    def _whole(self, server: Server, one: Placed) -> Found | None:
        return self._read(server, str(one.theirs), None)

    def _read(self, server: Server, theirs: str, known: str | None) -> Found | None:
        if self._asked >= self._most_read:
            raise _Enough
        self._asked += 1
        try:
            return server.read(theirs, known)
        except Failed as failure:
            if failure.reply.status in (404, 410):
                return None
            raise

    def _says_other(
        self, server: Server, one: Placed, moved: Mapping[str, Found], back: Mapping[str, str]
    ) -> bool:
        """Whether what moved says something else than what was put, or what we last tried to put."""
        found = moved.get(one.name)
        if found is None:
            return False
        said = digest(in_our_words(found.content, one.name, back, server.base))
        return said not in (one.hash, one.trying)

    def _with_new(self, server: Server, found: dict[str, Found], back: dict[str, str]) -> dict[str, Resource]:
        """The graph in our words, with what somebody there has added to it; `found` grows by that."""
        waiting, missing, new = list(found), set[str](), 0
        while waiting:
            for target in targets(found[waiting.pop()].content):
                theirs = target.removeprefix(f"{server.base}/").partition("/_history/")[0]
                kind, _, their_id = theirs.partition("/")
                if (
                    theirs in back
                    or theirs in missing
                    or not (kind.isalpha() and their_id)
                    or "/" in their_id
                ):
                    continue
                one = self._read(server, theirs, None) if new < MOST_NEW else None
                new += 1
                if one is None:
                    missing.add(theirs)
                    continue
                name = self._pulls.name_of(self._endpoint.name, theirs)
                back[theirs] = name
                found[name] = one
                waiting.append(name)
        words = {n: in_our_words(one.content, n, back, server.base) for n, one in found.items()}
        return {name: _leading_out(one, missing, server.base) for name, one in words.items()}


def _latest(found: Iterable[Found]) -> datetime | None:
    """When any of it was last changed there."""
    told = (parsed_instant((one.content.get("meta") or {}).get("lastUpdated")) for one in found)
    return max((at for at in told if at is not None), default=None)


def _leading_out(found: Any, missing: set[str], base: str) -> Any:
    """References to what stays there say where it is."""
    if isinstance(found, list):
        return [_leading_out(item, missing, base) for item in found]
    if not isinstance(found, dict):
        return found
    made = {key: _leading_out(value, missing, base) for key, value in found.items()}
    target = made.get("reference")
    if isinstance(target, str) and target.partition("/_history/")[0] in missing:
        return made | {"reference": f"{base}/{target}"}
    return made
