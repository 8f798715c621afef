"""A connection to a peer, made within the time that its endpoint allows, or a fault with words for a person.

The whole of it is bounded: asking the name service (which has no time-out of its own that we could set),
each of the host's addresses in turn, and the TLS handshake, however slowly its pieces come.
"""

import errno
import os
import socket
import ssl
import threading
from collections.abc import Sequence
from select import POLLIN, POLLOUT, poll
from time import perf_counter
from typing import Any

from adapter.phrases import English, Phrase, phrase

_Addresses = Sequence[tuple[int, int, int, str, Any]]

_CERTIFICATE = {
    9: phrase("the receiver's certificate is not valid yet; compare the clocks of both machines"),
    10: phrase("the receiver's certificate has expired; its operator must renew it"),
    62: phrase(
        "the receiver's certificate is for another host name; correct the endpoint's address, "
        "or have its operator get one for this name"
    ),
    64: phrase(
        "the receiver's certificate is not for this IP address; use the host name in the endpoint's address"
    ),
}
"""By OpenSSL's number of what is wrong (X509_V_ERR_…)."""

NOT_TRUSTED = phrase("the receiver's certificate is not trusted; correct `trust`")
NO_ADDRESS = phrase("the receiver's host name has no address; correct the endpoint's address")
NO_NAMES = phrase("the name service does not answer; ask who runs this machine's network (DNS)")
NO_WAY = phrase("there is no way to the receiver's network; ask who runs this machine's network (route, VPN)")
NOBODY = phrase(
    "nobody listens at the receiver's address; ask its operator, or correct the endpoint's address"
)
NO_TLS = phrase("no secure connection could be agreed (TLS)")

_WAYLESS = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN))


def dialled(host: str, port: int, within: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes one. Raises OSError or UnicodeError."""
    until = perf_counter() + within
    found = _resolved(host, port, within)
    fault: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for number, (family, kind, protocol, _, address) in enumerate(found):
        left = until - perf_counter()
        if left <= 0:
            raise TimeoutError("the host's addresses take too long")
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(left / (len(found) - number))  # one that is silent leaves time for the others
            line.connect(address)
        except OSError as error:
            line.close()
            fault = error
        else:
            return line
    raise fault


def _resolved(host: str, port: int, within: float) -> _Addresses:
    """The host's addresses; asked in a thread of its own, which is left behind where no answer comes."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name
    told: list[_Addresses | BaseException] = []

    def ask() -> None:
        try:
            told.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            told.append(error)

    asking = threading.Thread(target=ask, name="resolver", daemon=True)
    asking.start()
    asking.join(within)
    if not told:
        raise socket.gaierror(socket.EAI_AGAIN, "no answer in time")
    if isinstance(told[0], BaseException):
        raise told[0]
    return told[0]


def secured(line: socket.socket, context: ssl.SSLContext, host: str, within: float) -> ssl.SSLSocket:
    """The same connection with TLS agreed. Raises OSError, TimeoutError where it takes too long."""
    made = context.wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)
    try:
        _shake_hands(made, perf_counter() + within)
    except BaseException:  # whatever it was, the socket is not left open, and it goes on up
        made.close()
        raise
    return made


def _shake_hands(made: ssl.SSLSocket, until: float) -> None:
    """A socket's own timeout is per piece; this one is for all of them together."""
    made.setblocking(False)
    while True:
        try:
            made.do_handshake()
            return
        except ssl.SSLWantReadError:
            wanted = POLLIN
        except ssl.SSLWantWriteError:
            wanted = POLLOUT
        waiting = poll()
        waiting.register(made, wanted)
        left = until - perf_counter()
        if left <= 0 or not waiting.poll(left * 1000):
            raise TimeoutError("the TLS handshake takes too long")


def said_of(fault: BaseException) -> Phrase | None:
    """What one fault of connecting means and what to do about it; None where it is no such fault."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(fault.verify_code, NOT_TRUSTED)
    if isinstance(fault, ssl.SSLError):
        return NO_TLS
    if isinstance(fault, socket.gaierror):
        return NO_NAMES if fault.errno == socket.EAI_AGAIN else NO_ADDRESS
    if isinstance(fault, UnicodeError):
        return NO_ADDRESS
    if isinstance(fault, ConnectionRefusedError):
        return NOBODY
    if isinstance(fault, OSError) and fault.errno in _WAYLESS:
        return phrase("{what}: {why}", what=NO_WAY, why=English(os.strerror(fault.errno or 0)))
    return None
