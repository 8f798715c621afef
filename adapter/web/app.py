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

BODY_WITHIN = 30.0
"""Seconds for a request's body to come, besides what SLOWEST gives it."""

SLOWEST = 16 * 1024
"""Bytes a second that a body must come with in the long run; each of them prolongs its time by as much."""

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's head, or between two pieces of its body: read before anybody has signed in."""

LINGER = 30.0
"""Seconds for the rest of a body that is answered already, and for peers to read on where answers pile up."""


class _Guarded(HttpToolsProtocol):
    """Bounds a request's head, trailers and time; tells which client certificate the TLS layer has verified.

    All of it holds before anybody has signed in. How large a body may be is for those who read it to say.
    """

    _bare = 0  # bytes since the last piece of a body
    _body: int | None = None  # bytes of the body that is coming in; None before and after it
    _due: asyncio.TimerHandle | None = None  # runs from a request's first byte to its last
    _began = 0.0
    _leaving: asyncio.TimerHandle | None = None  # runs while the peer must let us close, or read on

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent's
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._due, self._leaving):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._due is None:  # also for what begins nothing, as empty lines between requests
            self._begin()
        self._bare += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._leave()
        elif self._bare > LARGEST_HEAD:
            self._cut_off("431 Request Header Fields Too Large", "the head or a trailer is too large")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._leave()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing() and not self._answered_early():
            self._stay()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._leave()

    # --- one request ---

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._due is None:
            self._begin()
        secured = self.transport.get_extra_info("ssl_object")
        certificate = secured.getpeercert(binary_form=True) if secured is not None else None
        if certificate:
            extensions: dict[str, Any] = self.scope.setdefault("extensions", {})
            extensions["tls"] = {"client_certificate": certificate}

    def _unsupported_upgrade_warning(self) -> None:
        """The request is answered as it is; the parent would advise to install what could upgrade it."""

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._body is None:  # a trailer is no part of the head, and nothing here asks for one
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._bare = self._body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bare = 0
        self._body = (self._body or 0) + len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        early = self._answered_early()
        self._bare, self._body = 0, None
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if early:  # the parent waits for the next request from an answer's end only
            self._stay()
            self._begin()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or self._answered_early():
            self._leave()

    def _answered_early(self) -> bool:
        """Whether the request that is coming in has got its answer already, and nobody reads the rest."""
        return self._body is not None and self.cycle.response_complete

    # --- in time ---

    def _begin(self) -> None:
        self._began = self.loop.time()
        self._due = self.loop.call_later(HEAD_WITHIN, self._look)

    def _look(self) -> None:
        """Cut the request off, unless what has come of its body gives it more time."""
        more = 0.0 if self._body is None else BODY_WITHIN + self._body / SLOWEST
        left = self._began + HEAD_WITHIN + more - self.loop.time()
        if left > 0:
            self._due = self.loop.call_later(left, self._look)
        elif self._body is None:
            self._close()
        else:
            self._cut_off("408 Request Timeout", "the request came too slowly; send it again")

    def _cut_off(self, status: str, why: str) -> None:
        """Close, with an answer where it cannot be taken for another request's."""
        cycle = self.cycle
        if self._body is None:
            may_answer = cycle is None or cycle.response_complete
        else:
            may_answer = not cycle.response_started and not self.pipeline
        if may_answer:
            head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: text/plain\r\n"
            self.transport.write(f"{head}content-length: {len(why) + 1}\r\n\r\n{why}\n".encode())
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._leave()

    def _leave(self) -> None:
        """Let the peer send the rest, or read what is written, for a while; then be gone."""
        if self._leaving is None:
            written = self.transport.get_write_buffer_size()
            self._leaving = self.loop.call_later(LINGER, self._gone, written)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _gone(self, before: int) -> None:
        """Be gone, unless the peer has read a good part of what was written before."""
        left = self.transport.get_write_buffer_size()
        if left and before - left > SLOWEST * LINGER:
            self._leaving = self.loop.call_later(LINGER, self._gone, left)
        else:
            self.transport.abort()


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
