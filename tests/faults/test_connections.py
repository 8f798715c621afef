"""No connection comes about: the message is tried again, and a sentence says what is wrong and what to do.

Certificates are made here, from an authority that the endpoint trusts or not; names and networks are real
where a machine without network has them, and otherwise the system call's own error.
"""

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapter.discharge.notices import NoticeKind
from adapter.store import tables
from adapter.transport import dialling
from tests.stage import Stage, receipt
from tests.transport.conftest import Peer, answer

pytestmark = pytest.mark.postgres_in_soak

PEERS = Callable[..., Peer]
WITHIN = 0.4
TODAY = datetime.now(UTC)  # noqa: TID251  # certificates are held against the machine's clock


@dataclass(frozen=True)
class Authority:
    """An authority that signs certificates, its own in a file."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        object.__setattr__(self, "key", key)
        own = self._certificate(key, self.name, TODAY + timedelta(days=2), ca=True)
        self.file.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def server(self, name: str, *, until: timedelta = timedelta(days=1), begins: int = -9) -> ssl.SSLContext:
        """TLS of a server whose certificate is for `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._certificate(key, name, TODAY + until, begins=begins)
        file = self.folder / f"{name}-{until.days}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        until: datetime,
        *,
        ca: bool = False,
        begins: int = -9,
    ) -> x509.Certificate:
        def called(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        loopback = name == "127.0.0.1"
        names: list[x509.GeneralName] = [x509.IPAddress(ip_address(name)) if loopback else x509.DNSName(name)]
        signer: ec.EllipticCurvePrivateKey = key if ca else self.key  # type: ignore[attr-defined]
        return (
            x509.CertificateBuilder()
            .subject_name(called(name))
            .issuer_name(called(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(TODAY + timedelta(days=begins))
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(signer, hashes.SHA256())
        )


def fails(play: Stage) -> str:
    """One message to Vik is tried and waits for the next try; the reason that a person reads."""
    play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
    started = time.perf_counter()
    assert play.deliver() == ["retry"]
    assert time.perf_counter() - started < WITHIN + 1.5
    row = play.delivery()
    assert (row["state"], row["attempts"]) == ("waiting", 1)
    assert row["next_attempt_at"] is not None
    assert play.rows(tables.alarm) == []
    return str(row["error"])


def trusting(receiver: Peer, authority: Authority | None) -> dict[str, object]:
    return {"address": receiver.url, "timeout": WITHIN, "trust": str(authority.file) if authority else None}


# --- TLS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("127.0.0.1", {"until": timedelta(days=-1)}, "has expired; its operator must renew it"),
        ("127.0.0.1", {"begins": 0, "until": timedelta(days=3)}, ""),
        ("other.example", {}, "not for this IP address; use the host name"),
    ],
    ids=["expired", "good", "of another"],
)
def test_a_certificate_that_does_not_hold_is_told_with_what_to_do(
    at_peers, peer: PEERS, clock, tmp_path: Path, name: str, more: dict[str, object], said: str
) -> None:
    authority = Authority(tmp_path, "authority")
    receiver = peer(answer("202 Accepted"), authority.server(name, **more))  # type: ignore[arg-type]
    play = at_peers(vik=trusting(receiver, authority))
    if not said:
        play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
        assert play.deliver() == ["sent"]
        return
    assert said in fails(play)
    assert receiver.requests == []  # nothing of the patient has left


def test_a_certificate_of_another_host_name_is_told_as_such(at_peers, peer: PEERS, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    receiver = peer(answer("202 Accepted"), authority.server("other.example"))
    address = trusting(receiver, authority) | {"address": f"https://localhost:{receiver.port}/"}
    assert "for another host name; correct the endpoint's address" in fails(at_peers(vik=address))
    assert receiver.requests == []


def test_one_that_is_not_valid_yet_points_at_the_clocks(at_peers, peer: PEERS, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    receiver = peer(answer("202 Accepted"), authority.server("127.0.0.1", begins=1, until=timedelta(days=3)))
    assert "not valid yet; compare the clocks" in fails(at_peers(vik=trusting(receiver, authority)))


@pytest.mark.parametrize("known", [True, False], ids=["another authority", "no authority of ours"])
def test_an_authority_that_we_do_not_know_is_not_trusted(
    at_peers, peer: PEERS, tmp_path: Path, known: bool
) -> None:
    receiver = peer(answer("202 Accepted"), Authority(tmp_path, "theirs").server("127.0.0.1"))
    other = Authority(tmp_path, "other") if known else None
    assert fails(at_peers(vik=trusting(receiver, other))) == dialling.NOT_TRUSTED
    assert receiver.requests == []


def test_a_renewed_certificate_is_found_without_a_restart(
    at_peers, peer: PEERS, clock, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "authority")
    expired = authority.server("127.0.0.1", until=timedelta(days=-1))
    receiver = peer(lambda c, r: c.sendall(answer("200 OK", receipted(r, clock), JSON)), expired)
    play = at_peers(vik=trusting(receiver, authority))
    assert "has expired" in fails(play)
    authority.server("127.0.0.1", until=timedelta(days=1))
    expired.load_cert_chain(tmp_path / "127.0.0.1-1.pem")
    clock.forward(seconds=5)
    assert play.deliver() == ["sent"]
    assert play.delivery()["state"] == "acknowledged"


JSON = "Content-Type: application/fhir+json"


def receipted(request: bytes, clock: Callable[[], datetime]) -> bytes:
    return receipt(request.partition(b"\r\n\r\n")[2], at=clock())


@pytest.mark.parametrize("drop", [b"", b"\x16\x03\x03\x40\x00" + b"\x02"], ids=["silent", "in drops"])
def test_a_handshake_that_hangs_is_cut_off(at_peers, drop: bytes) -> None:
    """Each drop comes within the time-out of a socket, and the whole of it would never end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        play = at_peers(
            vik={"address": f"https://127.0.0.1:{server.getsockname()[1]}/", "timeout": WITHIN, "trust": None}
        )

        def behave() -> None:
            connection, _ = server.accept()
            with connection:
                for number in range(30):
                    try:
                        connection.sendall(drop if number == 0 else drop[-1:])
                    except OSError:
                        return
                    time.sleep(0.1)

        threading.Thread(target=behave, daemon=True).start()
        assert fails(play) == f"no secure connection within {WITHIN:g} s; ask the receiver's operator"


def test_a_server_that_speaks_no_tls_is_told_as_such(at_peers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        plain = f"https://127.0.0.1:{server.getsockname()[1]}/"
        play = at_peers(vik={"address": plain, "timeout": WITHIN})

        def behave() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                time.sleep(0.1)

        threading.Thread(target=behave, daemon=True).start()
        assert fails(play) == dialling.NO_TLS


# --- names and networks -----------------------------------------------------------------------------------


def named(at_peers: Callable[..., Stage]) -> Stage:
    return at_peers(vik={"address": "http://fhir.vik.example/fhir/$process-message", "timeout": WITHIN})


def resolver(behave: Callable[[], object], real: Callable[..., object]) -> Callable[..., object]:
    """A name service that behaves so; numbers need none."""

    def ask(host: str, *arguments: object, **more: object) -> object:
        of_vik = host == "fhir.vik.example" and not more.get("flags")
        return behave() if of_vik else real(host, *arguments, **more)

    return ask


@pytest.mark.parametrize(
    ("number", "said"), [(socket.EAI_NONAME, dialling.NO_ADDRESS), (socket.EAI_AGAIN, dialling.NO_NAMES)]
)
def test_a_name_that_is_not_found_waits(at_peers, monkeypatch, number: int, said: str) -> None:
    def behave() -> object:
        raise socket.gaierror(number, "no")

    monkeypatch.setattr(socket, "getaddrinfo", resolver(behave, socket.getaddrinfo))
    assert fails(named(at_peers)) == said
    assert "; " in said


def test_a_name_service_that_never_answers_holds_a_carrier_no_longer_than_the_endpoint_may(
    at_peers, monkeypatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda: time.sleep(3), socket.getaddrinfo))
    assert fails(named(at_peers)) == dialling.NO_NAMES


def test_where_one_of_two_addresses_leads_nowhere_the_other_one_is_taken(
    at_peers, monkeypatch, peer: PEERS
) -> None:
    """A host with two addresses, of which the first (say, of IPv6) leads nowhere."""
    receiver = peer(answer("202 Accepted"))
    with socket.socket() as full:  # bound, and not listening
        full.bind(("127.0.0.1", 0))
        both = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", full.getsockname()[1])),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", receiver.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", resolver(lambda: both, socket.getaddrinfo))
        play = named(at_peers)
        play.receive(play.message(NoticeKind.ADMITTED, receivers=("vik",)))
        assert play.deliver() == ["sent"]


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH])
def test_no_way_to_the_network_waits(at_peers, monkeypatch, number: int) -> None:
    def unreachable(_self: socket.socket, _address: object) -> None:
        raise OSError(number, os.strerror(number))

    class Wayless(socket.socket):
        connect = unreachable  # type: ignore[assignment]

    monkeypatch.setattr(dialling.socket, "socket", Wayless)
    play = at_peers(vik={"address": "http://192.0.2.1/", "timeout": WITHIN})
    assert fails(play) == f"{dialling.NO_WAY}: {os.strerror(number)}"


def test_a_connection_refused_waits_and_says_what_to_do(at_peers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert fails(at_peers(vik={"address": f"http://127.0.0.1:{port}/", "timeout": WITHIN})) == dialling.NOBODY


def test_a_connection_that_does_not_come_about_in_time_waits(at_peers) -> None:
    """A firewall that drops what it does not like: a listener whose queue is full behaves so."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        time.sleep(0.05)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/"
        said = fails(at_peers(vik={"address": address, "timeout": WITHIN}))
        for one in fillers:
            one.close()
    assert said == f"no connection within {WITHIN:g} s; ask the receiver's operator, or look at the firewall"
