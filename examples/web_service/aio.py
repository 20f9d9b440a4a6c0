"""The reports from an asyncio server, without a framework."""

import asyncio
import signal
import sys
from asyncio import StreamReader, StreamWriter

from reports import PARAMETERS, Reports

from oppertune.streams.client import TunerClient


async def serve(port: int) -> None:
    """Answers until the process is told to end."""
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    tuned = TunerClient("reports", PARAMETERS).start()
    reports = Reports(tuned)

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        while request := await reader.readline():
            while await reader.readline() not in {b"\r\n", b""}:
                pass  # headers
            number = request.split()[1].rpartition(b"/")[2]
            body = await asyncio.to_thread(reports.answer, int(number)) if number.isdigit() else b""
            status = "200 OK\r\nContent-Encoding: deflate" if body else "404 Not Found"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await over.wait()
    server.close()
    await asyncio.to_thread(tuned.close)  # it may wait for the broker: the loop goes on meanwhile


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
