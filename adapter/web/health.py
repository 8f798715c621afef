"""For machines that watch: `/healthz` (alive), `/readyz` (the store answers), `/metrics` (Prometheus)."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from adapter.errors import AdapterError
from adapter.store import Store
from adapter.web.metrics import CONTENT_TYPE, Metrics


def routes(store: Store, metrics: Metrics) -> list[Route]:
    """The three addresses."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(_: Request) -> Response:
        try:
            await run_in_threadpool(store.ready)
        except AdapterError as error:
            return PlainTextResponse(f"not ready: {error}\n", status_code=503)
        return PlainTextResponse("ready\n")

    async def scrape(_: Request) -> Response:
        try:
            body = await run_in_threadpool(metrics.text)
        except AdapterError as error:
            return PlainTextResponse(f"# not available: {error}\n", status_code=503)
        return Response(body, media_type=CONTENT_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape)]
