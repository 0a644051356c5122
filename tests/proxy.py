"""A proxy before an HTTP server that is slow or faulty on demand.

python tests/proxy.py HOST:PORT --delay 0.02 --rate 125    prints its address, and serves
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

METHODS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")

_SLACK = 0.02
"""Seconds that the link may be booked ahead or make up for, so that one stream can fill it."""


@dataclass
class Proxy:
    """Passes bytes on; may change how it does so at any time."""

    host: str
    port: int
    delay: float = 0.0
    """Seconds that each request is held back."""
    rate: float = 0.0
    """Bytes per second that all answers together may have; 0 for any."""
    cuts: list[int] = field(default_factory=list)
    """Each entry ends one large response after so many bytes."""
    flips: list[int] = field(default_factory=list)
    """Each entry inverts the byte at this position of one large response."""
    refusals: int = 0
    """So many requests are answered with 503."""
    requests: list[str] = field(default_factory=list)
    """Method and path of every request, in order."""
    transferred: int = 0
    """Bytes passed to clients."""
    address: str = ""
    _free_at: float = 0.0

    async def serve(self) -> None:
        """Listens on a free port until cancelled; sets `address`."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.address = "{}:{}".format(*server.sockets[0].getsockname())
        await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection(self.host, self.port)
            pumps = (
                self._requests(reader, upstream[1], writer),
                self._answers(upstream[0], writer),
            )
            tasks = [asyncio.ensure_future(pump) for pump in pumps]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            upstream[1].close()
        except (OSError, asyncio.CancelledError):
            pass
        writer.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
    ) -> None:
        while block := await reader.read(1 << 16):
            if block.startswith(METHODS):
                self.requests.append(" ".join(block.split(b" ", 2)[i].decode() for i in (0, 1)))
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.refusals:
                    self.refusals -= 1
                    client.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
                    continue
            upstream.write(block)
            await upstream.drain()

    async def _answers(self, upstream: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        sent = 0
        while block := await upstream.read(1 << 18):
            if block.startswith(b"HTTP/1.1 "):
                sent = 0
            end = sent + len(block)
            if self.flips and sent <= self.flips[0] < end:
                position = self.flips.pop(0) - sent
                block = block[:position] + bytes([block[position] ^ 255]) + block[position + 1 :]
            if self.cuts and sent <= self.cuts[0] < end:
                client.write(block[: self.cuts.pop(0) - sent])
                await client.drain()
                return
            await self._turn(len(block))
            client.write(block)
            await client.drain()
            self.transferred += len(block)
            sent = end

    async def _turn(self, size: int) -> None:
        """Books the link for `size` bytes; waits while it is booked well ahead."""
        if self.rate:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - _SLACK) + size / self.rate
            if self._free_at - now > _SLACK:
                await asyncio.sleep(self._free_at - now)


@contextmanager
def running_proxy(server: str) -> Iterator[Proxy]:
    """A proxy in a thread of this process, before `host:port`."""
    host, _, port = server.partition(":")
    proxy = Proxy(host, int(port))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(_until_stopped(proxy),))
    thread.start()
    try:
        while not proxy.address:
            threading.Event().wait(0.01)
        yield proxy
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join()
        loop.close()


async def _until_stopped(proxy: Proxy) -> None:
    try:
        await proxy.serve()
    except asyncio.CancelledError:
        return


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="HOST:PORT")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds per request")
    parser.add_argument("--rate", type=float, default=0.0, help="MB per second, all answers")
    given = parser.parse_args()
    host, _, port = given.server.partition(":")
    proxy = Proxy(host, int(port), given.delay, given.rate * 1e6)

    async def serve() -> None:
        task = asyncio.ensure_future(proxy.serve())
        while not proxy.address:
            await asyncio.sleep(0.01)
        print(proxy.address, flush=True)
        await task

    asyncio.run(serve())


if __name__ == "__main__":
    main()
