"""The web application, put together; and the server that it runs in.

Only this machine may reach it unless partners and people must sign in. Hosts that a browser did not mean to
ask (DNS rebinding) are turned away.
"""

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def application(routes: Sequence[BaseRoute], *, hosts: Sequence[str]) -> Starlette:
    """The application over its routes; `hosts` are the names by which it may be asked."""
    return Starlette(
        routes=list(routes), middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))]
    )


HEAD_WITHIN = 30.0
"""Seconds for a request's head to come; else slow peers would hold every connection there is."""

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's head, which is read before anybody has signed in."""


class _Guarded(HttpToolsProtocol):
    """Bounds the head of a request, and tells which client certificate the TLS layer has verified."""

    _head: int | None = 0  # bytes of the head that is coming in; None while a body is
    _too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
        super().connection_made(transport)
        self._too_late = self.loop.call_later(HEAD_WITHIN, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is None:
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._head = None
        self._in_time()
        super().on_headers_complete()

    def _in_time(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        if self._too_late is None:
            self._too_late = self.loop.call_later(HEAD_WITHIN, self.transport.close)
        secured = self.transport.get_extra_info("ssl_object")
        certificate = secured.getpeercert(binary_form=True) if secured is not None else None
        if certificate:
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions["tls"] = {"client_certificate": certificate}


def server(
    app: Starlette,
    *,
    host: str,
    port: int,
    certificate: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
) -> uvicorn.Server:
    """The server, not yet started. It writes no access log: addresses may identify people."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=_Guarded,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=True,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,  # for answers; a request still coming in is cut off
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_ca_certs=str(client_ca) if client_ca else None,
            ssl_cert_reqs=ssl.CERT_OPTIONAL if client_ca else ssl.CERT_NONE,
        )
    )


def serve(running: uvicorn.Server) -> None:
    """Serve until told to exit."""
    asyncio.run(running.serve())
