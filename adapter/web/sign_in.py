"""Coming in and going out: `/sign-in`, `/sign-out`, the way to an OpenID provider and back, `/language`.

These are the addresses that somebody may ask for who has not signed in. A form is taken only from our own
pages: the browser says where it comes from, and to sign out, the session's token is needed as well.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from math import ceil
from typing import Any, Protocol
from urllib.parse import quote, unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from adapter.messaging.people import Role
from adapter.web.entrance import OPEN, PASSWORD, VOUCHED, Entrance
from adapter.web.oidc import NotVouched
from adapter.web.signing_in import from_another_site
from adapter.web.site import read_form
from adapter.web.words import LANGUAGES, Words

SIGN_IN, SIGN_OUT, LANGUAGE = "/sign-in", "/sign-out", "/language"
BEGIN, BACK = "/sign-in/openid", "/sign-in/back"
"""Where an OpenID provider is asked, and where it sends people back to."""

_BEGUN = "signing-in"  # a cookie
_A_YEAR = 365 * 24 * 3600
_LONGEST_WAY = 500  # characters
_AT_ONCE = 4  # threads that wait for the provider

_NOT_FROM_HERE = "Go back, load the page again, and press the button there."
_WRONG = "Name or password is wrong."


class Frame(Protocol):
    """What the pages lend: the frame, the words, and how failures are told."""

    @property
    def entrance(self) -> Entrance:
        """Where people come in."""
        ...

    def plain(
        self, request: Request, template: str, title: str, values: Mapping[str, Any], *, status: int = 200
    ) -> Response:
        """A page that reads nothing."""
        ...

    def words(self, request: Request) -> Words:
        """In the reader's language."""
        ...

    def problem(
        self, request: Request, status: int, title: str, text: str, *, signed_in: bool = True
    ) -> Response:
        """A page that says what is wrong."""
        ...

    def guarded(self, request: Request, make: Callable[[], Response]) -> Response:
        """The answer; whatever fails is told without anybody's data."""
        ...

    def from_here(self, request: Request, token: str) -> bool:
        """Whether a form is one of this session's."""
        ...

    async def look_who(self, request: Request) -> object:
        """Find out who has signed in."""
        ...


class SignIn:
    """The addresses for those who come and go."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._entrance = frame.entrance
        self._asking = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[BaseRoute]:
        """To stand before those of the pages."""
        return [
            Route(SIGN_IN, self._answer(self._ask)),
            Route(SIGN_IN, self._answer(self._try), methods=["POST"]),
            Route(SIGN_OUT, self._answer(self._leave), methods=["POST"]),
            Route(LANGUAGE, self._answer(self._choose), methods=["POST"]),
            Route(BEGIN, self._answer(self._begin)),
            Route(BACK, self._answer(self._back)),
        ]

    def _answer(self, make: Callable[[Request], Awaitable[Callable[[], Response]]]) -> Any:
        async def answer(request: Request) -> Response:
            try:
                made = await make(request)
            except ClientDisconnect:
                return Response(status_code=400)
            return await run_in_threadpool(self._frame.guarded, request, made)

        return answer

    # --- in ---

    async def _ask(self, request: Request) -> Callable[[], Response]:
        return lambda: self._asked(request, way(request.query_params.get("to", "")))

    def _asked(
        self, request: Request, to: str, *, wrong: str | None = None, name: str = "", status: int = 200
    ) -> Response:
        provider = self._entrance.provider
        values = {
            "to": to,
            "wrong": wrong,
            "name": name,
            "password": self._entrance.accounts is not None,
            "provider": None if provider is None else (provider.provider.label or ""),
            "begin": f"{BEGIN}?to={quote(to, safe='/')}",
            "visitors": [(person, next(iter(person.roles))) for person in self._entrance.visitors],
        }
        title = self._frame.words(request).of("Sign in")
        return self._frame.plain(request, "access/sign_in.html", title, values, status=status)

    def _not_from_here(self, request: Request) -> Response:
        of = self._frame.words(request).of
        return self._frame.problem(request, 403, of("Not from this page"), of(_NOT_FROM_HERE))

    async def _try(self, request: Request) -> Callable[[], Response]:
        form = await read_form(request) or {}
        said = {name: next(iter(form.get(name, ())), "") for name in ("name", "password", "as", "to")}
        to = way(said["to"])
        if from_another_site(request):
            return lambda: self._not_from_here(request)
        if said["as"]:
            visitor = self._entrance.by_click(said["as"])
            if visitor is not None:
                return lambda: self._in(request, visitor, OPEN, to)
            return lambda: self._asked(request, to, wrong=_WRONG, status=401)
        person, wait = await self._entrance.by_password(request, said["name"].strip(), said["password"])
        if person is not None:
            return lambda: self._in(request, person, PASSWORD, to)
        if wait > 0:
            return lambda: self._waits(request, wait)
        return lambda: self._asked(request, to, wrong=_WRONG, name=said["name"], status=401)

    def _in(self, request: Request, person: Any, how: str, to: str) -> Response:
        response = RedirectResponse(to, status_code=303)
        self._entrance.let_in(request, response, person, how)
        return response

    def _waits(self, request: Request, wait: float) -> Response:
        words = self._frame.words(request)
        of, span = words.of, words.span(timedelta(seconds=ceil(wait)))
        text = of("There were too many attempts to sign in. Try again in {span}.", span=span)
        response = self._frame.problem(request, 429, of("Wait a moment"), text, signed_in=False)
        response.headers["Retry-After"] = str(ceil(wait))
        return response

    # --- by way of a provider ---

    async def _begin(self, request: Request) -> Callable[[], Response]:
        provider, to = self._entrance.provider, way(request.query_params.get("to", ""))
        if provider is None:
            return lambda: RedirectResponse(SIGN_IN, status_code=303)
        try:
            async with self._asking:
                begun = await run_in_threadpool(provider.begin, to)
        except NotVouched as error:
            said = str(error)
            return lambda: self._asked(request, to, wrong=said, status=503)

        def made() -> Response:
            response = RedirectResponse(begun.url, status_code=303)
            secure = self._entrance.is_secure(request)
            response.set_cookie(
                _BEGUN, begun.cookie, max_age=600, httponly=True, secure=secure, samesite="lax", path=BACK
            )
            return response

        return made

    async def _back(self, request: Request) -> Callable[[], Response]:
        provider = self._entrance.provider
        if provider is None:
            return lambda: RedirectResponse(SIGN_IN, status_code=303)
        query, cookie = dict(request.query_params), request.cookies.get(_BEGUN, "")
        try:
            async with self._asking:
                person, to = await run_in_threadpool(provider.finish, query, cookie)
        except NotVouched as error:
            said = str(error)
            return lambda: _without(self._asked(request, "/", wrong=said, status=403))
        return lambda: _without(self._in(request, person, VOUCHED, way(to)))

    # --- out, and the language ---

    async def _leave(self, request: Request) -> Callable[[], Response]:
        form = await read_form(request) or {}
        await self._frame.look_who(request)
        token = next(iter(form.get("token", ())), "")

        def made() -> Response:
            if not self._frame.from_here(request, token):
                return self._not_from_here(request)
            response = RedirectResponse(SIGN_IN, status_code=303)
            self._entrance.let_out(request, response)
            return response

        return made

    async def _choose(self, request: Request) -> Callable[[], Response]:
        form = await read_form(request) or {}
        chosen = next(iter(form.get("language", ())), "")
        to = way(next(iter(form.get("to", ())), ""))

        def made() -> Response:
            response = RedirectResponse(to, status_code=303)
            if chosen in LANGUAGES and not from_another_site(request):
                secure = self._entrance.is_secure(request)
                response.set_cookie(
                    "language", chosen, max_age=_A_YEAR, httponly=True, secure=secure, samesite="lax"
                )
            return response

        return made


def _without(response: Response) -> Response:
    """What was begun is over, however it ended."""
    response.delete_cookie(_BEGUN, path=BACK)
    return response


_identifies = re.compile(r"\d{6}[-+ ]?\d{4}|\d{8}").search


def way(to: str) -> str:
    """A way within our own pages; the start where it leads elsewhere.

    What may be an identity number that somebody has typed into an address is not repeated.
    """
    if _identifies(unquote(to)):
        to = to.partition("?")[0]
    if _identifies(unquote(to)):
        return "/"
    plain = to.isprintable() and to.isascii() and "\\" not in to and len(to) <= _LONGEST_WAY
    inside = to.startswith("/") and not to.startswith("//") and not to.startswith((SIGN_IN, SIGN_OUT))
    return to if plain and inside else "/"


START = {Role.WARD: "/ward", Role.PRIMARY_CARE: "/primary-care", Role.MUNICIPALITY: "/municipality"}
"""Where the work of each care role begins."""
