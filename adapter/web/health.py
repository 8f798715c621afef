"""For machines that watch: `/healthz` (alive), `/readyz` (the store answers), `/metrics` (Prometheus).

All are open, but for the metrics where the settings want an operator to sign in.
"""

import asyncio
from functools import partial
from math import ceil

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapter.errors import AdapterError
from adapter.store import Store
from adapter.web.entrance import BASIC, Entrance
from adapter.web.metrics import CONTENT_TYPE, Metrics


def routes(store: Store, metrics: Metrics, entrance: Entrance | None = None) -> list[Route]:
    """The three addresses; an entrance lets only operators see the metrics."""
    one = asyncio.Semaphore(1)  # a scrape reads the store, and anybody may ask for it

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        try:
            await run_in_threadpool(partial(store.ready, at_work=True))
        except AdapterError as error:
            return PlainTextResponse(f"not ready: {error}\n", status_code=503)
        return PlainTextResponse("ready\n")

    async def scrape(request: Request) -> Response:
        if entrance is not None:
            came = await entrance.operator(request)
            if came.wait > 0:
                later = {"Retry-After": str(ceil(came.wait))}
                return PlainTextResponse("too many attempts\n", status_code=429, headers=later)
            if came.name is None:
                return PlainTextResponse("sign in\n", status_code=401, headers={"WWW-Authenticate": BASIC})
        try:
            async with one:
                body = await run_in_threadpool(metrics.text)
        except AdapterError as error:
            return PlainTextResponse(f"# not available: {error}\n", status_code=503)
        return Response(body, media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape)]
