"""Pages for people: rendered here, without scripts, readable on a telephone and with the keyboard alone.

Every page is one short read of the store in the thread pool. What comes out of messages is escaped, and the
browser is told to run, frame, remember and pass on nothing. Where operators are named, a person must sign in.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from adapter.errors import NotFound, StoreError
from adapter.inbox import Inbox
from adapter.messaging.register import Register
from adapter.store import Store
from adapter.store import alarms as alarm_rows
from adapter.store import cases as case_rows
from adapter.web import views
from adapter.web.signing_in import ASK, Doorkeeper
from adapter.web.views import Look, View
from adapter.web.wording import Wording

log = structlog.get_logger("pages")

_HERE = Path(__file__).parent
_STYLE = (_HERE / "static" / "pages.css").read_bytes()
_STYLE_VERSION = hashlib.sha256(_STYLE).hexdigest()[:12]
STYLE = f"/static/pages.css?v={_STYLE_VERSION}"
"""The address of the stylesheet that every page has."""

_ICON = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8"
fill="#0b3d47"/><path d="M6 22 13 11l5 7 3-4 5 8z" fill="#ffd479"/></svg>"""
_LONGEST_FORM = 4096  # bytes
_LONGEST_NUMBER = 40  # characters

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; img-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""On every answer to a person."""
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}

PAGES: Mapping[str, Callable[[Look], View]] = {
    "/": views.overview,
    "/deliveries": views.deliveries,
    "/deliveries/{id}": views.delivery,
    "/cases": views.cases,
    "/cases/{id}": views.case,
    "/cases/{id}/why": views.why,
    "/messages/{id}": views.message,
    "/quarantine": views.quarantine,
    "/endpoints": views.endpoints,
    "/payments": views.payments,
    "/alarms": views.alarms,
    "/deadlines": views.deadlines,
}
"""Every page and its address; docs/pages.md describes each."""

_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """Who acts, and what was done as far as the form asks for it."""

    by: str
    why: str = ""
    at: datetime | None = None  # when it was, where the form asks for it; None is now
    name: str = ""  # of the follow-up, pathway or group that is meant


Act = Callable[[Connection, int, Said], None]


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages over one store."""

    store: Store
    inbox: Inbox
    register: Register
    region: str | None  # its name; None in evaluation mode
    doorkeeper: Doorkeeper
    clock: Callable[[], datetime]

    def routes(self) -> list[BaseRoute]:
        """Every page, the search, the stylesheet, and an answer to every other address."""
        return [
            Route("/static/pages.css", self._style),
            Route("/favicon.ico", self._icon),
            Route("/deliveries/search", self._search, methods=["POST"]),
            *(
                Route(path, self._action(path, act), methods=["POST"])
                for path, act in self._actions().items()
            ),
            *(Route(path, self._page(view)) for path, view in PAGES.items()),
            Route("/{rest:path}", self._elsewhere),
        ]

    # --- answering ---

    def _page(self, view: Callable[[Look], View]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await self._signed_in(request, lambda: self._shown(request, view))

        return answer

    async def _elsewhere(self, request: Request) -> Response:
        def missing() -> Response:
            raise NotFound("There is no page at this address.")

        return await self._signed_in(request, missing)

    async def _style(self, _: Request) -> Response:
        return Response(_STYLE, media_type="text/css", headers=HEADERS | _KEPT)

    async def _icon(self, _: Request) -> Response:
        return Response(_ICON, media_type="image/svg+xml", headers=HEADERS | _KEPT)

    async def _search(self, request: Request) -> Response:
        """Turn the number that was typed into its pseudonym; the number itself goes no further."""
        try:
            form = await _form(request)
        except ClientDisconnect:
            return Response(status_code=400)
        number = (form or {}).get("number", [""])[0].strip()
        return await self._signed_in(request, lambda: self._found(request, number))

    def _found(self, request: Request, number: str) -> Response:
        if not 4 < len(number) <= _LONGEST_NUMBER:
            return self._problem(
                request, 400, "No identity number", "Type the patient's identity number, then search again."
            )
        with self.store.read() as tx:
            patient = views.patient_of(tx, self.inbox.pseudonym_key, number)
        return RedirectResponse(f"/deliveries?patient={patient}", status_code=303)

    async def _signed_in(self, request: Request, make: Callable[[], Response]) -> Response:
        """The answer to somebody who has signed in; until then the request takes no thread of the pool's."""
        person = await self.doorkeeper.person(request)
        request.state.person = person.name
        if person.name is None:
            make = partial(self._unknown, request, person.wait)
        return await run_in_threadpool(self._guarded, request, make)

    def _unknown(self, request: Request, wait: float) -> Response:
        if wait > 0:
            text = f"There were too many attempts to sign in. Try again in {ceil(wait)} s."
            response = self._problem(request, 429, "Wait a moment", text, signed_in=False)
            response.headers["Retry-After"] = str(ceil(wait))
            return response
        text = "Sign in with your name and password."
        response = self._problem(request, 401, "Sign in", text, signed_in=False)
        response.headers["WWW-Authenticate"] = ASK
        return response

    # --- acting ---

    def _actions(self) -> Mapping[str, Act]:
        return {
            "/alarms/{id}/seen": self._seen,
            "/alarms/{id}/close": self._close,
            "/cases/{id}/followed-up": self._followed_up,
            "/cases/{id}/place": self._place,
            "/cases/{id}/take-off": self._take_off,
        }

    def _action(self, path: str, act: Act) -> Callable[[Request], Any]:
        """A form by which a person does something about an alarm or a case; back to it when it is done."""
        of_a_case = path.startswith("/cases/")

        async def answer(request: Request) -> Response:
            try:
                form = await _form(request) or {}
            except ClientDisconnect:
                return Response(status_code=400)
            told = {name: values[0] for name, values in form.items()}
            acted = self._acted_on_case if of_a_case else self._acted
            return await self._signed_in(request, lambda: acted(request, told, act))

        return answer

    def _acted_on_case(self, request: Request, form: Mapping[str, str], act: Act) -> Response:
        if not self._from_here(request, form.get("token", "")):
            return self._not_from_here(request)
        case_id = views.number(request.path_params["id"])
        with self.store.read() as tx:
            row = case_rows.get(tx, case_id) if case_id is not None else None
        if row is None:
            raise NotFound("There is no such case. The list of cases shows those that there are.")
        case_id = row["id"]
        by = self._person(request, form)
        if not by:
            return self._problem(request, 400, "Something is missing", "Say who you are.")
        try:
            at = self._told_at(form.get("at", "").strip())
            said = Said(by=by, at=at, name=form.get("name", "").strip())
            self.store.write(lambda tx: act(tx, case_id, said))
        except ValueError:
            return self._problem(
                request, 400, "No time", "Write when it was as 2024-03-08T10:00, or leave it."
            )
        except NotFound as error:
            return self._problem(request, 400, "Nothing was recorded", f"{error}.")
        return RedirectResponse(f"/cases/{case_id}", status_code=303)

    def _told_at(self, text: str) -> datetime | None:
        """What a form says when something was, by the hospital's clock; None where it is left empty."""
        if not text:
            return None
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is not None else at.replace(tzinfo=self.inbox.zone)

    def _not_from_here(self, request: Request) -> Response:
        return self._problem(
            request, 403, "Not from this page", "Go back, load the page again, and press the button there."
        )

    def _person(self, request: Request, form: Mapping[str, str]) -> str:
        """Who acts: whoever has signed in; where nobody must, whom the form names."""
        return str(request.state.person) if self.doorkeeper.operators else form.get("by", "").strip()

    def _acted(self, request: Request, form: Mapping[str, str], act: Act) -> Response:
        if not self._from_here(request, form.get("token", "")):
            return self._not_from_here(request)
        by = self._person(request, form)
        said = Said(by=by, why=form.get("why", "").strip())
        alarm_id = views.number(request.path_params["id"])
        if alarm_id is None:
            raise NotFound("An alarm has a number.")
        if not by or (act == self._close and not said.why):
            return self._problem(request, 400, "Something is missing", "Say who you are and what was done.")
        self.store.write(lambda tx: act(tx, alarm_id, said))
        return RedirectResponse("/alarms", status_code=303)

    def _seen(self, tx: Connection, alarm_id: int, said: Said) -> None:
        self.inbox.outbox.alarms.see(tx, alarm_id, self.clock(), by=said.by)

    def _close(self, tx: Connection, alarm_id: int, said: Said) -> None:
        self.inbox.outbox.alarms.close(tx, alarm_id, self.clock(), by=said.by, why=said.why)

    def _followed_up(self, tx: Connection, case_id: int, said: Said) -> None:
        now = self.clock()
        self.inbox.cases.followed_up(
            tx, case_id, said.at or now, now, new_id=self.inbox.new_id(), by=said.by, what=said.name or None
        )

    def _place(self, tx: Connection, case_id: int, said: Said) -> None:
        now = self.clock()
        new_id = self.inbox.new_id()
        self.inbox.cases.place(tx, case_id, said.name, said.at or now, now, new_id=new_id, by=said.by)

    def _take_off(self, tx: Connection, case_id: int, said: Said) -> None:
        new_id = self.inbox.new_id
        self.inbox.cases.take_off(tx, case_id, said.name, self.clock(), new_id=new_id, by=said.by)

    def _from_here(self, request: Request, token: str) -> bool:
        """Whether a form is one of ours: another site can have the browser send one, but knows no token."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        ours = hmac.compare_digest(token.encode(), self._token(request).encode())
        return ours and site in ("same-origin", "none")

    def _token(self, request: Request) -> str:
        person = getattr(request.state, "person", None) or ""
        return hmac.new(self.inbox.pseudonym_key, f"form of {person}".encode(), "sha256").hexdigest()

    # --- guarding ---

    def _guarded(self, request: Request, make: Callable[[], Response]) -> Response:
        """The answer; whatever fails is told without anybody's data."""
        try:
            response = make()
        except NotFound as error:
            response = self._problem(request, 404, "Not found", str(error))
        except StoreError as error:
            response = self._problem(request, 503, "The store does not answer", f"{error}. Try again soon.")
        except Exception as error:  # noqa: BLE001  # its text may hold a patient's data, and must not reach a log
            log.error("a page failed", page=_pattern(request), error=type(error).__name__)
            response = self._problem(
                request,
                500,
                "This page failed",
                "It is a fault of the adapter; the other pages still work. Please report what you asked for.",
            )
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    # --- making ---

    def _shown(self, request: Request, view: Callable[[Look], View]) -> Response:
        say = self._wording()
        with self.store.read() as tx:
            made = view(
                Look(
                    tx=tx,
                    inbox=self.inbox,
                    register=self.register,
                    query=dict(request.query_params),
                    path=request.path_params,
                    now=say.now,
                    say=say,
                )
            )
            frame = _frame(tx)
        if made.elsewhere is not None:
            return RedirectResponse(made.elsewhere, status_code=307)
        return self._rendered(request, made.template, made.title, say, frame, made.values)

    def _problem(
        self, request: Request, status: int, title: str, text: str, *, signed_in: bool = True
    ) -> Response:
        values = {"status": status, "text": text, "signed_in": signed_in}
        frame = self._frame_of_a_problem() if signed_in else None
        response = self._rendered(request, "problem.html", title, self._wording(), frame, values)
        response.status_code = status
        return response

    def _frame_of_a_problem(self) -> Mapping[str, Any] | None:
        """None where the store itself does not answer."""
        try:
            with self.store.read() as tx:
                return _frame(tx)
        except StoreError:
            return None

    def _rendered(
        self,
        request: Request,
        template: str,
        title: str,
        say: Wording,
        frame: Mapping[str, Any] | None,
        values: Mapping[str, Any],
    ) -> Response:
        section = "/" + request.url.path.strip("/").split("/", 1)[0]
        text = _templates.get_template(template).render(
            **values,
            title=title,
            say=say,
            frame=frame,
            region=self.region,
            section=section,
            token=self._token(request),
            nameless=not self.doorkeeper.operators,
            style=STYLE,
        )
        return HTMLResponse(text)

    def _wording(self) -> Wording:
        return Wording(now=self.clock(), zone=self.inbox.zone, register=self.register)


def _frame(tx: Connection) -> dict[str, Any]:
    """What stands at the top of every page: how many alarms are open, and the newest that nobody has seen."""
    unseen = alarm_rows.listed(tx, open_only=True, unseen_only=True, limit=3)
    return {
        "open": sum(alarm_rows.counts(tx).values()),
        "newest": [views.alarm_line(row) for row in unseen],
    }


async def _form(request: Request) -> dict[str, list[str]] | None:
    """A short form; None where what came is no form, or too long for one."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return None
    try:
        return parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        return None


def _pattern(request: Request) -> str:
    """The page's address without what the person asked for."""
    route = request.scope.get("route")
    return getattr(route, "path", "elsewhere")
