"""Care plans put on a partner's FHIR server by conditional requests, never over somebody's change.

Before anything is put, what stands there is looked at (`If-None-Match`). Where somebody has changed the plan
there, and it has changed here too, nothing is put and a person decides. Else it goes as one transaction where
the server offers them, resource by resource in order where it does not; each with the ETag that was seen last
(`If-Match`) or, when new, under our name (`If-None-Exist`), so that an answer that was lost does no harm.

tenacity repeats a request within the attempt, the outbox the attempt. Requests go to the endpoint's own base.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from re import fullmatch
from time import monotonic
from time import sleep as wait_in_thread
from typing import Any, Protocol

from adapter.errors import MessageError, NotFound
from adapter.fhir.bundles import Resource
from adapter.fhir.pushing import (
    MASTERS,
    RESOURCE_SYSTEM,
    Placed,
    Plan,
    criterion,
    digest,
    etag_of,
    for_them,
    in_order,
    in_our_words,
    leads_nowhere,
    search_of_master,
    transaction,
    urn,
)
from adapter.fhir.wire import to_json
from adapter.messaging.delivery import Reply
from adapter.messaging.register import PLAN_ATTEMPT, Endpoint
from adapter.phrases import Phrase, phrase
from adapter.transport import Outgoing
from adapter.transport.fhir_client import ID, LARGEST_PLAN, Failed, Found, Server, parsed
from adapter.transport.wire import Wire

MOST_RESOURCES = 500
"""Resources of a plan: a server that takes a thousand in one transaction is not to be counted on."""

_LOOKS = 2  # how often an attempt begins anew where somebody wrote meanwhile


class Book(Protocol):
    """What the store knows of plans and of what was put where; `runtime` wires it."""

    def plan(self, delivery_id: int) -> Plan:
        """The plan that a delivery carries. NotFound where there is none in it, or its bytes are gone."""
        ...

    def placed(self, endpoint: str, names: Iterable[str]) -> dict[str, Placed]:
        """What is known of these resources there."""
        ...

    def place(self, endpoint: str, plan: Plan, found: Iterable[Placed]) -> None:
        """Remember it."""
        ...

    def stands(self, endpoint: str, plan: Plan) -> None:
        """This version stands there now, with what has changed there since; no conflict is left."""
        ...

    def overwritable(self, endpoint: str, plan: Plan) -> Mapping[str, str | None]:
        """What a person lets us overwrite: the ETag seen then, by name; None of what is deleted there."""
        ...

    def conflict(
        self, endpoint: str, plan: Plan, theirs: Mapping[str, str | None], when: str | None, delivery_id: int
    ) -> Phrase:
        """Note that it has changed at both ends; the sentence for people, without anything of the patient."""
        ...


class _Again(Exception):
    """Somebody wrote between our look and our putting."""


@dataclass(kw_only=True)
class _Attempt:
    """One plan on its way to one server."""

    book: Book
    server: Server
    plan: Plan
    delivery_id: int
    placed: dict[str, Placed] = field(default_factory=dict)
    changed_there: dict[str, str | None] = field(default_factory=dict)  # ETag by name; None: deleted
    when: str | None = None  # the latest of those changes, as the server says

    @property
    def endpoint(self) -> str:
        return self.server.endpoint.name

    @property
    def parts(self) -> list[str]:
        """All but the masters, in order."""
        return [n for n in in_order(self.plan.graph) if n.partition("/")[0] not in MASTERS]

    @property
    def ways(self) -> dict[str, str]:
        """Their names by ours."""
        return {name: one.theirs for name, one in self.placed.items() if one.theirs is not None}

    def run(self, transactions: Callable[[Server], bool]) -> Reply:
        """Look, judge, put. Raises Failed, or _Again where somebody wrote meanwhile."""
        self.placed = self.book.placed(self.endpoint, self.plan.graph)
        self.changed_there, self.when = {}, None
        try:
            self._look()
            to_put = self._to_put()
            if to_put and self.changed_there:
                return self._conflict()
            if to_put:
                self._masters()
                self._put(to_put, transactions)
        finally:
            self.book.place(self.endpoint, self.plan, self.placed.values())
        self.book.stands(self.endpoint, self.plan)
        return Reply(status=200, taken=True, delivered=True, final=True, plan=self.plan.name)

    # --- looking ---

    def _look(self) -> None:
        """What stands there of all that we know, or have tried, to be there."""
        overwritable = self.book.overwritable(self.endpoint, self.plan)
        for name in self.parts:
            one = self.placed.get(name)
            if one is not None:
                self._look_at(one, overwritable)

    def _look_at(self, one: Placed, overwritable: Mapping[str, str | None]) -> None:
        try:
            found = (
                self.server.read(one.theirs, one.etag)
                if one.theirs is not None
                else self.server.find(one.name)
            )
        except Failed as failure:
            if failure.reply.status not in (404, 410) or one.theirs is None:
                raise
            self._deleted(one, overwritable)
            return
        if found is not None:
            self._judge(one, found, overwritable)

    def _deleted(self, one: Placed, overwritable: Mapping[str, str | None]) -> None:
        if one.name in overwritable and overwritable[one.name] is None:
            self.placed[one.name] = Placed(name=one.name)  # a person wants it made anew
        else:
            self.changed_there[one.name] = None

    def _judge(self, one: Placed, found: Found, overwritable: Mapping[str, str | None]) -> None:
        """Whether somebody has changed it there; what we tried ourselves, or would put, is no change."""
        self.placed[one.name] = replace(one, their_id=found.their_id)
        theirs = digest(in_our_words(found.content, one.name, self._back(), self.server.base))
        if theirs == digest(self.plan.graph[one.name]) or theirs == one.hash:
            made = replace(one, their_id=found.their_id, etag=found.etag, hash=theirs, trying=None)
            whole = not _refers_by_name(found.content)
            self.placed[one.name] = made if whole else replace(made, hash=None)
        elif theirs == one.trying:
            self.placed[one.name] = replace(one, their_id=found.their_id, etag=found.etag, hash=theirs)
        elif found.etag is not None and overwritable.get(one.name) == found.etag:
            self.placed[one.name] = replace(one, their_id=found.their_id, etag=found.etag, hash=None)
        else:
            self.changed_there[one.name] = found.etag
            self.when = max(filter(None, (self.when, _time_of(found.content))), default=None)

    def _back(self) -> dict[str, str]:
        return {theirs: name for name, theirs in self.ways.items()}

    def _to_put(self) -> list[str]:
        """What is not there as it is here; nothing that is new there, unless something of ours is new too."""
        return [
            name
            for name in self.parts
            if name not in self.placed or self.placed[name].hash != digest(self.plan.graph[name])
        ]

    def _conflict(self) -> Reply:
        told = self.book.conflict(self.endpoint, self.plan, self.changed_there, self.when, self.delivery_id)
        return Reply(status=412, error=told, plan=self.plan.name, conflict=True)

    # --- putting ---

    def _masters(self) -> None:
        """Who is who there: found by an identifier of their own, else by our name, else created."""
        for name in in_order(self.plan.graph):
            kind = name.partition("/")[0]
            known = self.placed.get(name)
            if kind not in MASTERS or (known is not None and known.their_id is not None):
                continue
            resource = self.plan.graph[name]
            search = search_of_master(resource)
            found = self.server.master(kind, search) if search is not None else None
            if found is None:
                self._create(name)
            else:
                self.placed[name] = Placed(name=name, their_id=found.their_id, etag=found.etag)

    def _put(self, names: list[str], transactions: Callable[[Server], bool]) -> None:
        """All of it, as a whole where the server can; what is tried is written down first."""
        for name in names:
            one = self.placed.get(name) or Placed(name=name)
            self.placed[name] = replace(one, trying=digest(self.plan.graph[name]))
        self.book.place(self.endpoint, self.plan, self.placed.values())
        if transactions(self.server):
            self._together(names)
            return
        for name in names:
            self._one(name)
        for name in [n for n in names if self.placed[n].hash is None]:
            self._one(name)  # it refers to what had no id there when it was put first

    def _together(self, names: list[str]) -> None:
        ways = {name: urn(name) for name in names} | self.ways
        entries = [(for_them(self.plan.graph[name], name, ways), self.placed[name]) for name in names]
        body = self._bounded(transaction(entries))
        reply = self.server.call("POST", "", body, ok=(409, 412))
        if not reply.taken:
            raise _Again
        answers = _responses(reply, len(names))
        unsure: dict[str, str | None] = {}
        for name, told in zip(names, answers, strict=True):
            one = self.placed[name]
            where = _their_id(told.get("location"), name) or one.their_id
            matched = one.theirs is None and not str(told.get("status", "")).startswith("201")
            if where is None or matched:
                unsure[name] = where
            else:
                self._stands(name, where, told.get("etag"), whole=True)
        for name, where in unsure.items():
            self._adopt(name, where)

    def _one(self, name: str) -> None:
        one = self.placed[name]
        if one.theirs is None:
            self._create(name)
            return
        ways = self.ways
        body = self._bounded(for_them(self.plan.graph[name], name, ways) | {"id": one.their_id})
        reply = self.server.call("PUT", one.theirs, body, ok=(404, 409, 410, 412), if_match=one.etag)
        if not reply.taken:
            raise _Again
        whole = not leads_nowhere(self.plan.graph[name], ways, self.plan.graph)
        self._stands(name, str(one.their_id), reply.etag or _etag_in(reply), whole=whole)

    def _create(self, name: str) -> None:
        ways = self.ways
        body = self._bounded(for_them(self.plan.graph[name], name, ways))
        kind = name.partition("/")[0]
        reply = self.server.call("POST", kind, body, ok=(409, 412), if_none_exist=criterion(name))
        if not reply.taken:
            raise _Again
        where = _their_id(reply.location, name) or _id_in(reply, name)
        if where is None or reply.status != 201:
            self._adopt(name, where)
            return
        whole = not leads_nowhere(self.plan.graph[name], ways, self.plan.graph)
        self._stands(name, where, reply.etag or _etag_in(reply), whole=whole)

    def _adopt(self, name: str, where: str | None) -> None:
        """It was there already under our name, or the server did not say where: look at it by itself."""
        kind = name.partition("/")[0]
        found = self.server.read(f"{kind}/{where}", None) if where is not None else self.server.find(name)
        if found is None:
            unseen = phrase("the server does not show the {kind} that it has taken", kind=kind)
            raise Failed(Reply(status=None, error=unseen))
        one = self.placed.get(name) or Placed(name=name)
        if kind in MASTERS:
            self.placed[name] = Placed(name=name, their_id=found.their_id, etag=found.etag)
            return
        self._judge(one, found, {})
        if name in self.changed_there:
            raise _Again  # now that it is known to be there, the next look judges it

    def _stands(self, name: str, their_id: str, etag: Any, *, whole: bool) -> None:
        """The server has it as it is here; `whole` unless it still refers to something by our name."""
        said = digest(self.plan.graph[name])
        if not isinstance(etag, str):
            etag = None
        self.placed[name] = Placed(
            name=name,
            their_id=their_id,
            etag=etag,
            hash=said if whole else None,
            trying=None if whole else said,
        )

    def _bounded(self, resource: Resource) -> bytes:
        body = to_json(resource)
        if len(body) > LARGEST_PLAN:
            error = phrase(
                "the plan is {size} MiB, more than is put on a server; take attachments out of it",
                size=round(len(body) / 1_048_576),
            )
            raise Failed(Reply(status=413, error=error))
        return body


class FhirPlans:
    """Puts the plan that a message carries on the server whose base URL is the endpoint's address."""

    def __init__(self, book: Book, *, sleep: Callable[[float], None] = wait_in_thread) -> None:
        self._book = book
        self._sleep = sleep
        self._wire = Wire()
        self._offers: dict[str, bool] = {}  # by endpoint, for as long as the process lives

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One attempt; `final` where the plan stands there, `conflict` where a person must decide."""
        try:
            plan = self._book.plan(message.delivery_id)
        except (NotFound, MessageError) as problem:
            return Reply(status=422, error=problem.said)
        if plan.overtaken:
            return Reply(status=200, taken=True, delivered=True, final=True)
        if len(plan.graph) > MOST_RESOURCES:
            error = phrase(
                "the plan has more than {most} resources; leave out what is not of it", most=MOST_RESOURCES
            )
            return Reply(status=413, error=error)
        started = monotonic()
        try:
            reply = self._pushed(plan, endpoint, message.delivery_id, started)
        except Failed as failure:
            self._offers.pop(endpoint.name, None)  # perhaps it offers something else by now
            reply = failure.reply
        return replace(reply, ms=(monotonic() - started) * 1000)

    def _pushed(self, plan: Plan, endpoint: Endpoint, delivery_id: int, started: float) -> Reply:
        until = started + endpoint.timeout * (PLAN_ATTEMPT - 1)
        server = Server(endpoint=endpoint, wire=self._wire, sleep=self._sleep, until=until)
        for _ in range(_LOOKS):
            try:
                attempt = _Attempt(book=self._book, server=server, plan=plan, delivery_id=delivery_id)
                return attempt.run(self._transactions)
            except _Again:
                continue
        error = phrase("somebody writes there at the same time; the next attempt looks again")
        return Reply(error=error, ours=True)

    def _transactions(self, server: Server) -> bool:
        name = server.endpoint.name
        if name not in self._offers:
            self._offers[name] = server.transactions()
        return self._offers[name]


# --- answers ----------------------------------------------------------------------------------------------


def _responses(reply: Reply, count: int) -> list[Resource]:
    """What a transaction says of each entry; nothing of each where it says it in no way that R4 knows."""
    found = parsed(reply)
    entries = found.get("entry") if isinstance(found, dict) else None
    if not isinstance(entries, list) or len(entries) != count:
        return [{} for _ in range(count)]
    told = [one.get("response") if isinstance(one, dict) else None for one in entries]
    return [one if isinstance(one, dict) else {} for one in told]


def _their_id(location: Any, name: str) -> str | None:
    """The id in a Location of the same type; only the id is taken of it, the address is never used."""
    if not isinstance(location, str):
        return None
    words = location.partition("/_history/")[0].rstrip("/").split("/")
    kind = name.partition("/")[0]
    if len(words) < 2 or words[-2] != kind or not fullmatch(ID, words[-1]):
        return None
    return words[-1]


def _id_in(reply: Reply, name: str) -> str | None:
    found = parsed(reply) if reply.body else None
    if not isinstance(found, dict) or found.get("resourceType") != name.partition("/")[0]:
        return None
    told = found.get("id")
    return told if isinstance(told, str) and fullmatch(ID, told) else None


def _etag_in(reply: Reply) -> str | None:
    found = parsed(reply) if reply.body else None
    return etag_of(found) if isinstance(found, dict) else None


def _refers_by_name(content: Resource) -> bool:
    waiting: list[Any] = [value for key, value in content.items() if key not in ("identifier", "meta")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            logical = value.get("identifier")
            if isinstance(logical, dict) and logical.get("system") == RESOURCE_SYSTEM:
                return True
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def _time_of(content: Resource) -> str | None:
    told = (content.get("meta") or {}).get("lastUpdated")
    return told if isinstance(told, str) and fullmatch(r"[0-9T:.Z+-]{10,40}", told) else None
