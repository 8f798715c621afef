"""A mail server on loopback: it speaks SMTP over real sockets, keeps what it takes, and fails as told.

`faults` says for a word of the protocol (`greeting`, `EHLO`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `text`) what is
answered instead: a line, `DROP` (it hangs up) or `SLOW` (a byte now and then, never an answer).
"""

import base64
import email
import email.policy
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from types import TracebackType

DROP = "drop"
SLOW = "slow"


@dataclass
class MailBox:
    """One mail as the server has taken it."""

    sender: str
    to: list[str]
    content: bytes

    @property
    def mail(self) -> EmailMessage:
        """What it says."""
        read = email.message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        return read

    @property
    def text(self) -> str:
        """Its text as a person reads it."""
        return str(self.mail.get_content()).replace("\r\n", "\n")


@dataclass
class PretendMailServer:
    """Listens until its `with` ends."""

    security: str = "none"
    certificate: str | None = None
    user: str | None = None
    password: str | None = None
    faults: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)  # by address, the answer to RCPT
    taken: list[MailBox] = field(default_factory=list)
    signed_in: int = 0
    encrypted: int = 0
    connections: int = 0

    def __enter__(self) -> "PretendMailServer":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def mails_to(self, address: str) -> list[MailBox]:
        """What has come for one address."""
        return [one for one in self.taken if one.to == [address]]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._converse, args=(line,), daemon=True).start()

    def _converse(self, line: socket.socket) -> None:
        with suppress(OSError, EOFError):
            line.settimeout(5)
            if self.security == "tls":
                line = self._encrypted(line)
            with line:
                _Conversation(self, line).run()

    def _encrypted(self, line: socket.socket) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        assert self.certificate is not None
        context.load_cert_chain(self.certificate)
        made = context.wrap_socket(line, server_side=True)
        self.encrypted += 1
        return made

    def dribble(self, line: socket.socket) -> None:
        """Bytes of an answer that never ends."""
        while not self._over.wait(0.02):
            line.sendall(b"2")


class _Conversation:
    def __init__(self, server: PretendMailServer, line: socket.socket) -> None:
        self.server, self.line = server, line
        self.read = line.makefile("rb")
        self.sender, self.to = "", list[str]()

    def run(self) -> None:
        self.say("greeting", "220 pretend.example ready")
        while True:
            command = self.read.readline()
            if not command:
                return
            word, _, rest = command.decode(errors="replace").strip().partition(" ")
            if not self.heard(word.upper(), rest):
                return

    def say(self, word: str, otherwise: str) -> bool:
        """Answer; False where that is no yes."""
        told = self.server.faults.get(word, otherwise)
        if told == SLOW:
            self.server.dribble(self.line)
        if told == DROP:
            self.line.shutdown(socket.SHUT_RDWR)
            raise EOFError
        self.line.sendall(f"{told}\r\n".encode())
        return told == otherwise

    def heard(self, word: str, rest: str) -> bool:
        match word:
            case "EHLO":
                more = "250-AUTH PLAIN\r\n" if self.server.user else ""
                tls = "250-STARTTLS\r\n" if self.server.security == "starttls" else ""
                self.say(word, f"250-pretend.example\r\n{tls}{more}250 ENHANCEDSTATUSCODES")
            case "STARTTLS":
                if self.say(word, "220 go ahead"):
                    self.line = self.server._encrypted(self.line)
                    self.read = self.line.makefile("rb")
            case "AUTH":
                wanted = f"\0{self.server.user}\0{self.server.password}".encode()
                right = base64.b64decode(rest.split()[1]) == wanted
                self.say(word, "235 welcome" if right else "535 5.7.8 who is Kari Nordmann?")
                self.server.signed_in += right
            case "MAIL":
                self.sender, self.to = _address(rest), []
                self.say(word, "250 ok")
            case "RCPT":
                refused = self.server.refused.get(_address(rest))
                if self.say(word, refused or "250 ok") and refused is None:
                    self.to.append(_address(rest))
            case "DATA":
                if self.say(word, "354 go on"):
                    self.text()
            case "QUIT":
                self.say(word, "221 bye")
                return False
            case _:
                self.say(word, "250 ok")
        return True

    def text(self) -> None:
        lines = []
        while (line := self.read.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if self.say("text", "250 2.0.0 taken"):
            self.server.taken.append(MailBox(self.sender, list(self.to), b"".join(lines)))


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]
