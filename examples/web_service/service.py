"""The reports as a FastAPI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from reports import PARAMETERS, Reports

from oppertune.streams.client import TunerClient

tuned = TunerClient("reports", PARAMETERS).start()  # where the app is made, whatever the server does later
reports = Reports(tuned)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """At the end of each process that serves, its client sends what is left, and says goodbye."""
    yield
    tuned.close(timeout_s=2)


app = FastAPI(lifespan=lifespan)


@app.get("/reports/{number}")
def report(number: int) -> Response:
    """One report."""
    body = reports.answer(number)
    return Response(body, media_type="application/json", headers={"Content-Encoding": "deflate"})


@app.get("/status")
def status() -> dict[str, object]:
    """What this process runs, and what is wrong."""
    return {"instance": tuned.instance, "values": dict(tuned.values), "problems": list(tuned.problems)}
