"""For machines that watch: `/healthz` (alive), `/readyz` (the store answers), `/metrics` (Prometheus).

All are open, but for the metrics where the settings want an operator to sign in.
"""

import asyncio
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapter.errors import AdapterError
from adapter.store import Store
from adapter.web.metrics import CONTENT_TYPE, Metrics
from adapter.web.signing_in import ASK, Doorkeeper


def routes(store: Store, metrics: Metrics, doorkeeper: Doorkeeper | None = None) -> list[Route]:
    """The three addresses; a doorkeeper lets only operators see the metrics."""
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
        if doorkeeper is not None and (await doorkeeper.person(request)).person is None:
            return PlainTextResponse("sign in\n", status_code=401, headers={"WWW-Authenticate": ASK})
        try:
            async with one:
                body = await run_in_threadpool(metrics.text)
        except AdapterError as error:
            return PlainTextResponse(f"# not available: {error}\n", status_code=503)
        return Response(body, media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape)]
