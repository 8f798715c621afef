"""Pages for people: rendered here, readable without scripts, on a telephone and with the keyboard alone.

Every page is one short read of the store in the thread pool. What comes out of messages is escaped, and the
browser is told to frame, remember and pass on nothing, and to run nothing but our own script. Whoever looks
has signed in, and each look at a patient is written down before the page is given out.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from adapter.errors import NotFound, StoreError
from adapter.inbox import Inbox
from adapter.messaging.people import CARE, Person, Role
from adapter.messaging.register import Register
from adapter.owing import Uncountable
from adapter.phrases import Phrase, phrase
from adapter.sight import Sight, openable
from adapter.store import Store, emergencies, resources
from adapter.store import alarms as alarm_rows
from adapter.store.statements import Row
from adapter.web import (
    access,
    acting,
    boards,
    by_hand,
    ending,
    figures,
    first_notice,
    lifting,
    looking,
    many,
    operations,
    stay,
    views,
)
from adapter.web.entrance import Came, Entrance
from adapter.web.live import SCRIPT, Live
from adapter.web.sign_in import SIGN_IN, START, SignIn, way
from adapter.web.signing_in import from_another_site
from adapter.web.site import (
    EVERYBODY,
    Action,
    Doing,
    File,
    Link,
    Look,
    Mistake,
    Page,
    View,
    read_form,
)
from adapter.web.wording import Wording
from adapter.web.words import LANGUAGES, language_of

log = structlog.get_logger("pages")

_HERE = Path(__file__).parent
_OF_THEIR_OWN = ("plan.css",)  # styles that only some pages ask for
_STYLES = sorted(path for path in (_HERE / "static").glob("*.css") if path.name not in _OF_THEIR_OWN)
_STYLE = b"\n".join(path.read_bytes() for path in _STYLES)  # the frame's own name comes before its parts'
_STYLE_VERSION = hashlib.sha256(_STYLE).hexdigest()[:12]
STYLE = f"/static/pages.css?v={_STYLE_VERSION}"
"""The address of the stylesheet that every page has."""

_ICON = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8"
fill="#0b3d47"/><path d="M6 22 13 11l5 7 3-4 5 8z" fill="#ffd479"/></svg>"""
_LONGEST_NUMBER = 40  # characters

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
        "img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""On every answer to a person."""

SECURE = {"Strict-Transport-Security": "max-age=31536000"}
"""As well where they have come by https."""

_KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}

_PARTS = (
    boards, first_notice, views, many, operations, by_hand, lifting, figures, access, stay, acting, ending,
)  # fmt: skip
"""The parts of the site, each with its PAGES, ACTIONS and NAV."""

PAGES: tuple[Page, ...] = tuple(page for part in _PARTS for page in part.PAGES)
"""Every page; docs/pages.md describes each."""

ACTIONS: tuple[Action, ...] = tuple(action for part in _PARTS for action in part.ACTIONS)
"""Everything that people do with a form."""

_NOBODYS = secrets.token_hex(16)

_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _roles_of(person: Person, words: Wording) -> list[str]:
    """The person's roles in words, in the order of the roles."""
    return [words.code("role", role.value) for role in Role if role in person.roles]


def _parties_of(person: Person, words: Wording) -> list[str]:
    """Whose they are."""
    return [words.party(party) for party in person.parties or ()]


_templates.globals |= {"roles_of": _roles_of, "parties_of": _parties_of}


@dataclass(frozen=True, kw_only=True)
class Pages:
    """The pages over one store."""

    store: Store
    inbox: Inbox
    register: Register
    region: str | None  # its name; None in evaluation mode
    entrance: Entrance
    clock: Callable[[], datetime]
    country: str | None = None  # the region's rule file, by which the language is chosen last
    emergency_access: timedelta = timedelta(hours=1)  # how long one lasts
    live: Live | None = None  # None: pages stand still
    _repeats: looking.Repeats = field(default_factory=looking.Repeats, init=False)

    def routes(self) -> list[BaseRoute]:
        """Every page, the search, the stylesheet, and an answer to every other address."""
        return [
            Route("/static/pages.css", self._style),
            Route("/favicon.ico", self._icon),
            *SignIn(self).routes(),
            Route("/deliveries/search", self._search, methods=["POST"]),
            *(Route(action.path, self._action(action), methods=["POST"]) for action in ACTIONS),
            *(Route(page.path, self._page(page)) for page in PAGES),
            Route("/{rest:path}", self._elsewhere),
        ]

    # --- answering ---

    def _page(self, page: Page) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await self._signed_in(request, lambda: self._shown(request, page.view), roles=page.roles)

        return answer

    async def _elsewhere(self, request: Request) -> Response:
        def missing() -> Response:
            raise NotFound(phrase("There is no page at this address."))

        return await self._signed_in(request, missing)

    async def _style(self, _: Request) -> Response:
        return Response(_STYLE, media_type="text/css", headers=HEADERS | _KEPT)

    async def _icon(self, _: Request) -> Response:
        return Response(_ICON, media_type="image/svg+xml", headers=HEADERS | _KEPT)

    async def _search(self, request: Request) -> Response:
        """Turn the number that was typed into its pseudonym; the number itself goes no further."""
        try:
            form = await read_form(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if from_another_site(request):
            return Response(status_code=403, headers=HEADERS)
        number = (form or {}).get("number", [""])[0].strip()
        return await self._signed_in(request, lambda: self._found(request, number), roles=views.WATCHERS)

    def _found(self, request: Request, number: str) -> Response:
        if not 4 < len(number) <= _LONGEST_NUMBER:
            text = "Type the patient's identity number, then search again."
            return self.problem(request, 400, "No identity number", text)
        with self.store.read() as tx:
            patient = views.patient_of(tx, self.inbox.pseudonym_key, number)
            looked = operations.looked_up(tx, request.state.person, patient, self.clock())
        self.store.write(lambda tx: resources.accessed(tx, [looked]))
        return RedirectResponse(f"/deliveries?patient={patient}", status_code=303)

    async def _signed_in(
        self, request: Request, make: Callable[[], Response], *, roles: frozenset[Role] = EVERYBODY
    ) -> Response:
        """The answer to somebody who has signed in; until then the request takes no thread of the pool's."""
        person = await self.look_who(request)
        if person is None:
            make = partial(self._unknown, request)
        elif request.url.path == "/" and (start := _start(person)) != "/":
            make = partial(RedirectResponse, start, status_code=303)
        elif not person.holds(*roles):
            make = partial(self._not_theirs, request)
        return await run_in_threadpool(self.guarded, request, make)

    async def look_who(self, request: Request) -> Person | None:
        """Who has signed in to this request; known to it from then on."""
        try:
            came = await self.entrance.person(request)
        except StoreError:
            came = Came()
        request.state.came = came
        request.state.person = came.person
        return came.person

    def _not_theirs(self, request: Request) -> Response:
        text = "This page is for people with other tasks. Ask whoever gives out the roles if you need it."
        return self.problem(request, 403, "Not for your role", text)

    def _unknown(self, request: Request) -> Response:
        """To where people sign in, and from there back; a form is not taken along."""
        if request.method in ("GET", "HEAD"):
            here = way(request.url.path + (f"?{request.url.query}" if request.url.query else ""))
            to = f"?to={quote(here, safe='/')}" if here != "/" else ""
            return RedirectResponse(f"{SIGN_IN}{to}", status_code=303)
        text = "You are not signed in, or no longer. Sign in, then do it once more."
        return self.problem(request, 401, "Sign in", text, signed_in=False)

    # --- acting ---

    def _action(self, action: Action) -> Callable[[Request], Any]:
        """A form by which a person does something, in one unit of work; back to a page when it is done."""

        async def answer(request: Request) -> Response:
            try:
                form = await read_form(request) or {}
            except ClientDisconnect:
                return Response(status_code=400)
            return await self._signed_in(
                request, lambda: self._acted(request, form, action), roles=action.roles
            )

        return answer

    def _acted(self, request: Request, form: Mapping[str, list[str]], action: Action) -> Response:
        if not self.from_here(request, next(iter(form.get("token", ())), "")):
            text = "Go back, load the page again, and press the button there."
            return self.problem(request, 403, "Not from this page", text)
        person: Person = request.state.person
        words, now = self.words(request), self.clock()

        def act(tx: Connection) -> str:
            sight, _ = self._sight(tx, person, now)
            doing = Doing(
                tx=tx,
                inbox=self.inbox,
                register=self.register,
                form=form,
                path=request.path_params,
                now=now,
                person=person,
                sight=sight,
                words=words,
                emergency_access=self.emergency_access,
            )
            about = looking.about(tx, action.path, request.path_params)
            onward = action.act(doing)
            looking.write(tx, "act", action.path, about | doing.concerns, sight, now)
            return onward

        try:
            return RedirectResponse(self.store.write(act), status_code=303)
        except Mistake as mistake:
            if action.again is None:
                return self.problem(request, 400, "Nothing was recorded", str(mistake))
            typed = {name: values[0] for name, values in form.items() if name != "token" and values}
            response = self._shown(request, action.again, typed=typed, mistakes=mistake.fields)
            response.status_code = 400
            return response

    def from_here(self, request: Request, token: str) -> bool:
        """Whether a form is one of this session's; another site can have one sent, but knows no token."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        ours = hmac.compare_digest(token.encode(), self._token(request).encode())
        return ours and site in ("same-origin", "none") and not from_another_site(request)

    def _token(self, request: Request) -> str:
        came: Came = getattr(request.state, "came", Came())
        whose = came.session or (came.person.id if came.person is not None else _NOBODYS)
        of = f"form of {whose}"
        return hmac.new(self.inbox.pseudonym_key, of.encode(), "sha256").hexdigest()

    # --- guarding ---

    def guarded(self, request: Request, make: Callable[[], Response]) -> Response:
        """The answer; whatever fails is told without anybody's data."""
        try:
            response = make()
        except NotFound as error:
            response = self.problem(request, 404, "Not found", error.said)
        except StoreError:
            response = self.problem(request, 503, "The store does not answer", "Try again soon.")
        except Uncountable as error:
            log.error("cases cannot be counted", page=_pattern(request), cases=error.case_ids)
            response = self.problem(request, 500, "This page failed", error.said)
        except Exception as error:  # noqa: BLE001  # its text may hold a patient's data, and must not reach a log
            log.error("a page failed", page=_pattern(request), error=type(error).__name__)
            text = (
                "It is a fault of the adapter; the other pages still work. Please report what you asked for."
            )
            response = self.problem(request, 500, "This page failed", text)
        wanted = HEADERS | SECURE if self.entrance.is_secure(request) else HEADERS
        for name, value in wanted.items():
            response.headers.setdefault(name, value)
        response.headers["Content-Language"] = self.words(request).language
        return response

    # --- making ---

    def _shown(
        self,
        request: Request,
        view: Callable[[Look], View],
        *,
        typed: Mapping[str, str] | None = None,
        mistakes: Mapping[str, str] | None = None,
    ) -> Response:
        since = self.live.version() if self.live is not None else None
        words = self.words(request)
        person: Person = request.state.person
        sight, open_now = self._looking(person, words.now)
        with self.store.read() as tx:  # nothing is read before the view: it may have the shelves filled first
            made = view(
                Look(
                    tx=tx,
                    inbox=self.inbox,
                    register=self.register,
                    query=dict(request.query_params),
                    path=request.path_params,
                    now=words.now,
                    person=person,
                    sight=sight,
                    words=words,
                    emergency_access=self.emergency_access,
                    typed=typed or {},
                    mistakes=mistakes or {},
                )
            )
            frame = _frame(tx, person, open_now, words)
            about = (
                looking.about(tx, _pattern(request), request.path_params) if typed is None else frozenset()
            )
        if made.elsewhere is not None:
            return RedirectResponse(made.elsewhere, status_code=307)
        page, again = _pattern(request), request.headers.get("x-live") is not None
        if seen := self._repeats.new(person, page, made.patients | about, words.now, again=again):
            self.store.write(lambda tx: looking.write(tx, "view", page, seen, sight, words.now))
            self._repeats.keep(person, page, seen, words.now)
        if made.file is not None:
            return _file(made.file)
        values = {**made.values, "typed": typed or {}, "mistakes": mistakes or {}, "since": since}
        return self._rendered(request, made.template, made.title, words, frame, values)

    def problem(
        self, request: Request, status: int, title: str, text: str, *, signed_in: bool = True
    ) -> Response:
        """Why there is no answer: keys of the catalogs, or phrases."""
        words = self.words(request)
        shown = words.told(text, begin=True) if isinstance(text, Phrase) else words.of(text)
        values = {"status": status, "text": shown, "signed_in": signed_in, "mistakes": {}, "since": None}
        person: Person | None = getattr(request.state, "person", None)
        frame = self._frame_of_a_problem(person, words) if signed_in and person is not None else None
        response = self._rendered(request, "problem.html", words.of(title), words, frame, values)
        response.status_code = status
        return response

    def plain(
        self, request: Request, template: str, title: str, values: Mapping[str, Any], *, status: int = 200
    ) -> Response:
        """A page that reads nothing: for those who have not signed in."""
        values = {**values, "mistakes": {}, "typed": {}, "since": None}
        words = self.words(request)
        response = self._rendered(request, template, words.of(title), words, None, values)
        response.status_code = status
        return response

    def _sight(self, tx: Connection, person: Person, now: datetime) -> tuple[Sight, list[Row]]:
        """What the person sees, and by which emergencies beyond the usual."""
        rows = emergencies.open_of(tx, person.id, now) if person.holds(*CARE) else []
        opened = openable(tx, person, {row["patient"]: row["why"] for row in rows})
        return Sight(person=person, register=self.register, emergencies=opened), rows

    def _looking(self, person: Person, now: datetime) -> tuple[Sight, list[Row]]:
        with self.store.read() as tx:
            return self._sight(tx, person, now)

    def _frame_of_a_problem(self, person: Person, words: Wording) -> Mapping[str, Any] | None:
        """None where the store itself does not answer."""
        try:
            with self.store.read() as tx:
                return _frame(tx, person, self._sight(tx, person, words.now)[1], words)
        except StoreError:
            return None

    def _rendered(
        self,
        request: Request,
        template: str,
        title: str,
        words: Wording,
        frame: Mapping[str, Any] | None,
        values: Mapping[str, Any],
    ) -> Response:
        section = "/" + request.url.path.strip("/").split("/", 1)[0]
        text = _templates.get_template(template).render(
            **values,
            title=title,
            words=words,
            _=words.of,
            person=getattr(request.state, "person", None),
            frame=frame if frame and "open" in frame else None,
            emergencies=(frame or {}).get("emergencies", ()),
            languages=LANGUAGES,
            here=_here(request),
            region=self.region,
            section=section,
            nav=_nav(getattr(request.state, "person", None)),
            token=self._token(request),
            style=STYLE,
            script=SCRIPT,
        )
        return HTMLResponse(text)

    def words(self, request: Request) -> Wording:
        """In the reader's language."""
        chosen = request.cookies.get("language")
        return Wording(
            language=language_of(chosen, request.headers.get("accept-language"), self.country),
            zone=self.inbox.zone,
            now=self.clock(),
            register=self.register,
            country=self.country,
        )


def _file(file: File) -> Response:
    """A file as the browser may have it: in a box without scripts, under its own name."""
    how = "inline" if file.shown else "attachment"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in file.name)
    named = f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(file.name, safe='')}"
    boxed = {"Content-Disposition": named, "Content-Security-Policy": "default-src 'none'; sandbox"}
    return Response(file.content, headers=boxed | {"Content-Type": file.media_type})


def _frame(tx: Connection, person: Person, open_now: list[Row], words: Wording) -> dict[str, Any]:
    """What stands at the top of every page: open emergencies; for those whose they are, the alarms."""
    frame: dict[str, Any] = {"emergencies": open_now}
    if not person.holds(*views.WATCHERS):
        return frame
    unseen = alarm_rows.listed(tx, open_only=True, unseen_only=True, limit=3)
    return frame | {
        "open": sum(alarm_rows.counts(tx).values()),
        "newest": [views.alarm_line(row, words) for row in unseen],
    }


def _start(person: Person) -> str:
    """Where somebody's work begins: operations keep the overview."""
    if person.holds(Role.OPERATIONS):
        return "/"
    return next((way for role, way in START.items() if person.holds(role)), "/looks")


def _here(request: Request) -> str:
    """Where a change of language leads back to."""
    if request.method not in ("GET", "HEAD"):
        return "/"
    if request.url.path == SIGN_IN:
        to = quote(way(request.query_params.get("to", "")), safe="/")
        return f"{SIGN_IN}?to={to}"
    return way(request.url.path + (f"?{request.url.query}" if request.url.query else ""))


def _nav(person: Person | None) -> list[Link]:
    """The ways to other pages that the person may open."""
    return [link for part in _PARTS for link in part.NAV if person is not None and person.holds(*link.roles)]


def _pattern(request: Request) -> str:
    """The page's address without what the person asked for."""
    route = request.scope.get("route")
    return getattr(route, "path", "elsewhere")
