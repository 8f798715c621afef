"""Empty a mailbox into the inbox: what is taken, its key and the cursor are stored together."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy import Connection

from adapter.errors import AdapterError, MailboxError, NotDecided
from adapter.inbox import Acceptance, Inbox
from adapter.incoming import Incoming
from adapter.messaging.register import Partner
from adapter.phrases import Phrase, phrase
from adapter.store import Store, mailboxes
from adapter.transport import CURSOR, Mail, Mailbox

_MOST_SAID = 10  # faults in one alarm

log = structlog.get_logger("mailbox")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What one mailbox remembers, in the store."""

    store: Store
    name: str
    clock: Callable[[], datetime]

    def get(self, key: str) -> str | None:
        """The cursor; nothing else is remembered by key."""
        if key != CURSOR:
            return None
        with self.store.read() as connection:
            return mailboxes.cursor(connection, self.name)

    def put(self, key: str, value: str) -> None:
        """Move the cursor past mail of which nothing was new."""
        if key == CURSOR:
            self.store.write(lambda tx: mailboxes.read_to(tx, self.name, self.clock(), value))

    def seen(self, key: str) -> bool:
        """Whether that mail has been taken."""
        with self.store.read() as connection:
            return mailboxes.seen(connection, self.name, key)


@dataclass(frozen=True, kw_only=True)
class Round:
    """One mailbox, and where its mail goes."""

    name: str
    channel: str  # directory or poll
    mailbox: Mailbox
    partner: Partner | None
    store: Store
    inbox: Inbox
    clock: Callable[[], datetime]
    observe: Callable[[Acceptance], None] = lambda _: None

    def __call__(self) -> int:
        """Take all new mail; returns how many. A mailbox that cannot be read raises an alarm until it can.

        Mail over which we stumble is passed over, and no cursor passes it: it comes again, as does the alarm.
        So is mail of which it cannot be said whether anybody may keep it; of that another alarm tells.
        """
        taken, undecided = 0, 0
        faults: list[Phrase] = []
        try:
            for mail in self.mailbox.poll(Memory(store=self.store, name=self.name, clock=self.clock)):
                try:
                    self._take(replace(mail, cursor=None) if faults or undecided else mail)
                    taken += 1
                except NotDecided:
                    undecided += 1
                except AdapterError:
                    raise
                except Exception as fault:  # noqa: BLE001  # one piece of mail must not hold up the others
                    faults.append(self._stumbled(fault, mail.name))
        except MailboxError as error:
            faults.append(error.said)
        except AdapterError:
            raise
        except Exception as fault:  # noqa: BLE001  # whatever a mailbox holds, people must be told
            faults.append(self._stumbled(fault, None))
        self._note(phrase("{reasons}", reasons=faults[:_MOST_SAID]) if faults else None)
        return taken

    def _take(self, mail: Mail) -> None:
        incoming = Incoming(
            content=mail.content,
            content_type=mail.content_type,
            channel=self.channel,
            partner=self.partner,
            oversize=(mail.oversize.size or len(mail.content) + 1) if mail.oversize else None,
            sha256=mail.oversize.sha256 if mail.oversize and mail.oversize.size is not None else None,
            mailbox=self.name,
            key=mail.key,
            cursor=mail.cursor,
        )
        accepted = self.inbox.accept(incoming, self.clock())
        self.observe(accepted)
        if not accepted.kept:
            self.mailbox.forget(mail)
        elif accepted.outcome in ("refused", "quarantined"):
            self.mailbox.failed(mail, f"{accepted.outcome}: {accepted.reason}")
        else:
            self.mailbox.done(mail)

    def _stumbled(self, fault: Exception, name: str | None) -> Phrase:
        """Logged by type and place, never by its text, which may hold content; the sentence for the alarm."""
        place = traceback.extract_tb(fault.__traceback__)[-1]
        kind, where = type(fault).__name__, f"{place.filename}:{place.lineno}"
        log.error("mailbox stumbled", mailbox=self.name, mail=name, error=kind, at=where)
        if name:
            return phrase(
                "mailbox {mailbox}: we stumbled over {mail} ({fault}), which is our fault; report it",
                mailbox=self.name,
                mail=name,
                fault=kind,
            )
        return phrase(
            "mailbox {mailbox}: we stumbled while it was read ({fault}), which is our fault; report it",
            mailbox=self.name,
            fault=kind,
        )

    def _note(self, error: Phrase | None) -> None:
        now, outbox, subject = self.clock(), self.inbox.outbox, f"mailbox {self.name}"
        with self.store.read() as connection:
            before = {row["name"]: row["error"] for row in mailboxes.listed(connection)}
        if self.name in before and before[self.name] is None and error is None:
            return  # nothing has changed: an empty look costs no commit
        if error is not None and before.get(self.name) != error:  # what lasts is told once
            log.error("mailbox cannot be read", mailbox=self.name, error=error)

        def unit(tx: Connection) -> None:
            mailboxes.polled(tx, self.name, now, error)
            if error is None:
                outbox.alarms.end(tx, "mailbox", subject, now)
            else:
                outbox.alarms.start(tx, kind="mailbox", subject=subject, text=error, now=now)

        self.store.write(unit)
