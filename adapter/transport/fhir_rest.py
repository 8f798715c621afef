"""FHIR REST: messages posted to a partner's `$process-message`, and a partner's server polled for mail.

A poll asks for message Bundles, Tasks and CarePlans by `_lastUpdated` (FHIR R4 3.1.1) with an overlap,
because servers give that time before they commit. What was seen before is left out by id and version.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from re import fullmatch
from time import sleep as wait_in_thread
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import orjson
from lxml import etree
from tenacity import RetryCallState, Retrying, retry_if_result, stop_after_attempt

from adapter.errors import MailboxError
from adapter.fhir import wire
from adapter.fhir.bundles import YEARS, Bundle, Resource
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.transport import CURSOR, HEAD, LARGEST, Mail, Memory, Outgoing, Oversize
from adapter.transport.wire import TOO_LONG, UNUSABLE, Request, Wire, prepare, prepared

JSON = "application/fhir+json"
LARGEST_ANSWER = 1024 * 1024
"""Bytes that are read of the answer to a message: a receipt is a few kilobytes."""

INCLUDED = {
    "Bundle": (),
    "Task": ("Task:patient", "Task:encounter", "Task:owner", "Task:requester"),
    "CarePlan": ("CarePlan:subject", "CarePlan:encounter"),
}
"""What is polled, and which of the resources that it refers to are asked for with it."""

_ID = r"(?!\.+$)[A-Za-z0-9.-]{1,128}"  # longer than R4 allows, as servers in the field have longer ones
_MOST_FAILURES = 10  # messages that a server lists but does not give, in one poll

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
_FHIR = "{http://hl7.org/fhir}"


class FhirRest:
    """Posts a message to the endpoint's address, which is the whole `$process-message` URL."""

    def __init__(self) -> None:
        self._wire = Wire()

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One POST. A 2xx says that the receiver holds the message; its body may be the receipt."""
        kind = message.content_type
        try:
            request = prepared("POST", endpoint.address, endpoint.token, kind, kind)
        except ValueError:
            return Reply(error=UNUSABLE)
        return self._wire.call(
            request, endpoint, most=LARGEST_ANSWER, body=message.content, id=str(message.delivery_id)
        )


def is_duplicate(reply: Reply) -> bool:
    """Whether the receiver says in so many words that it already holds this message.

    That is a 409 whose OperationOutcome has the issue code `duplicate`; any other 409 is a conflict.
    """
    if reply.status != 409 or reply.error is not None:
        return False
    body = reply.body.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "duplicate" in (_codes_in_json(body) if body.startswith(b"{") else _codes_in_xml(body))


def _codes_in_json(body: bytes) -> set[str]:
    try:
        outcome = orjson.loads(body)
    except orjson.JSONDecodeError:
        return set()
    if outcome.get("resourceType") != "OperationOutcome":
        return set()
    codes = (issue.get("code") for issue in _dicts(outcome.get("issue")))
    return {code for code in codes if isinstance(code, str)}  # a list may nest deeper than str() goes


def _codes_in_xml(body: bytes) -> set[str]:
    if b"<!DOCTYPE" in body:
        return set()
    try:
        root = etree.fromstring(body, _PARSER)
    except (etree.XMLSyntaxError, ValueError):
        return set()
    if root.tag != f"{_FHIR}OperationOutcome":
        return set()
    return {code.get("value", "") for code in root.iterfind(f"{_FHIR}issue/{_FHIR}code")}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """One entry of a search; a message Bundle has no content yet, as its bytes are fetched by themselves."""

    key: str
    id: str
    updated: datetime | None
    content: bytes | None = field(default=None, repr=False)
    fault: str | None = None  # why it cannot be handed on


@dataclass(kw_only=True, slots=True)
class _Listing:
    """What a search brought, as far as it was read."""

    found: dict[str, _Found] = field(default_factory=dict)  # by key
    size: int = 0
    complete: bool = False
    sorted: bool = True
    latest: datetime | None = None
    faults: list[str] = field(default_factory=list)

    def note(self, updated: datetime | None) -> None:
        """Watch the order: a cursor may pass only what surely lies before everything not yet read."""
        if updated is None:
            return
        self.sorted = self.sorted and (self.latest is None or self.latest <= updated)
        self.latest = max(self.latest or updated, updated)


class FhirMailbox:
    """Polls the FHIR server whose base URL is the endpoint's address.

    `clock` bounds the cursor: a server whose clock was ahead for an hour must not hide an hour of mail.
    `max_pages` bounds the pages with something new in one poll; the rest waits for the next. The cursor
    stays where it is from the first thing that could not be read, so that it is asked for again.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        clock: Callable[[], datetime],
        types: Sequence[str] = tuple(INCLUDED),
        overlap: timedelta = timedelta(minutes=5),
        count: int = 50,
        max_pages: int = 20,
        largest: int = LARGEST,
        sleep: Callable[[float], None] = wait_in_thread,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._types = types
        self._overlap = overlap
        self._count = count
        self._max_pages = max_pages
        self._largest = largest
        self._base = endpoint.address.rstrip("/")
        self._wire = Wire()
        self._retrying = Retrying(
            stop=stop_after_attempt(3),
            retry=retry_if_result(_transient),
            wait=_wait,
            sleep=sleep,
            retry_error_callback=_last,
        )

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """New mail, oldest first for each type. Raises MailboxError in the end for what could not be read."""
        marks = _marks(memory.get(CURSOR))
        faults: list[str] = []
        for kind in self._types:
            listing = self._list(kind, marks.get(kind), memory)
            faults += listing.faults
            yield from self._mails(kind, listing, marks, faults)
        if faults:
            raise self._error("; ".join(dict.fromkeys(faults)))

    def done(self, mail: Mail) -> None:
        """Nothing: key and cursor were stored with the accept."""

    def failed(self, mail: Mail, reason: str) -> None:
        """Nothing: we do not write on a partner's server."""

    def _mails(
        self, kind: str, listing: _Listing, marks: dict[str, str], faults: list[str]
    ) -> Iterator[Mail]:
        """The mail of one type; each carries the cursor, until something before it could not be read."""
        advance = listing.complete or listing.sorted
        failures = 0
        for item in sorted(
            listing.found.values(), key=lambda one: one.updated or datetime.min.replace(tzinfo=UTC)
        ):
            got = item.fault or self._mail(kind, item)
            if isinstance(got, str):
                advance = False
                faults.append(got)
                failures += item.fault is None
                if failures == _MOST_FAILURES:
                    return
            elif got is not None:
                if advance and item.updated is not None:
                    marks[kind] = max(marks.get(kind, ""), _instant(min(item.updated, self._clock())))
                yield replace(got, cursor=_cursor(marks) if advance else None)

    def _mail(self, kind: str, item: _Found) -> Mail | str | None:
        """The mail, a sentence on why it cannot be had, or None where it is gone."""
        name = f"{kind}/{item.id}"
        if item.content is not None:
            return Mail(content=item.content, content_type=JSON, key=item.key, name=name)
        reply = self._get(f"{self._base}/{name}", keep=HEAD)
        if reply.status in (404, 410):
            return None
        if reply.error == TOO_LONG:
            cut = Oversize(size=None, sha256=sha256(reply.body).hexdigest())
            return Mail(
                content=reply.body, content_type=reply.content_type, key=item.key, name=name, oversize=cut
            )
        if not reply.taken or reply.error:
            return f"{name} cannot be read: {reply.error or f'HTTP {reply.status}'}"
        return Mail(content=reply.body, content_type=reply.content_type, key=item.key, name=name)

    # --- the search ---------------------------------------------------------------------------------------

    def _list(self, kind: str, mark: str | None, memory: Memory) -> _Listing:
        """What is new, read page by page before any of it is handed on, since servers may ignore `_sort`."""
        listing = _Listing()
        url: str | None = self._search(kind, mark)
        visited: set[str] = set()
        fresh = 0
        while url is not None and fresh < self._max_pages and listing.size < self._largest:
            # pages of things seen before do not count, or an overlap longer than a poll would never end
            if url in visited or len(visited) == 10 * self._max_pages:
                listing.faults.append(f"the pages of {kind} do not come to an end")
                break
            visited.add(url)
            page = self._page(kind, url, listing)
            if page is None:
                break
            fresh += self._take(kind, page, memory, listing)
            url = self._next(kind, page, url, listing)
        listing.complete = url is None and not listing.faults
        if not listing.complete and not listing.sorted:
            listing.faults.append(f"{kind} is not sorted by _lastUpdated and too long for one poll")
        return listing

    def _search(self, kind: str, mark: str | None) -> str:
        terms = [("_sort", "_lastUpdated"), ("_count", str(self._count))]
        read_to = _parsed(mark)
        if read_to is not None:
            since = read_to - self._overlap
            terms.append(("_lastUpdated", f"ge{_instant(since)}"))
        if kind == "Bundle":
            terms += [("type", "message"), ("_elements", "id,meta")]
        terms += [("_include", path) for path in INCLUDED[kind]]
        return f"{self._base}/{kind}?{urlencode(terms)}"

    def _page(self, kind: str, url: str, listing: _Listing) -> Bundle | None:
        reply = self._get(url)
        if not reply.taken or reply.error:
            listing.faults.append(f"the search for {kind} fails: {reply.error or f'HTTP {reply.status}'}")
            return None
        try:
            page = wire.loads(reply.body)
        except orjson.JSONDecodeError:
            page = None
        if not isinstance(page, dict) or page.get("resourceType") != "Bundle":
            listing.faults.append(f"the search for {kind} is not answered with a Bundle in JSON")
            return None
        return page

    def _take(self, kind: str, page: Bundle, memory: Memory, listing: _Listing) -> bool:
        """Add the page's new entries to the listing; whether there was any."""
        before = len(listing.found)
        entries = [one for one in _dicts(page.get("entry")) if isinstance(one.get("resource"), dict)]
        by_name = {name: one for one in entries for name in _names(one)}
        for entry in entries:
            if entry["resource"].get("resourceType") != kind:
                continue
            item = _found(kind, entry, by_name)
            listing.note(item.updated)
            if item.key not in listing.found and not memory.seen(item.key):
                listing.found[item.key] = item
                listing.size += len(item.content or b"")
        return len(listing.found) > before

    def _next(self, kind: str, page: Bundle, url: str, listing: _Listing) -> str | None:
        """The next page's URL. It must be on the same server: our token is not for anybody else."""
        link = next(
            (one.get("url") for one in _dicts(page.get("link")) if one.get("relation") == "next"), None
        )
        if not isinstance(link, str):
            return None
        try:
            following = self._prepared(urljoin(url, link)).url
            same = _origin(following) == _origin(self._prepared(self._base).url)
        except ValueError:
            same = False
        if not same:
            listing.faults.append(f"the next page of {kind} is on another server, which is refused")
            return None
        return following

    def _get(self, url: str, *, keep: int = 0) -> Reply:
        """One GET with up to three tries; raises where the server is not to be had now."""
        try:
            request = self._prepared(url)
        except ValueError:
            raise self._error(UNUSABLE) from None
        reply: Reply = self._retrying(self._wire.call, request, self._endpoint, most=self._largest, keep=keep)
        if reply.status is None or reply.status in TRANSIENT_4XX or reply.status == 503:
            raise self._error(reply.error or f"HTTP {reply.status}")
        return reply

    def _prepared(self, url: str) -> Request:
        return prepare("GET", url, self._endpoint.token, JSON)

    def _error(self, what: str) -> MailboxError:
        return MailboxError(f"mailbox {self._endpoint.name}: {what}")


def _transient(reply: Reply) -> bool:
    broken = reply.error is not None and reply.error != TOO_LONG
    return broken or reply.status is None or reply.status >= 500 or reply.status in TRANSIENT_4XX


def _wait(state: RetryCallState) -> float:
    """Half a second, then one, or what the server asks for up to five."""
    reply = state.outcome.result() if state.outcome else None
    asked = reply.retry_after if reply is not None and reply.retry_after is not None else 0.0
    return float(min(max(asked, 0.5 * 2 ** (state.attempt_number - 1)), 5.0))


def _last(state: RetryCallState) -> Any:
    return state.outcome.result() if state.outcome else None


def _found(kind: str, entry: Resource, by_name: dict[str, Resource]) -> _Found:
    """The entry as far as it is needed later on."""
    resource = entry["resource"]
    meta = resource["meta"] if isinstance(resource.get("meta"), dict) else {}
    updated = _parsed(meta.get("lastUpdated"))
    identity = resource.get("id")
    if not isinstance(identity, str) or not fullmatch(_ID, identity):
        return _Found(key=f"{kind}//", id="", updated=updated, fault=f"a {kind} has no usable id")
    try:
        content = None if kind == "Bundle" else wire.to_json(_collection(entry, by_name))
    except orjson.JSONEncodeError:
        fault = f"{kind}/{identity} is nested too deeply"
        return _Found(key=f"{kind}/{identity}/", id=identity, updated=updated, fault=fault)
    version = meta.get("versionId") or meta.get("lastUpdated")
    if not isinstance(version, str) or not fullmatch(r"[\w.:+-]{1,64}", version):
        version = sha256(content or b"").hexdigest()
    return _Found(key=f"{kind}/{identity}/{version}", id=identity, updated=updated, content=content)


def _collection(entry: Resource, by_name: dict[str, Resource]) -> Bundle:
    """The resource of `entry` first, then those of its page that it refers to."""
    targets = (target.split("/_history/", 1)[0] for target in _references(entry["resource"]))
    others = {id(one): one for target in targets if (one := by_name.get(target)) is not None}
    others.pop(id(entry), None)
    kept = [{k: one[k] for k in ("fullUrl", "resource") if k in one} for one in (entry, *others.values())]
    return {"resourceType": "Bundle", "type": "collection", "entry": kept}


def _names(entry: Resource) -> Iterator[str]:
    """What a reference to it may say."""
    kind, identity = entry["resource"].get("resourceType"), entry["resource"].get("id")
    if isinstance(url := entry.get("fullUrl"), str):
        yield url
    if isinstance(kind, str) and isinstance(identity, str):
        yield f"{kind}/{identity}"


def _references(resource: Resource) -> Iterator[str]:
    """Every literal reference in it; without recursion, as its depth is the partner's choice."""
    waiting: list[Any] = [resource]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            target = value.get("reference")
            if isinstance(target, str):
                yield target
            waiting.extend(reversed(value.values()))
        elif isinstance(value, list):
            waiting.extend(reversed(value))


def _dicts(value: Any) -> list[Resource]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _parsed(text: Any) -> datetime | None:
    """An instant; None for what is none, or of a year in which no server stood: no cursor may go there."""
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo and found.year in YEARS else None
    except (TypeError, ValueError, OverflowError):
        return None


def _instant(moment: datetime) -> str:
    """In UTC with milliseconds, so that order of text is order of time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _marks(cursor: str | None) -> dict[str, str]:
    """How far each type has been read."""
    return dict(orjson.loads(cursor)) if cursor else {}


def _cursor(marks: dict[str, str]) -> str | None:
    return orjson.dumps(marks, option=orjson.OPT_SORT_KEYS).decode() if marks else None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port; a URL with a user in it is nobody's."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a user name in a URL")
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
