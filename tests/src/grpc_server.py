"""A gRPC server with the health service, for the tests of `grpc` checks: PORT [health|none] [KEY CERTIFICATE]."""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


class Guard(grpc.ServerInterceptor):
    """Lets nobody ask for `shop.v1.Secret` who has not the right token."""

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler

        def guarded(request, context):
            given = dict(context.invocation_metadata()).get("authorization")
            if request.service == "shop.v1.Secret" and given != "Bearer hunter2hunter2":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no token, or a wrong one")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            guarded, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )


def main():
    port, services, *files = sys.argv[1:]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), interceptors=[Guard()])
    if services == "health":
        servicer = health.HealthServicer()
        for service, status in [
            ("", "SERVING"),
            ("shop.v1.Orders", "SERVING"),
            ("shop.v1.Secret", "SERVING"),
            ("shop.v1.Stock", "NOT_SERVING"),
            ("shop.v1.Lost", "SERVICE_UNKNOWN"),
        ]:
            servicer.set(service, getattr(health_pb2.HealthCheckResponse, status))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if files:
        key, certificate = (open(name, "rb").read() for name in files)
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        bound = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    else:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    assert bound == int(port), f"port {port} is in use"
    server.start()
    server.wait_for_termination()


main()
