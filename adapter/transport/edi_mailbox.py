"""Mail that waits at the national message server: listed for each HER-id, fetched, and marked read at last.

A message is marked read when it has been stored, so that after a crash it comes again and is known. Receipts
come as documents of their own. What the server does not give stays unread, is told of, and stops nothing.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from adapter.errors import MailboxError
from adapter.mappings.kith.message_server import XML, Unread, document, origin, unread
from adapter.messaging.delivery import Reply
from adapter.messaging.retry import TRANSIENT_4XX
from adapter.phrases import Phrase, phrase
from adapter.transport import HEAD, LARGEST, Mail, Memory, Notes, Oversize
from adapter.transport.edi import MESSAGES, came_as
from adapter.transport.edi_client import MessageServer, parsed
from adapter.transport.wire import TOO_LONG

PAGE = 100
"""Messages in one list: the most that the server gives."""

MOST_PAGES = 10
"""Lists of one HER-id in one poll; the rest waits for the next."""

_MOST_FAULTS = 10  # of one HER-id in one poll
_AWAY = 3  # times in a row that the server must not be to be had until the poll ends


class EdiMailbox:
    """The mail of some HER-ids at one message server."""

    def __init__(
        self,
        server: MessageServer,
        her_ids: Sequence[int],
        notes: Notes,
        *,
        largest: int = LARGEST,
    ) -> None:
        self._server = server
        self._place = server.place()
        self._her_ids = her_ids
        self._notes = notes
        self._largest = largest
        self._faults: list[Phrase] = []
        self._away = 0  # times in a row that the server was not to be had
        self._stuck: set[str] = set()  # what could not be fetched: tried last, so that it delays nobody

    def poll(self, memory: Memory) -> Iterator[Mail]:
        """The mail of each HER-id, oldest first. Raises MailboxError, in the end, for what cannot be had."""
        self._faults, self._away = [], 0
        for her_id in self._her_ids:
            yield from self._mail_of(her_id, memory)
        if self._faults:
            raise self._error()

    def done(self, mail: Mail) -> None:
        """Mark it read; where that fails it comes again, is known, and is marked then."""
        self._mark_read(*mail.key.split("/"))

    def forget(self, mail: Mail) -> None:
        """Mark it read: there it is the server's."""
        self.done(mail)

    def failed(self, mail: Mail, reason: str) -> None:
        """It is held here, or refused in a receipt; either way it has been read there."""
        self.done(mail)

    # --- one HER-id ---

    def _mail_of(self, her_id: int, memory: Memory) -> Iterator[Mail]:
        """Page after page while each brings something new; marking read is what turns the page.

        Where a whole page is stuck, the newest are looked at too, so that those do not wait behind it.
        """
        met: set[str] = set()
        order, faults = "Ascending", len(self._faults)
        for _ in range(MOST_PAGES):
            listed = self._list(her_id, order)
            if listed is None:
                return
            new = [one for one in listed if _key(one) not in met]
            for one in sorted(new, key=lambda one: _key(one) in self._stuck):
                met.add(_key(one))
                mail = self._mail(one, memory)
                if mail is not None:
                    yield mail
                if len(self._faults) - faults >= _MOST_FAULTS and order == "Descending":
                    return
            if len(listed) < PAGE or (not new and order == "Descending"):
                return
            if not new or len(self._faults) - faults >= _MOST_FAULTS:
                order = "Descending"

    def _list(self, her_id: int, order: str) -> list[Unread] | None:
        """What is unread; None where the list cannot be had."""
        query = {"ReceiverHerIds": her_id, "MessagesToFetch": PAGE, "OrderBy": order}
        reply = self._server.call("GET", MESSAGES, self._place, query=query)
        entries = parsed(reply) if reply.taken and reply.error is None else None
        if not isinstance(entries, list):
            number, why = str(her_id), _words(reply)
            said = phrase("the list of HER-id {number} cannot be read: {why}", number=number, why=why)
            self._fault(said, reply)
            return None
        self._away = 0
        found = [unread(entry, her_id) for entry in entries]
        if None in found:
            self._faults.append(
                phrase("the list of HER-id {number} has entries without a usable id", number=str(her_id))
            )
        return [one for one in found if one is not None]

    def _mail(self, one: Unread, memory: Memory) -> Mail | None:
        key = _key(one)
        if memory.seen(key):
            self._mark_read(one.id, str(one.her_id))
            return None
        most = self._largest * 4 // 3 + HEAD
        path = f"{MESSAGES}/{one.id}/business-document"
        reply = self._server.call("GET", path, self._place, most=most, keep=HEAD)
        if reply.taken and reply.error is not None and reply.error.endswith(TOO_LONG):
            cut = Oversize(size=None, sha256=sha256(reply.body).hexdigest())
            return Mail(content=reply.body, content_type=XML, key=key, name=_name(one), oversize=cut)
        if not reply.taken or reply.error is not None:
            self._stuck.add(key)
            said = phrase("message {message} cannot be fetched: {why}", message=one.id, why=_words(reply))
            self._fault(said, reply)
            return None
        self._away = 0
        self._stuck.discard(key)
        return self._opened(one, key, reply)

    def _opened(self, one: Unread, key: str, reply: Reply) -> Mail:
        """The document itself; what holds none is handed on as it came, and held with a reason."""
        content = document(parsed(reply))
        if content is None:
            return Mail(content=reply.body, content_type=reply.content_type, key=key, name=_name(one))
        if len(content) > self._largest:
            cut = Oversize(size=len(content), sha256=sha256(content).hexdigest())
            return Mail(content=content[:HEAD], content_type=XML, key=key, name=_name(one), oversize=cut)
        self._remember(one, content)
        return Mail(content=content, content_type=XML, key=key, name=_name(one))

    def _remember(self, one: Unread, content: bytes) -> None:
        """As what it came, before it is taken: the receipt that follows goes to that id."""
        found = origin(content)
        if found is None:
            return
        message_id, senders = found
        for note in [came_as(message_id, sender) for sender in senders[:1]]:
            if self._notes.get(note) != one.id:
                self._notes.put(note, one.id)

    def _mark_read(self, id: str, her_id: str) -> None:
        reply = self._server.call("PUT", f"{MESSAGES}/{id}/read/{her_id}", self._place)
        if not reply.taken and reply.status != 404:  # it is gone there, so it will not come again
            self._faults.append(
                phrase("message {message} cannot be marked as read: {why}", message=id, why=_words(reply))
            )

    def _fault(self, said: Phrase, reply: Reply) -> None:
        """Note it. Raises MailboxError where the server is away: asking on would only wait each time anew."""
        self._faults.append(said)
        if reply.status is None or reply.status in TRANSIENT_4XX or reply.status in (401, 503):
            self._away += 1
        if self._away == _AWAY:
            raise self._error()

    def _error(self) -> MailboxError:
        faults = list(dict.fromkeys(self._faults))
        return MailboxError(phrase("mailbox {mailbox}: {faults}", mailbox=self._server.name, faults=faults))


def _key(one: Unread) -> str:
    return f"{one.id}/{one.her_id}"


def _name(one: Unread) -> str:
    return f"message {one.id}"


def _words(reply: Reply) -> Phrase:
    if reply.taken and reply.error is None:
        return phrase("the answer is no list")
    return reply.said
