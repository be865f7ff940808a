//! Settings of the `grpc` check type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::HeaderName;
use crate::http::HeaderValue;
use crate::network::{RouteSettings, TlsSettings};
use crate::probe::TypeSettings;
use crate::target::HostPort;
use crate::text::text_type;

/// The most entries of metadata that a check sends.
const METADATA_MAX: usize = 32;

text_type!(
    /// The name of a service, for example `shop.v1.Orders`; at most 256 bytes.
    ServiceName,
    "the service",
    256,
    |text| match text.contains(char::is_control) {
        true => Err("the service's name holds a control character".into()),
        false => Ok(()),
    }
);

/// What a `grpc` check asks: `grpc.health.v1.Health/Check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcSettings {
    /// Where to connect: `host:port`.
    pub address: HostPort,
    /// How TLS is spoken; `tls: {}` for TLS with its defaults. Without this key the connection is a plain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSettings>,
    /// The service whose health is asked for; that of the server as a whole if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Metadata to send, by name: at most 32 entries, as HTTP headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<HeaderName, HeaderValue>,
    /// By which way the target is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl GrpcSettings {
    /// Asks the server at `address`, by TLS or not, for the health of `service`, or for its own.
    pub fn health(address: HostPort, tls: bool, service: Option<ServiceName>) -> Self {
        let tls = tls.then(TlsSettings::default);
        Self { address, tls, service, metadata: BTreeMap::new(), route: RouteSettings::default() }
    }
}

/// What expressions may ask of an answer.
const VARIABLES: &[Field] = &[
    Field::new("serving_status", Type::String, "`SERVING`, `NOT_SERVING`, `SERVICE_UNKNOWN` or `UNKNOWN`")
        .absent_because("the server did not tell the service's health"),
    Field::new("grpc_status", Type::Int, "the status of the call, 0 for OK"),
    Field::new("grpc_message", Type::String, "what the server said about the call's status"),
];

impl TypeSettings for GrpcSettings {
    const EXPECTS: &'static [&'static str] = &["cert_days"];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.address.clone())
    }

    fn target_name(&self) -> String {
        let scheme = if self.tls.is_some() { "grpcs" } else { "grpc" };
        let service = self.service.as_ref().map_or(String::new(), |service| format!("/{service}"));
        format!("{scheme}://{}{service}", self.address)
    }

    fn validate(&self) -> Result<(), String> {
        if self.metadata.len() > METADATA_MAX {
            return Err(format!(
                "`grpc.metadata` has {} entries: expected at most {METADATA_MAX}",
                self.metadata.len()
            ));
        }
        let of_the_protocol = |name: &str| {
            name.starts_with("grpc-")
                || name.ends_with("-bin")
                || matches!(
                    name,
                    "te" | "content-type" | "content-length" | "connection" | "transfer-encoding" | "host"
                )
        };
        if let Some(name) = self.metadata.keys().find(|name| of_the_protocol(name.as_str())) {
            return Err(format!("`grpc.metadata` has `{}`, which is not the check's to set", name.as_str()));
        }
        Ok(())
    }

    fn verifies_host(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.insecure && tls.server_name.is_none())
    }
}
