"""An asyncio loop in a thread, for callers who are not asynchronous: tests, the bench, the command line."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Served(Protocol):
    """What listens in a loop."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class LoopThread:
    """An asyncio loop in a thread of its own, for callers who are not asynchronous."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = 30.0) -> T:
        """Run `work` in the loop and wait for what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def stop(self) -> None:
        """End what still runs in the loop, and the thread."""
        with contextlib.suppress(TimeoutError):
            self.call(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        self.loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@contextlib.contextmanager
def serving(*receivers: Served) -> Iterator[LoopThread]:
    """Run the receivers in a thread until the block ends."""
    thread = LoopThread("receivers")
    try:
        for one in receivers:
            thread.call(one.start())
        yield thread
    finally:
        for one in receivers:
            thread.call(one.stop())
        thread.stop()
