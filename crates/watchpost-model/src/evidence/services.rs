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
