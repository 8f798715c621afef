"""Looking a HER-id up in the Norwegian address register, and remembering the answer.

The register being down must stop nothing: its earlier answers are used meanwhile, marked as stale. "Unknown"
is an answer too, remembered for a shorter time, as a party is registered shortly before it is first used.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from tenacity import Retrying, retry_if_result, stop_after_attempt

from adapter.errors import RegisterError
from adapter.messaging import communication_party
from adapter.messaging.communication_party import CommunicationParty
from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.phrases import Phrase, phrase
from adapter.transport.communication_party import (
    Fault,
    Soap,
    Unreadable,
    answer,
    content_type,
    headers,
    question,
)
from adapter.transport.retrying import as_asked, last
from adapter.transport.wire import TOO_LONG, Wire, prepared

LARGEST = 8 * 1024 * 1024
"""Bytes of an answer: that about a large hospital has all of its services in it."""

TRIES = 3
"""Requests within one look-up, where the fault may pass."""

REST = timedelta(minutes=1)
"""For which a register that could not be asked is left alone."""

_MAY_PASS = (429, 502, 503, 504)
_LONGEST_WAIT = 2.0  # seconds that the register may ask for within a look-up


class LooksUp(Protocol):
    """Whoever knows what the register says."""

    def look_up(self, her_id: str) -> CommunicationParty | None:
        """The party of a HER-id without dots; None where the register knows none. Raises RegisterError."""
        ...


@dataclass(frozen=True, kw_only=True)
class AddressRegister:
    """The register itself: every look-up is a request, repeated where the fault may pass."""

    endpoint: Endpoint  # its headers hold user and password, where it wants them
    soap: Soap
    new_id: Callable[[], str]
    sleep: Callable[[float], None]
    wire: Wire = field(default_factory=Wire, repr=False)

    def look_up(self, her_id: str) -> CommunicationParty | None:
        """The party of a HER-id without dots; None where the register knows none. Raises RegisterError."""
        asked = question(her_id, soap=self.soap, to=self.endpoint.address, message_id=self.new_id())
        retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            retry=retry_if_result(_passes),
            wait=as_asked(0.25),
            sleep=self.sleep,
            retry_error_callback=last,
        )
        return self._told(retrying(self._once, asked), her_id)

    def _once(self, asked: bytes) -> Reply:
        more = (*headers(self.soap), *self.endpoint.headers)
        kind = content_type(self.soap)
        accept = kind.partition(";")[0]
        try:
            request = prepared(
                "POST", self.endpoint.address, self.endpoint.token, accept, content_type=kind, more=more
            )
        except ValueError:
            raise RegisterError(
                phrase(
                    "the address register cannot be asked: no request can be made of its address, user, "
                    "password or token; correct them in [norway]"
                ),
                whole=True,
            ) from None
        return self.wire.call(request, self.endpoint, most=LARGEST, body=asked)

    def _told(self, reply: Reply, her_id: str) -> CommunicationParty | None:
        if reply.error is not None and reply.error != TOO_LONG:
            why = phrase(
                "the address register cannot be asked: {why}; its earlier answers are used meanwhile",
                why=reply.error,
            )
            raise RegisterError(why, whole=True)
        if reply.status not in (200, 400, 500):  # a Fault comes with one of the last two
            raise RegisterError(_refusal(reply.status), whole=True)
        if reply.error is not None:
            why = phrase(
                "the address register answers about HER-id {number} with more than {size} MiB",
                number=her_id,
                size=LARGEST // 1024**2,
            )
            raise RegisterError(why, whole=False)
        try:
            found = answer(reply.body, her_id)
        except Unreadable as error:
            if reply.status != 200:
                raise RegisterError(_refusal(reply.status), whole=True) from None
            why = phrase(
                "the address register answers about HER-id {number} with what cannot be read: {why}; is "
                "address_register in [norway] its address, and not that of a page or a proxy?",
                number=her_id,
                why=error.said,
            )
            raise RegisterError(why, whole=False) from None
        if isinstance(found, Fault):
            raise RegisterError(_complaint(found, her_id), whole=found.code is None)
        return found


def _refusal(status: int | None) -> Phrase:
    """An HTTP status that is no answer, and what to do about it."""
    told = str(status)
    if status in (401, 403):
        return phrase(
            "the address register does not let us in (HTTP {status}); correct address_register_user and "
            "address_register_password, or address_register_token, in [norway]",
            status=told,
        )
    if status in (405, 415):
        return phrase(
            "the address register does not take the question (HTTP {status}); address_register_soap in "
            "[norway] must be the version that this address speaks",
            status=told,
        )
    if status is not None and (status < 400 or status in (404, 410)):
        return phrase(
            "the address register is not at its address (HTTP {status}); correct address_register in "
            "[norway]",
            status=told,
        )
    return phrase(
        "the address register has a fault of its own (HTTP {status}); its earlier answers are used meanwhile",
        status=told,
    )


def _complaint(fault: Fault, her_id: str) -> Phrase:
    if fault.code is None:
        return phrase(
            "the address register answers with a fault ({fault}); address_register and "
            "address_register_soap in [norway] must go together. If they do, ask those who run it",
            fault=fault.text,
        )
    return phrase(
        "the address register will not tell of HER-id {number} ({fault}); ask those who run it",
        number=her_id,
        fault=fault.text,
    )


def _passes(reply: Reply) -> bool:
    """Whether the fault may be over in a moment."""
    passing = reply.status is None or reply.status in _MAY_PASS
    return passing and (reply.retry_after or 0) <= _LONGEST_WAIT


# --- what it has said before ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """An answer as it is remembered: when it came, and the party as text, None where there was none."""

    fetched_at: datetime
    document: str | None


class Answers(Protocol):
    """What is remembered of one register's answers; the store keeps it."""

    def get(self, her_id: str) -> Kept | None:
        """The answer put last."""
        ...

    def put(self, her_id: str, kept: Kept) -> None:
        """Remember an answer."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LookedUp:
    """What is known of a HER-id, and since when."""

    her_id: str
    party: CommunicationParty | None  # None: the register knows none
    fetched_at: datetime
    stale: Phrase | None = None  # why there is no newer answer, where this one is too old


@dataclass
class _Rest:
    """Until when a register that could not be asked is left alone, and what was wrong."""

    until: datetime | None = None
    error: RegisterError | None = None


@dataclass(frozen=True, kw_only=True)
class RememberedRegister:
    """The register with a memory."""

    register: LooksUp
    answers: Answers
    clock: Callable[[], datetime]
    age: timedelta  # for which an answer is used without asking again
    unknown_age: timedelta  # the same for "unknown"; never longer than `age`
    _rest: _Rest = field(default_factory=_Rest, init=False, repr=False, compare=False)

    def look_up(self, her_id: str, *, refresh: bool = False) -> LookedUp:
        """What is known of a HER-id without dots; `refresh` asks even where the last answer is young.

        Raises RegisterError where there is neither an answer nor an older one.
        """
        known = self._known(her_id)
        if known is not None and not refresh and self._young(known):
            return known
        try:
            return self._asked(her_id)
        except RegisterError as error:
            if known is None:
                raise
            return LookedUp(her_id=her_id, party=known.party, fetched_at=known.fetched_at, stale=error.said)

    def _known(self, her_id: str) -> LookedUp | None:
        """The answer that is remembered; none where another version of this program has written it."""
        kept = self.answers.get(her_id)
        if kept is None:
            return None
        try:
            party = None if kept.document is None else communication_party.read(kept.document)
        except ValueError:
            return None
        return LookedUp(her_id=her_id, party=party, fetched_at=kept.fetched_at)

    def _young(self, known: LookedUp) -> bool:
        age = self.age if known.party is not None else min(self.age, self.unknown_age)
        return timedelta(0) <= self.clock() - known.fetched_at < age

    def _asked(self, her_id: str) -> LookedUp:
        now, rest = self.clock(), self._rest
        if rest.error is not None and rest.until is not None and now < rest.until <= now + REST:
            raise rest.error
        try:
            party = self.register.look_up(her_id)
        except RegisterError as error:
            if error.whole:
                rest.until, rest.error = now + REST, error
            raise
        rest.until = rest.error = None
        self.answers.put(her_id, Kept(fetched_at=now, document=communication_party.written(party)))
        return LookedUp(her_id=her_id, party=party, fetched_at=now)
