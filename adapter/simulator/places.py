"""A register made fit for one simulation: tokens of its own, free ports, folders that collide with nobody."""

import hashlib
import os
import secrets
import socket
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

from adapter.errors import ConfigurationError
from adapter.messaging.register import Register

_PORTS = range(20000, 32000)  # below those that the system gives to outgoing connections


def with_fresh_tokens(register: Register) -> tuple[Register, dict[str, str]]:
    """The register with new tokens for its partners, and the tokens by partner's name."""
    tokens = {partner.name: secrets.token_urlsafe(24) for partner in register.partners}
    partners = tuple(
        replace(p, token_sha256=hashlib.sha256(tokens[p.name].encode()).hexdigest())
        for p in register.partners
    )
    return replace(register, partners=partners), tokens


def at_free_ports(register: Register) -> Register:
    """The register with every FHIR endpoint at a loopback port that is free now."""
    endpoints = [e for e in register.endpoints if e.transport == "fhir"]
    ports = dict(zip((e.name for e in endpoints), _free_ports(len(endpoints)), strict=True))
    return replace(
        register,
        endpoints=tuple(
            replace(e, address=f"http://127.0.0.1:{ports[e.name]}{urlsplit(e.address).path}")
            if e.name in ports
            else e
            for e in register.endpoints
        ),
    )


def in_folder(register: Register, path: Path) -> Register:
    """The register with every directory endpoint in a folder of its own under `path`, which is made.

    The adapter looks into them from its start, perhaps before the region has begun.
    """
    for endpoint in register.endpoints:
        if endpoint.transport == "directory":
            (path / endpoint.name / "in").mkdir(parents=True, exist_ok=True)
    return replace(
        register,
        endpoints=tuple(
            replace(e, address=str(path / e.name)) if e.transport == "directory" else e
            for e in register.endpoints
        ),
    )


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on; each process begins to look at a place of its own."""
    start = os.getpid() * 37 % len(_PORTS)
    free = (port for port in (*_PORTS[start:], *_PORTS[:start]) if _is_free(port))
    found = list(islice(free, count))
    if len(found) < count:
        raise ConfigurationError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop}")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
