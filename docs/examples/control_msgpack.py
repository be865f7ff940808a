"""Lists the checks of a bastion, prints the last result of each, and follows its results: with nats-py and MessagePack.

    python control_msgpack.py nats://127.0.0.1:4222 demo
"""

import asyncio
import sys

import msgpack
import nats

MSGPACK = {"Content-Type": "application/msgpack"}


async def ask(bus, bastion: str, verb: str, **fields) -> dict:
    """Sends one request, and returns its answer; an error reply becomes an exception."""
    request = msgpack.packb({"v": 1, **fields})
    answer = await bus.request(f"watchpost.{bastion}.control.{verb}", request, headers=MSGPACK, timeout=5)
    reply = msgpack.unpackb(answer.data)
    if answer.headers and "Watchpost-Error" in answer.headers:
        raise RuntimeError(f"{reply['code']}: {reply['message']}")
    return reply


async def checks(bus, bastion: str):
    """Every check of the bastion, some at a time."""
    after = {}
    while True:
        page = await ask(bus, bastion, "check.list", limit=100, **after)
        for report in page["checks"]:
            yield report
        if "next" not in page:
            return
        after = {"after": page["next"]}


async def main(server: str, bastion: str) -> None:
    bus = await nats.connect(server)
    results = await bus.subscribe(f"watchpost.{bastion}.result.*")
    async for report in checks(bus, bastion):
        last = await ask(bus, bastion, "result.last", check=report["check"])
        outcomes = [result["outcome"] for result in last["results"]]
        print("check", report["check"], report["standing"], *outcomes)

    # Results of scheduled runs come without being asked for.
    result = msgpack.unpackb((await results.next_msg(timeout=10)).data)
    print("result", result["check"], result["outcome"])
    await bus.drain()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
