"""python enrich.py TEXT: submits a text and waits for its result, cancels it too late, asks one agent, runs a task.

NATS_URL says where the broker is.
"""

import asyncio
import json
import os
import sys
import uuid

import nats
from backend import ask, cancel, result, run, submit

TEXT = sys.argv[1] if len(sys.argv) > 1 else "Marta Ruiz of Acme called from Bilbao: two pallets are missing. 📦"


async def main() -> None:
    """Use each of the doors once."""
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), max_reconnect_attempts=-1)
    try:
        address = f"acme.internal.{uuid.uuid4()}"  # tenant, data class, and the id under which you may repeat it
        task = {"text": TEXT, "wanted": ["sentiment", "entities"], "metadata": {"ticket": 4711}}
        first = await submit(nc, address, task)
        again = await submit(nc, address, task)  # a retry: harmless
        done = await result(nc, address)
        if done is None:
            sys.exit("no result within a minute; the task is still in the mesh")
        show("submit", {"first": first, "again": again, **{name: done[name] for name in ("status", "metadata", "error")}})
        for wanted, answer in done["answers"].items():
            show(wanted, answer["error"] or answer["value"])
        found = (done["answers"].get("entities", {}).get("value") or {}).get("entities", [])
        show("names", [TEXT[entity["start"] : entity["end"]] for entity in found])

        show("cancel", await cancel(nc, *address.split(".")))  # too late: the result that came first stands

        answer = await ask(nc, "sentiment", {"text": TEXT})
        show("ask", answer["error"] or answer["value"])

        ran = await run(nc, "acme", "internal", {"text": TEXT, "wanted": ["summary"], "timeout_s": 10})
        show("run", ran["error"] or {"status": ran["status"], "summary": (ran["answers"]["summary"]["value"] or {}).get("summary")})
    finally:
        await nc.drain()


def show(what: str, value: object) -> None:
    """Print one thing on a line of its own."""
    print(json.dumps({what: value}, ensure_ascii=False))


if __name__ == "__main__":
    asyncio.run(main())
