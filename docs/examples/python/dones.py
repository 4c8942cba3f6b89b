"""python dones.py TENANT CLASS [COUNT]: prints the results of a tenant, each until it was acknowledged; COUNT ends it.

Start it as often as you like: all of them share one durable consumer.
"""

import asyncio
import json
import os
import sys

import nats
import nats.errors


async def main(tenant: str, data_class: str, count: float = float("inf")) -> None:
    """Read results, five seconds at a time: an empty wait is no error."""
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"), max_reconnect_attempts=-1)
    subject = f"slm.v1.done.{tenant}.{data_class}.*"
    dones = await nc.jetstream().pull_subscribe(subject, durable=f"archive-{tenant}-{data_class}", stream="SLM_DONE")
    while count > 0:
        try:
            (message,) = await dones.fetch(1, timeout=5)
        except nats.errors.TimeoutError:
            continue
        done = json.loads(message.data)
        print(json.dumps({"id": done["task_id"], "status": done["status"], "metadata": done["metadata"]}))
        await message.ack_sync()  # only after your own work with it is safe: what is not acknowledged comes again
        count -= 1
    await nc.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:4])))
