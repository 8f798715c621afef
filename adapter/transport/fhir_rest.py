"""FHIR REST: messages posted to a partner's `$process-message`, and a partner's server polled for mail.

A poll asks for message Bundles, Tasks and CarePlans by `_lastUpdated` (FHIR R4 3.1.1) with an overlap,
because servers give that time before they commit. What was seen before is left out by id and version.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from time import sleep as wait_in_thread
from urllib.parse import urlencode, urljoin, urlsplit

import orjson
from lxml import etree
from tenacity import Retrying, retry_if_result, stop_after_attempt

from adapter.errors import MailboxError
from adapter.fhir import wire
from adapter.fhir.bundles import Bundle, Resource
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.phrases import Phrase, phrase
from adapter.transport import CURSOR, HEAD, LARGEST, Mail, Memory, Outgoing, Oversize
from adapter.transport.fhir_graph import GraphReader
from adapter.transport.fhir_listing import (
    Found,
    Listing,
    dicts,
    found_in,
    instant_text,
    names_of,
    parsed_instant,
    together_with,
    without_includes,
)
from adapter.transport.retrying import as_asked, last
from adapter.transport.wire import TOO_LONG, UNUSABLE, Request, Wire, prepare, prepared

JSON = "application/fhir+json"
LARGEST_ANSWER = 1024 * 1024
"""Bytes that are read of the answer to a message: a receipt is a few kilobytes."""

INCLUDED = {
    "Bundle": (),
    "Task": ("Task:patient", "Task:encounter", "Task:owner", "Task:requester"),
    "CarePlan": (
        "CarePlan:subject",
        "CarePlan:encounter",
        "CarePlan:care-team",
        "CarePlan:goal",
        "CarePlan:condition",
        "CarePlan:activity-reference",
    ),
}
"""What is polled, and which of the resources that it refers to are asked for with it."""

STILL_GOING_ON = "draft,active,on-hold"
"""CarePlan.status of those that are looked at as a whole from time to time."""

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
    codes = (issue.get("code") for issue in dicts(outcome.get("issue")))
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


class FhirMailbox:
    """Polls the FHIR server whose base URL is the endpoint's address.

    `clock` bounds the cursor: a server whose clock was ahead for an hour must not hide an hour of mail.
    `max_pages` bounds the pages with something new in one poll; the rest waits for the next. The cursor
    stays where it is from the first thing that could not be read, so that it is asked for again.
    `whole_look` is how often all plans that go on are looked at; None never does.
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
        whole_look: timedelta | None = timedelta(hours=1),
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
        self._whole_look = whole_look
        self._looked: datetime | None = None  # at every plan that is still going on
        self._touched: set[str] = set()  # ids of plans of which a Task has changed
        self._includes = True  # until the server says that it takes none
        self._graphs = GraphReader(self._base, self._part, largest=largest)
        self._retrying = Retrying(
            stop=stop_after_attempt(3),
            retry=retry_if_result(_transient),
            wait=as_asked(0.5, most=5.0),
            sleep=sleep,
            retry_error_callback=last,
        )

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """New mail, oldest first for each type. Raises MailboxError in the end for what could not be read."""
        marks = _marks(memory.get(CURSOR))
        faults: list[Phrase] = []
        for kind in self._types:
            for listing in self._listings(kind, marks.get(kind), memory):
                faults += listing.faults
                yield from self._mails(kind, listing, marks, faults, memory)
        if faults:
            raise self._error(*dict.fromkeys(faults))

    def _listings(self, kind: str, mark: str | None, memory: Memory) -> Iterator[Listing]:
        """What is new; of plans also those of which a Task has changed, and at times all that go on.

        A Goal may change without its CarePlan, and no search by time finds the plan then.
        """
        found = self._list(kind, self._search(kind, mark), memory)
        yield found
        if kind != "CarePlan":
            return
        self._touched -= found.ids
        touched = sorted(self._touched)[: self._count]
        if touched:
            listing = self._list(kind, self._search(kind, None, ("_id", ",".join(touched))), memory)
            self._touched -= set(touched) if not listing.faults else set()
            yield replace(listing, complete=False, sorted=False)
        now, every = self._clock(), self._whole_look
        if every is not None and (self._looked is None or now - self._looked >= every):
            self._looked = now
            if mark is not None:
                going_on = self._search(kind, None, ("status", STILL_GOING_ON))
                yield replace(self._list(kind, going_on, memory), complete=False, sorted=False)

    def done(self, mail: Mail) -> None:
        """Nothing: key and cursor were stored with the accept."""

    def forget(self, mail: Mail) -> None:
        """Nothing: what stands on a partner's server is the partner's."""

    def failed(self, mail: Mail, reason: str) -> None:
        """Nothing: we do not write on a partner's server."""

    def _mails(
        self, kind: str, listing: Listing, marks: dict[str, str], faults: list[Phrase], memory: Memory
    ) -> Iterator[Mail]:
        """The mail of one type; each carries the cursor, until something before it could not be read."""
        advance = listing.complete or listing.sorted
        failures, moved = 0, False
        for item in sorted(
            listing.found.values(), key=lambda one: one.updated or datetime.min.replace(tzinfo=UTC)
        ):
            if item.of_plans and "CarePlan" in self._types:
                self._touched |= item.of_plans
                moved = self._mark(kind, item, marks) if advance else moved
                continue
            got = item.fault or self._mail(kind, item)
            if isinstance(got, Phrase):
                advance = False
                faults.append(got)
                failures += item.fault is None
                if failures == _MOST_FAILURES:
                    return
            elif got is not None:
                if advance:
                    self._mark(kind, item, marks)
                yield replace(got, cursor=_cursor(marks) if advance else None)
        cursor = _cursor(marks)
        if moved and not faults and cursor is not None:
            memory.put(CURSOR, cursor)

    def _mark(self, kind: str, item: Found, marks: dict[str, str]) -> bool:
        if item.updated is not None:
            marks[kind] = max(marks.get(kind, ""), instant_text(min(item.updated, self._clock())))
        return True

    def _mail(self, kind: str, item: Found) -> Mail | Phrase | None:
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
            return phrase("{resource} cannot be read: {why}", resource=name, why=reply.said)
        return Mail(content=reply.body, content_type=reply.content_type, key=item.key, name=name)

    # --- the search ---------------------------------------------------------------------------------------

    def _list(self, kind: str, search: str, memory: Memory) -> Listing:
        """What is new, read page by page before any of it is handed on, since servers may ignore `_sort`."""
        listing = Listing()
        url: str | None = search
        visited: set[str] = set()
        fresh = 0
        while url is not None and fresh < self._max_pages and listing.size < self._largest:
            # pages of things seen before do not count, or an overlap longer than a poll would never end
            if url in visited or len(visited) == 10 * self._max_pages:
                listing.faults.append(phrase("the pages of {kind} do not come to an end", kind=kind))
                break
            visited.add(url)
            page = self._page(kind, url, listing)
            if page is None and kind == "CarePlan" and self._includes and listing.refused:
                self._includes = False  # its parts are read by themselves, then
                listing, url = Listing(), without_includes(url)
                visited.clear()
                continue
            if page is None:
                break
            fresh += self._take(kind, page, memory, listing)
            url = self._next(kind, page, url, listing)
        listing.complete = url is None and not listing.faults
        if not listing.complete and not listing.sorted:
            listing.faults.append(
                phrase("{kind} is not sorted by _lastUpdated and too long for one poll", kind=kind)
            )
        return listing

    def _search(self, kind: str, mark: str | None, *more: tuple[str, str]) -> str:
        terms = [("_sort", "_lastUpdated"), ("_count", str(self._count))]
        read_to = parsed_instant(mark)
        if read_to is not None:
            since = read_to - self._overlap
            terms.append(("_lastUpdated", f"ge{instant_text(since)}"))
        if kind == "Bundle":
            terms += [("type", "message"), ("_elements", "id,meta")]
        if kind != "CarePlan" or self._includes:
            terms += [("_include", path) for path in INCLUDED[kind]]
        terms += more
        return f"{self._base}/{kind}?{urlencode(terms)}"

    def _page(self, kind: str, url: str, listing: Listing) -> Bundle | None:
        reply = self._get(url)
        if not reply.taken or reply.error:
            listing.faults.append(phrase("the search for {kind} fails: {why}", kind=kind, why=reply.said))
            listing.refused = reply.status == 400
            return None
        try:
            page = wire.loads(reply.body)
        except orjson.JSONDecodeError:
            page = None
        if not isinstance(page, dict) or page.get("resourceType") != "Bundle":
            listing.faults.append(
                phrase("the search for {kind} is not answered with a Bundle in JSON", kind=kind)
            )
            return None
        return page

    def _take(self, kind: str, page: Bundle, memory: Memory, listing: Listing) -> bool:
        """Add the page's new entries to the listing; whether there was any."""
        before = len(listing.found)
        entries = [one for one in dicts(page.get("entry")) if isinstance(one.get("resource"), dict)]
        by_name = {name: one for one in entries for name in names_of(one)}
        for entry in entries:
            if entry["resource"].get("resourceType") != kind:
                continue
            item = found_in(kind, entry, self._collection(kind, entry, by_name))
            listing.note(item.updated)
            listing.ids.add(item.id)
            if item.key not in listing.found and not memory.seen(item.key):
                listing.found[item.key] = item
                listing.size += len(item.content or b"")
        return len(listing.found) > before

    def _collection(
        self, kind: str, entry: Resource, by_name: dict[str, Resource]
    ) -> list[Resource] | Phrase:
        """What goes with one found resource; of a plan its whole graph, or why it cannot be read."""
        if kind == "CarePlan" and isinstance(entry["resource"].get("id"), str):
            return self._graphs.whole(entry, by_name)
        return [] if kind == "Bundle" else together_with(entry, by_name)

    def _part(self, url: str, known: str | None) -> Reply:
        return self._get(url, conditions=(("If-None-Match", known),) if known is not None else ())

    def _next(self, kind: str, page: Bundle, url: str, listing: Listing) -> str | None:
        """The next page's URL. It must be on the same server: our token is not for anybody else."""
        link = next(
            (one.get("url") for one in dicts(page.get("link")) if one.get("relation") == "next"), None
        )
        if not isinstance(link, str):
            return None
        try:
            following = self._prepared(urljoin(url, link)).url
            same = _origin(following) == _origin(self._prepared(self._base).url)
        except ValueError:
            same = False
        if not same:
            listing.faults.append(
                phrase("the next page of {kind} is on another server, which is refused", kind=kind)
            )
            return None
        return following

    def _get(self, url: str, *, keep: int = 0, conditions: tuple[tuple[str, str], ...] = ()) -> Reply:
        """One GET with up to three tries; raises where the server is not to be had now."""
        try:
            request = self._prepared(url, conditions)
        except ValueError:
            raise self._error(UNUSABLE) from None
        reply: Reply = self._retrying(self._wire.call, request, self._endpoint, most=self._largest, keep=keep)
        if reply.status is None or reply.status in TRANSIENT_4XX or reply.status == 503:
            raise self._error(reply.said)
        return reply

    def _prepared(self, url: str, conditions: tuple[tuple[str, str], ...] = ()) -> Request:
        return prepare("GET", url, self._endpoint.token, JSON, None, conditions)

    def _error(self, *faults: Phrase) -> MailboxError:
        return MailboxError(phrase("mailbox {mailbox}: {faults}", mailbox=self._endpoint.name, faults=faults))


def _transient(reply: Reply) -> bool:
    broken = reply.error is not None and reply.error != TOO_LONG
    return broken or reply.status is None or reply.status >= 500 or reply.status in TRANSIENT_4XX


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
