"""Puts a check on a bastion, waits for its first result, tests it, pauses it, and deletes it: with nats-py and JSON.

    python control_json.py nats://127.0.0.1:4222 demo http://127.0.0.1:8080/health
"""

import asyncio
import json
import sys

import nats


async def ask(bus, bastion: str, verb: str, **fields) -> dict:
    """Sends one request, and returns its answer; an error reply becomes an exception."""
    request = json.dumps({"v": 1, **fields}).encode()
    answer = await bus.request(f"watchpost.{bastion}.control.{verb}", request, timeout=5)
    reply = json.loads(answer.data)
    if answer.headers and "Watchpost-Error" in answer.headers:
        raise RuntimeError(f"{reply['code']}: {reply['message']}")
    return reply


async def test(bus, bastion: str, check: str) -> dict:
    """Runs a check once, prints what comes of it as it comes, and returns how the test ended."""
    inbox = bus.new_inbox()
    reports = await bus.subscribe(inbox)
    request = json.dumps({"v": 1, "check": check}).encode()
    await bus.publish(f"watchpost.{bastion}.control.check.test", request, reply=inbox)
    try:
        while True:
            message = await reports.next_msg(timeout=10)
            if not message.data:
                raise RuntimeError("nobody answers for this bastion")
            report = json.loads(message.data)
            if message.headers and "Watchpost-Error" in message.headers:
                raise RuntimeError(f"{report['code']}: {report['message']}")
            if report["kind"] == "result":
                result = report["result"]
                print("tested", result["target"]["name"], result["outcome"], result.get("reason", {}).get("message", ""))
            if report["kind"] == "end":
                return report["end"]
    finally:
        # The bastion notices that nobody listens any more, and stops the test if it still runs.
        await reports.unsubscribe()


async def main(server: str, bastion: str, url: str) -> None:
    bus = await nats.connect(server)
    check = {"id": "example", "http": {"url": url}, "interval": "1s", "timeout": "1s"}
    # `request` makes it safe to send again: the same id is carried out once.
    put = await ask(bus, bastion, "check.put", check=check, request="put-1", expected_revision=0)
    print("put", put["check"], put["report"]["standing"])

    # What a bastion publishes by itself is MessagePack (see control_msgpack.py); what it is asked for comes in kind.
    while not (last := await ask(bus, bastion, "result.last", check="example"))["results"]:
        await asyncio.sleep(0.1)
    print("ran", last["check"], last["results"][0]["outcome"])

    end = await test(bus, bastion, "example")
    print("test", "passed" if end["passed"] else "failed", end["results"])

    paused = await ask(bus, bastion, "check.pause", check="example", expected_revision=put["revision"])
    print("paused", paused["report"]["standing"])

    # Somebody who still believes in the first revision is told so, and overwrites nothing.
    try:
        await ask(bus, bastion, "check.put", check=check, expected_revision=put["revision"])
    except RuntimeError as error:
        print("refused", str(error).split(":")[0])

    status = await ask(bus, bastion, "bastion.status")
    print("status", status["bastion"], "checks", status["checks"])

    await ask(bus, bastion, "check.delete", check="example")
    listed = await ask(bus, bastion, "check.list")
    print("left", [report["check"] for report in listed["checks"]])
    await bus.drain()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
