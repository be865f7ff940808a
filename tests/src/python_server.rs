//! Real servers that are written in Python: gRPC's own, and the WebSocket server of the package `websockets`.

use std::path::Path;
use std::process::Command;

use crate::server_process::{ServerProcess, accepts};
use crate::tls_fixture::PemFiles;

/// The folder that `deploy/fetch-test-servers.sh` makes.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/python-2");
const GRPC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/grpc_server.py");
const WEBSOCKET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/websocket_server.py");

/// Starts a gRPC server with the health service and these services: `shop.v1.Orders` and `shop.v1.Secret`,
/// which wants a token, are serving; `shop.v1.Stock` is not, and `shop.v1.Lost` is unknown by its own account.
///
/// # Panics
/// When it does not become ready.
pub fn grpc() -> ServerProcess {
    run("grpc", GRPC, &["health"], None)
}

/// Starts a gRPC server that offers nothing.
///
/// # Panics
/// When it does not become ready.
pub fn grpc_without_health() -> ServerProcess {
    run("grpc-none", GRPC, &["none"], None)
}

/// Starts a gRPC server as [`grpc`] does, which speaks TLS only.
///
/// # Panics
/// When it does not become ready.
pub fn grpc_with_tls(files: &PemFiles) -> ServerProcess {
    run("grpc-tls", GRPC, &["health"], Some(files))
}

/// Starts a WebSocket server that says back what it hears. It greets at `/greeting`, wants a user and a
/// password at `/secret`, and speaks the subprotocols `v1` and `v2` at `/versions`.
///
/// # Panics
/// When it does not become ready.
pub fn websocket() -> ServerProcess {
    run("websocket", WEBSOCKET, &[], None)
}

/// The same server, which speaks TLS only.
///
/// # Panics
/// When it does not become ready.
pub fn websocket_with_tls(files: &PemFiles) -> ServerProcess {
    run("websocket-tls", WEBSOCKET, &[], Some(files))
}

/// The folder with the Python packages that tests use.
///
/// # Panics
/// When it was not fetched.
pub fn packages() -> &'static str {
    assert!(Path::new(PACKAGES).is_dir(), "there are no Python packages to test with: run `just setup`");
    PACKAGES
}

fn run(name: &str, script: &str, args: &[&str], files: Option<&PemFiles>) -> ServerProcess {
    let command = |folder: &Path, port: u16| {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", packages()).arg(script).arg(port.to_string()).args(args);
        if let Some(files) = files {
            files.write_to(folder);
            command.args([PemFiles::KEY, PemFiles::CERTIFICATE]);
        }
        command
    };
    ServerProcess::start(name, command, accepts)
}
