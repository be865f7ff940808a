//! What services answered that speak over HTTP.

use serde::{Deserialize, Serialize};

/// What a gRPC server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GrpcEvidence {
    /// The status of the HTTP answer below the call; 200 where a gRPC server answered.
    pub http_status: u16,
    /// The status of the call, 0 for OK; absent where the server is no gRPC server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_status: Option<u32>,
    /// What the server said about the call's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_message: Option<String>,
    /// The service's health: `SERVING`, `NOT_SERVING`, `SERVICE_UNKNOWN` or `UNKNOWN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_status: Option<String>,
}

/// What a WebSocket server answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WebsocketEvidence {
    /// The status code of the handshake, 101 where the server agreed.
    pub status: u16,
    /// The subprotocol that the server chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<String>,
    /// How many messages came.
    #[serde(default)]
    pub messages: u64,
    /// The code with which the server closed, where it closed before the check did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_code: Option<u16>,
    /// What the server said about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_reason: Option<String>,
}

/// What an SSH server showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SshEvidence {
    /// How it introduces itself: `SSH-2.0-OpenSSH_9.2p1 Debian-2`.
    pub banner: String,
    /// The version of the protocol in it, `2.0` or `1.99`.
    pub protocol: String,
    /// The software in it, for example `OpenSSH_9.2p1`.
    pub software: String,
    /// How keys were agreed on, for example `curve25519-sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<String>,
    /// The type of the host key, for example `ssh-ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_type: Option<String>,
    /// The SHA-256 fingerprint of the host key, as `ssh-keygen -l` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}
