"""A WebSocket server for the tests of `websocket` checks: PORT [KEY CERTIFICATE]."""

import asyncio
import ssl
import sys

from websockets.asyncio.server import basic_auth, serve


async def handler(connection):
    if connection.request.path == "/greeting":
        await connection.send("hello")
        await connection.send("ready to serve")
    if connection.request.path == "/leaving":
        await connection.close(1011, "no database")
    async for message in connection:
        await connection.send(message)


async def main():
    port, *files = sys.argv[1:]
    context = None
    if files:
        key, certificate = files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    authenticate = basic_auth(realm="watchpost", credentials=("ann", "hunter2hunter2"))

    async def admit(connection, request):
        if request.path == "/secret":
            return await authenticate(connection, request)

    def choose(connection, offered):
        if connection.request.path != "/versions":
            return None
        return next((name for name in ("v2", "v1") if name in offered), None)

    async with serve(handler, "127.0.0.1", int(port), ssl=context, process_request=admit, select_subprotocol=choose):
        await asyncio.get_running_loop().create_future()


asyncio.run(main())
