"""Replaces a check a thousand times in the store, with nats-py, while a bastion runs it, and says in which slots it ran.

    python replace.py nats://127.0.0.1:4222 demo http://127.0.0.1:8080/ok
"""

import asyncio
import json
import sys

import msgpack
import nats

REPLACES = 1000


async def main(server: str, bastion: str, url: str) -> None:
    bus = await nats.connect(server)
    store = await bus.jetstream().key_value("WATCHPOST_CHECKS")
    results = await bus.subscribe(f"watchpost.{bastion}.result.often", pending_msgs_limit=10**6)

    def check(number: int) -> bytes:
        http = {"url": url, "headers": {"x-number": str(number)}}
        return json.dumps({"id": "often", "http": http, "interval": "1s", "timeout": "1s"}).encode()

    seen = []

    async def next_result() -> dict:
        seen.append(msgpack.unpackb((await results.next_msg(timeout=30)).data))
        return seen[-1]

    async def control(verb: str, **fields) -> dict:
        request = json.dumps({"v": 1, "check": "often", **fields}).encode()
        return json.loads((await bus.request(f"watchpost.{bastion}.control.{verb}", request, timeout=10)).data)

    await store.put(f"{bastion}.often", check(0))
    await next_result()
    revision = 0
    for number in range(1, REPLACES + 1):
        revision = await store.put(f"{bastion}.often", check(number))
    # The last one is in force some time after, and runs on.
    while (await control("check.get"))["report"].get("revision") != revision:
        await asyncio.sleep(0.02)
    for _ in range(3):
        await next_result()
    # What came while it was replaced waits in the queue.
    shown = await control("check.get")
    standing = shown["report"]["standing"]
    await store.delete(f"{bastion}.often")
    while (await control("check.get")).get("code") != "unknown_check":
        await asyncio.sleep(0.02)
    await bus.flush()
    while results.pending_msgs:
        await next_result()
    slots = [result["scheduled_at"] for result in seen]
    print(json.dumps({"slots": slots, "standing": standing, "number": shown["document"]["http"]["headers"]["x-number"]}))
    await bus.drain()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
