"""Mail to people by SMTP (RFC 5321): one message to one address, through the one server of the settings.

What the server says of the address or the message counts: 4xx is not now, 5xx is no for good. A server that
cannot be reached, spoken to or signed in to has said nothing about the message, so that is tried again. The
whole conversation gets the endpoint's time-out, and no text of the server's is repeated, for it may quote.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from re import ASCII, compile
from threading import Timer
from time import perf_counter

import orjson

from adapter.messaging.delivery import Reply
from adapter.messaging.register import Endpoint
from adapter.phrases import English, Phrase, phrase
from adapter.transport import Outgoing

STARTTLS = "starttls"
TLS = "tls"
PLAIN = "none"

_YES = (250, 251, 252)
_FINER = compile(rb"\b([245]\.\d{1,3}\.\d{1,3})\b", ASCII)  # enhanced status code (RFC 3463)


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """Where mail is handed in, and in whose name."""

    host: str
    port: int
    security: str  # starttls, tls, or none on this machine only
    sender: str
    recipients: frozenset[str]  # whom it may write to: those of the settings
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Mail:
    """Hands alarms and digests in at the mail server; a 250 after the text says that the server has them."""

    def __init__(self, server: MailServer | None) -> None:
        self._server = server

    def send(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        """One conversation; the message id lets the receiver's mailbox know a repeated one."""
        started = perf_counter()
        reply = self._sent(message, endpoint)
        return Reply(
            taken=reply.taken,
            error=reply.error,
            permanent=reply.permanent,
            ms=(perf_counter() - started) * 1000,
        )

    def _sent(self, message: Outgoing, endpoint: Endpoint) -> Reply:
        server, letter = self._server, orjson.loads(message.content)
        if server is None:
            return Reply(error=phrase("no mail server is configured any more"))
        if letter["to"] not in server.recipients:
            return Reply(error=phrase("the settings name that address no more"), permanent=True)
        try:
            with _conversation(server, endpoint) as line:
                return _handed_in(line, server, letter["to"], written(message.message_id, letter, server))
        except _Fault as fault:
            return Reply(error=fault.said)


class _Fault(Exception):
    """The conversation did not come as far as the message; `said` is why."""

    def __init__(self, said: Phrase) -> None:
        super().__init__(said)
        self.said = said


def written(message_id: str, letter: dict[str, str], server: MailServer) -> bytes:
    """The mail as it leaves, the same in every attempt (RFC 5322; RFC 3834 for machines that answer)."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("Discharge adapter", addr_spec=server.sender)
    mail["To"] = Address(addr_spec=letter["to"])
    mail["Subject"] = letter["subject"]
    mail["Date"] = format_datetime(datetime.fromisoformat(letter["at"]))
    mail["Message-ID"] = f"<{message_id}@{server.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(letter["text"], cte="quoted-printable")
    return mail.as_bytes()


# --- the conversation -------------------------------------------------------------------------------------


class _Line(smtplib.SMTP):
    """A conversation over a connection that is there already, held to its encryption by name."""

    def __init__(self, line: socket.socket, host: str, timeout: float) -> None:
        super().__init__(local_hostname=_literal(line), timeout=timeout)
        self.sock, self._host = line, host


def _literal(line: socket.socket) -> str:
    """Our name to the server: our address (RFC 5321 4.1.3), as a machine's own name is often none."""
    address = str(line.getsockname()[0])
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


@contextmanager
def _conversation(server: MailServer, endpoint: Endpoint) -> Iterator[smtplib.SMTP]:
    """An encrypted line on which we are signed in. Raises _Fault where there is none, or where it ends."""
    ended: list[bool] = []
    try:
        # Broken off from outside when its time is over: a socket's own time-out is for each piece.
        started = perf_counter()
        line = socket.create_connection((server.host, server.port), endpoint.timeout)
        left = max(0.0, endpoint.timeout - (perf_counter() - started))
        with line, line.dup() as same:
            clock = Timer(left, _break_off, (same, ended))
            clock.start()
            try:
                talk = _opened(line, server, endpoint)
                yield talk
                if ended:
                    raise TimeoutError  # what was read is an answer that broke off, however it begins
                with suppress(OSError, smtplib.SMTPException):
                    talk.quit()
            finally:
                clock.cancel()
                clock.join()
    except (OSError, smtplib.SMTPException, UnicodeError, ValueError) as error:
        late = bool(ended) or isinstance(error, TimeoutError)
        seconds = Decimal(f"{endpoint.timeout:g}")
        why = phrase("no complete answer within {seconds} s", seconds=seconds) if late else _words(error)
        place = f"{server.host}:{server.port}"
        raise _Fault(phrase("the mail server {server}: {why}", server=place, why=why)) from None


def _break_off(line: socket.socket, ended: list[bool]) -> None:
    ended.append(True)
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


def _opened(line: socket.socket, server: MailServer, endpoint: Endpoint) -> smtplib.SMTP:
    safe = ssl.create_default_context(cafile=endpoint.trust) if server.security != PLAIN else None
    if safe is not None and server.security == TLS:
        line = safe.wrap_socket(line, server_hostname=server.host)
    talk = _Line(line, server.host, endpoint.timeout)
    code, said = talk.getreply()
    if code != 220:
        raise smtplib.SMTPConnectError(code, said)
    talk.ehlo_or_helo_if_needed()
    if safe is not None and server.security == STARTTLS:
        code, said = talk.starttls(context=safe)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        talk.ehlo_or_helo_if_needed()
    if server.user is not None and server.password is not None:
        talk.login(server.user, server.password)
    return talk


def _handed_in(talk: smtplib.SMTP, server: MailServer, to: str, mail: bytes) -> Reply:
    """What the server says of sender, address and text, in that order."""
    code, said = talk.mail(server.sender)
    if code not in _YES:
        return _refusal("sender", code, said)
    code, said = talk.rcpt(to)
    if code not in _YES:
        return _refusal("receiver", code, said)
    try:
        code, said = talk.data(mail)
    except smtplib.SMTPDataError as error:
        code, said = error.smtp_code, _bytes(error.smtp_error)
    if code not in _YES:
        return _refusal("mail", code, said)
    return Reply(taken=True)


_NEVER = {
    "sender": "the mail server does not take the sender's address: {code}; correct it in [mail]",
    "receiver": "the mail server does not take the address: {code}; correct it in [mail]",
    "mail": "the mail server does not take the mail: {code}",
}
_NOT_NOW = {
    "sender": "the mail server does not take just now the sender's address: {code}",
    "receiver": "the mail server does not take just now the address: {code}",
    "mail": "the mail server does not take just now the mail: {code}",
}


def _refusal(what: str, code: int, said: bytes) -> Reply:
    for_good = code // 100 == 5 and code != 530  # 530: we must sign in first, which is about us
    told = _code(code, said)
    why = phrase(_NEVER[what], code=told) if for_good else phrase(_NOT_NOW[what], code=told)
    return Reply(error=why, permanent=for_good)


def _code(code: int, said: bytes) -> str:
    finer = _FINER.search(said)
    return f"SMTP {code}" + (f" {finer[1].decode()}" if finer else "")


def _bytes(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode()


_TOLD: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Phrase], ...] = (
    (smtplib.SMTPAuthenticationError, phrase("does not let us in; correct user and password")),
    (smtplib.SMTPNotSupportedError, phrase("does not offer what `security`, or signing in, needs")),
    (smtplib.SMTPServerDisconnected, phrase("closed the connection")),
    (ssl.SSLCertVerificationError, phrase("its certificate is not trusted; correct `trust`")),
    (ssl.SSLError, phrase("no secure connection could be agreed (TLS)")),
    ((socket.gaierror, UnicodeError), phrase("its name has no address")),
    (ConnectionRefusedError, phrase("nobody listens there")),
    (FileNotFoundError, phrase("the file of `trust` cannot be read")),
    (ConnectionError, phrase("the connection was broken off")),
)


def _words(error: Exception) -> Phrase:
    """What went wrong before the message was spoken of, and what to look at."""
    words = next((said for kinds, said in _TOLD if isinstance(error, kinds)), None)
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
        code = _code(error.smtp_code, _bytes(error.smtp_error))
        return phrase("{why} ({code})", why=words or phrase("does not take mail now"), code=code)
    return words or phrase("the conversation failed ({fault})", fault=English(type(error).__name__))
