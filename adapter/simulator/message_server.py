"""A national message server on loopback: it follows the OpenAPI of NHN EDI 2.0 ("MSH API v2") over real HTTP.

Whoever it serves can post, fetch, give receipts and ask how a message stands; who may act for which HER-id is
checked. It makes the AppRec document of a receipt that was given in JSON. Faults are ordered one by one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import orjson

from adapter.simulator.authorization import TOKEN, Authorization, Denied
from adapter.simulator.http import Answer, Listener, Request
from adapter.simulator.message_forms import (
    Business,
    Invalid,
    Query,
    opened,
    posted,
    query,
    receipt,
    receipt_document,
    whole_number,
    with_offset,
)

JSON = "application/json"


class Ordered(StrEnum):
    """What the server does wrong when somebody has ordered it."""

    ERROR = "error"  # 500, nothing done
    BUSY = "busy"  # 503, nothing done
    FORBIDDEN = "forbidden"  # 403, nothing done
    INVALID = "invalid"  # 400, nothing done
    RESET = "reset"  # the connection breaks, nothing done
    LOST = "lost"  # it is done, and the connection breaks before the answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault, for the first request of that method with `part` in its path."""

    kind: Ordered
    method: str
    part: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request, and how it was answered."""

    method: str
    path: str  # with its query
    status: int
    headers: dict[str, str] = field(repr=False)


@dataclass(kw_only=True)
class AtReceiver:
    """How a message stands with one receiver."""

    state: str = "Unconfirmed"
    read: bool = False
    receipt: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


@dataclass(kw_only=True)
class Held:
    """A message that the server has."""

    id: str
    business: Business
    receivers: dict[int, AtReceiver]


Operation = Callable[[str, Request, Sequence[str], Query], Answer]
"""An operation for a client: the request, the path after `Messages`, the query."""


class _Failure(Exception):
    def __init__(self, status: int, error: str, code: int = 0, invalid: Sequence[str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.code = code
        self.invalid = list(invalid) if invalid is not None else None


class PretendServer:
    """Messages in memory behind real HTTP; `parties` says which client acts for which HER-id."""

    def __init__(self, *, clock: Callable[[], datetime], new_id: Callable[[], str], port: int = 0) -> None:
        self.port = port
        self.authorization = Authorization(clock=clock)
        self.parties: dict[int, str] = {}
        self.holds: dict[str, Held] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.away: set[int] = set()  # HER-ids whose system does not confirm
        self.rejecting: set[int] = set()  # HER-ids that nothing can be delivered to
        self.more: dict[str, Any] = {}  # properties that no description of the interface has
        self.spoilt: set[str] = set()  # ids of messages whose document is not given
        self._clock = clock
        self._new_id = new_id
        self._requests = count(1)
        self._listener = Listener(self.handle)

    @property
    def address(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return self.address + TOKEN

    async def start(self) -> None:
        """Listen; port 0 becomes a free one."""
        self.port = await self._listener.open(self.port)

    async def stop(self) -> None:
        """Listen no more."""
        self._listener.close()

    # --- for those who look at it, or play its parts ---

    def serve(self, client_id: str, public_key: Any, *her_ids: int) -> None:
        """Let a client in, to act for these HER-ids."""
        self.authorization.clients[client_id] = public_key
        self.parties |= dict.fromkeys(her_ids, client_id)

    def order(self, kind: Ordered, method: str = "POST", part: str = "") -> None:
        """Let the next such request go wrong."""
        self.faults.append(Fault(kind=kind, method=method, part=part))

    def settle(self, id: str, her_id: int, state: str) -> None:
        """The receiver's system has confirmed, or it has turned out that it never will."""
        self.holds[id].receivers[her_id].state = state

    def give(self, id: str, her_id: int, status: str, *errors: dict[str, Any]) -> str:
        """A receiver elsewhere gives its receipt; the id of the receipt's own message."""
        return self._receipted(self.holds[id], her_id, status, list(errors)).id

    def unread(self, her_id: int) -> list[Held]:
        """What waits for a HER-id."""
        return [
            one for one in self.holds.values() if her_id in one.receivers and not one.receivers[her_id].read
        ]

    def requests(self, method: str, part: str = "") -> list[Asked]:
        """The requests of that method with `part` in their path."""
        return [one for one in self.asked if one.method == method and part in one.path]

    # --- HTTP ---

    def handle(self, request: Request) -> Answer:
        """One request, faults included."""
        fault = next((f for f in self.faults if f.method == request.method and f.part in request.path), None)
        if fault is not None:
            self.faults.remove(fault)
        answer = self._faulty(fault) if fault is not None else None
        answer = answer or self._answer(request)
        if fault is not None and fault.kind is Ordered.LOST:
            answer = Answer(status=answer.status, reset=True)
        said = Asked(method=request.method, path=request.path, status=answer.status, headers=request.headers)
        self.asked.append(said)
        return answer

    def _faulty(self, fault: Fault) -> Answer | None:
        match fault.kind:
            case Ordered.ERROR:
                return self._error(_Failure(500, "An unknown error occurred"))
            case Ordered.BUSY:
                return self._error(_Failure(503, "Busy"))
            case Ordered.FORBIDDEN:
                return self._error(_Failure(403, "Not authorized for HerId(s): 1234"))
            case Ordered.INVALID:
                return self._error(
                    _Failure(400, "Model validation error occurred", 1000, ["GenDate lies ahead"])
                )
            case Ordered.RESET:
                return Answer(status=500, reset=True)
            case Ordered.LOST:
                return None

    def _answer(self, request: Request) -> Answer:
        parts = urlsplit(request.path)
        if parts.path == TOKEN:
            return self.authorization.token(request, self.token_url)
        try:
            return self._routed(request, parts.path, query(parse_qs(parts.query, keep_blank_values=True)))
        except _Failure as failure:
            return self._error(failure)
        except Invalid as invalid:
            return self._error(_Failure(400, "Model validation error occurred", 1000, [str(invalid)]))
        except Denied as denied:
            return self.authorization.refusal(denied, self.address + parts.path)

    def _routed(self, request: Request, path: str, asked: Query) -> Answer:
        steps = tuple(path.strip("/").split("/"))
        operations = self._operations(steps)
        if not operations:
            raise _Failure(404, "There is nothing at this address")
        if request.method not in operations:
            return Answer(status=405, headers={"Allow": ", ".join(operations)})
        client = self.authorization.admit(request, self.address + path)
        headers = request.headers
        if headers.get("api-version") != "2" or not headers.get("nhn-source-system"):
            raise Invalid("api-version must be 2, and nhn-source-system must be there")
        return operations[request.method](client, request, steps[1:], asked)

    def _operations(self, steps: Sequence[str]) -> "dict[str, Operation]":
        """What can be done at a path, by method."""
        match steps:
            case ["Messages"]:
                return {"GET": self._list, "POST": self._post}
            case ["Messages", _]:
                return {"GET": self._message}
            case ["Messages", _, "business-document"]:
                return {"GET": self._document}
            case ["Messages", _, "status"]:
                return {"GET": self._status}
            case ["Messages", _, "apprec"]:
                return {"GET": self._receipts}
            case ["Messages", _, "apprec", _]:
                return {"POST": self._give}
            case ["Messages", _, "read", _]:
                return {"PUT": self._read}
        return {}

    # --- operations ---

    def _list(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        self._must_act_for(client, asked.receivers())
        found = []
        for her_id in asked.receivers():
            for one in self.unread(her_id):
                if asked.wants(one.business):
                    found.append((one, her_id))
        found.sort(key=lambda pair: pair[0].business.issued, reverse=asked.descending)
        shown = [self._shown(one, her_id, metadata=asked.metadata) for one, her_id in found[: asked.most]]
        return self._json(200, shown)

    def _post(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        form = posted(request)
        business = opened(form.content)
        if business.of is not None:
            raise Invalid("an AppRec is posted to /Messages/{id}/apprec/{appRecSenderHerId}")
        self._must_act_for(client, (business.sender,))
        strangers = set(form.subset) - set(business.receivers)
        if strangers:
            raise Invalid("receiverHerIdsSubset names who is no receiver of the document")
        return self._created(self._keep(business, form.subset))

    def _message(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        held = self._held(client, steps[0])
        mine = (one for one in held.receivers if self.parties.get(one) == client)
        return self._json(200, self._shown(held, next(mine, next(iter(held.receivers))), metadata=True))

    def _document(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        from base64 import b64encode

        held = self._held(client, steps[0])
        if held.id in self.spoilt:
            raise _Failure(500, "An unknown error occurred")
        told = {
            "businessDocument": b64encode(held.business.content).decode(),
            "contentType": "application/xml",
            "contentTransferEncoding": "base64",
        }
        return self._json(200, told)

    def _status(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        told = [
            {"receiverHerId": her_id, "transportDeliveryState": one.state, "appRecStatus": one.receipt}
            for her_id, one in self._held(client, steps[0]).receivers.items()
        ]
        return self._json(200, told)

    def _receipts(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        told = [
            {"receiverHerId": her_id, "appRecStatus": one.receipt, "appRecErrorList": one.errors}
            for her_id, one in self._held(client, steps[0]).receivers.items()
        ]
        return self._json(200, told)

    def _give(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        her_id = whole_number(steps[2], "appRecSenderHerId")
        held = self._held(client, steps[0])
        self._must_act_for(client, (her_id,))
        status, errors = receipt(request)
        there = held.receivers.get(her_id)
        if there is None or held.business.of is not None:
            raise Invalid("a receipt is given by a receiver of the message, for what is no receipt itself")
        if there.receipt is not None:
            raise _Failure(400, "The receipt has been given already", 1001)
        return self._created(self._receipted(held, her_id, status, errors))

    def _read(self, client: str, request: Request, steps: Sequence[str], asked: Query) -> Answer:
        her_id = whole_number(steps[2], "herId")
        held = self._held(client, steps[0])
        self._must_act_for(client, (her_id,))
        if her_id not in held.receivers:
            raise _Failure(404, "Could not find database document")
        held.receivers[her_id].read = True
        return Answer(status=204)

    # --- what it has ---

    def _keep(self, business: Business, subset: Sequence[int]) -> Held:
        receivers = {her_id: AtReceiver(state=self._state(her_id)) for her_id in subset or business.receivers}
        held = Held(id=self._new_id(), business=business, receivers=receivers)
        self.holds[held.id] = held
        return held

    def _state(self, her_id: int) -> str:
        if her_id in self.rejecting:
            return "Rejected"
        return "Unconfirmed" if her_id in self.away or her_id not in self.parties else "Acknowledged"

    def _receipted(self, held: Held, her_id: int, status: str, errors: list[dict[str, Any]]) -> Held:
        there = held.receivers[her_id]
        there.state, there.receipt, there.errors = "Acknowledged", status, errors
        content = receipt_document(held.business, her_id, status, errors, id=self._new_id(), at=self._clock())
        return self._keep(opened(content), ())

    def _held(self, client: str, id: str) -> Held:
        """A message of this client's, as sender or receiver."""
        try:
            found = self.holds.get(str(UUID(id)))
        except ValueError:
            raise Invalid("the id must be a GUID") from None
        if found is None:
            raise _Failure(404, "Could not find database document")
        ends = (found.business.sender, *found.receivers)
        if client not in {self.parties.get(her_id) for her_id in ends}:
            raise _Failure(403, "Not authorized for the message")
        return found

    def _must_act_for(self, client: str, her_ids: Iterable[int]) -> None:
        others = [str(one) for one in her_ids if self.parties.get(one) != client]
        if others:
            raise _Failure(403, f"Not authorized for HerId(s): {', '.join(others)}")

    def _shown(self, held: Held, her_id: int, *, metadata: bool) -> dict[str, Any]:
        told: dict[str, Any] = {"id": held.id, "receiverHerId": her_id}
        if metadata:
            told |= {
                "contentType": "application/xml",
                "senderHerId": held.business.sender,
                "businessDocumentId": held.business.message_id,
                "businessDocumentGenDate": with_offset(held.business.issued),
                "isAppRec": held.business.of is not None,
            }
        return told

    # --- answers ---

    def _created(self, held: Held) -> Answer:
        where = {"Location": f"{self.address}/Messages/{held.id}"}
        return Answer(status=201, body=orjson.dumps(held.id), content_type=JSON, headers=where)

    def _json(self, status: int, document: Any) -> Answer:
        entries = document if isinstance(document, list) else [document]
        told = [one | self.more for one in entries]
        body = orjson.dumps(told if isinstance(document, list) else told[0])
        return Answer(status=status, body=body, content_type=JSON)

    def _error(self, failure: _Failure) -> Answer:
        told = {
            "error": str(failure),
            "errorCode": failure.code,
            "validationErrors": failure.invalid,
            "stackTrace": None,
            "requestId": f"request-{next(self._requests)}",
        }
        return Answer(status=failure.status, body=orjson.dumps(told | self.more), content_type=JSON)
