//! Settings of the `icmp` check type.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchpost_expr::{Field, Type};

use crate::network::RouteSettings;
use crate::probe::TypeSettings;
use crate::server::Host;
use crate::target::HostPort;
use crate::time::{Pause, Wait};
use crate::variables::TEXTS;

const COUNT_DEFAULT: u8 = 3;
/// The most echo requests of one check.
pub const ECHO_COUNT_MAX: u8 = 100;
const PAUSE_DEFAULT: Duration = Duration::from_millis(200);
/// What `ping` sends.
const SIZE_DEFAULT: u16 = 56;
/// The most that a packet of IPv4 can carry beside its own head and that of ICMP, in bytes.
const SIZE_MAX: u16 = 65_507;

/// What an `icmp` check does: send echo requests, and count the replies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IcmpSettings {
    /// The host to send to, by name or address.
    pub host: Host,
    /// How many echo requests are sent: 1 to 100; 3 if left out.
    #[serde(default = "count_default", skip_serializing_if = "is_count_default")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u8,
    /// The time from one request to the next, `10ms` to `10s`; `200ms` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Pause>,
    /// How long replies are waited for after the last request, at most `1m`; `1s` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// How many bytes a request carries beside its head: at most 65 507; 56 if left out.
    #[serde(default = "size_default", skip_serializing_if = "is_size_default")]
    #[schemars(range(max = 65_507))]
    pub size: u16,
    /// How many routers a request may pass: 1 to 255; what the system says if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub ttl: Option<u8>,
    /// The most requests that may stay without a reply, in percent: 0 to 99. If left out, one reply is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 99))]
    pub max_loss: Option<u8>,
    /// By which way the host is reached.
    #[serde(default, skip_serializing_if = "RouteSettings::is_default")]
    pub route: RouteSettings,
}

impl IcmpSettings {
    /// Sends three requests to `host`, of which one must be answered.
    pub fn to(host: Host) -> Self {
        let (count, size) = (COUNT_DEFAULT, SIZE_DEFAULT);
        Self {
            host,
            count,
            interval: None,
            wait: None,
            size,
            ttl: None,
            max_loss: None,
            route: RouteSettings::default(),
        }
    }

    /// The time from one request to the next.
    pub fn pause(&self) -> Duration {
        self.interval.map_or(PAUSE_DEFAULT, Pause::get)
    }

    /// How long replies are waited for after the last request.
    pub fn wait(&self) -> Duration {
        self.wait.map_or(Wait::DEFAULT, Wait::get)
    }
}

/// What expressions may ask of the replies.
const VARIABLES: &[Field] = &[
    Field::new("sent", Type::Int, "how many echo requests were sent"),
    Field::new("received", Type::Int, "how many of them were answered"),
    Field::new("loss_percent", Type::Double, "how many of them were not, in percent"),
    Field::new("duplicates", Type::Int, "how many replies came more than once"),
    Field::new("rtt_min_ms", Type::Double, "the shortest time from a request to its reply, in ms"),
    Field::new("rtt_avg_ms", Type::Double, "the mean of these times, in ms"),
    Field::new("rtt_max_ms", Type::Double, "the longest of these times, in ms"),
    Field::new("rtt_stddev_ms", Type::Double, "their standard deviation, in ms"),
    Field::new("errors", TEXTS, "what routers or the host said of requests that they did not deliver"),
];

impl TypeSettings for IcmpSettings {
    const EXPECTS: &'static [&'static str] = &[];
    const VARIABLES: &'static [Field] = VARIABLES;

    fn host_port(&self) -> Option<HostPort> {
        Some(self.host.without_port())
    }

    fn target_name(&self) -> String {
        self.host.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        if !(1..=ECHO_COUNT_MAX).contains(&self.count) {
            return Err(format!("`icmp.count` is {}: expected 1 to {ECHO_COUNT_MAX}", self.count));
        }
        if self.size > SIZE_MAX {
            return Err(format!("`icmp.size` is {}: expected at most {SIZE_MAX}", self.size));
        }
        if self.ttl == Some(0) {
            return Err("`icmp.ttl` is 0: expected 1 to 255".to_owned());
        }
        match self.max_loss {
            Some(percent @ 100..) => Err(format!(
                "`icmp.max_loss` is {percent}: expected 0 to 99, since a host that answers nothing is not up"
            )),
            _ => Ok(()),
        }
    }
}

fn count_default() -> u8 {
    COUNT_DEFAULT
}

fn is_count_default(given: &u8) -> bool {
    *given == COUNT_DEFAULT
}

fn size_default() -> u16 {
    SIZE_DEFAULT
}

fn is_size_default(given: &u16) -> bool {
    *given == SIZE_DEFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_all_that_is_needed() {
        let least: IcmpSettings = serde_json::from_str(r#"{"host": "fd00::1"}"#).unwrap();
        assert_eq!(least, IcmpSettings::to("fd00::1".parse().unwrap()));
        assert_eq!(serde_json::to_string(&least).unwrap(), r#"{"host":"fd00::1"}"#);
        assert_eq!(least.host_port().unwrap().to_string(), "fd00::1");
    }

    #[test]
    fn numbers_have_bounds() {
        for (more, told) in [
            (r#""count": 0"#, "1 to 100"),
            (r#""count": 101"#, "1 to 100"),
            (r#""size": 65508"#, "at most 65507"),
            (r#""ttl": 0"#, "1 to 255"),
            (r#""max_loss": 100"#, "0 to 99"),
        ] {
            let read: IcmpSettings = serde_json::from_str(&format!(r#"{{"host": "a", {more}}}"#)).unwrap();
            let error = read.validate().unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        for bad in [r#"{"host": "a:1"}"#, r#"{"host": "a", "interval": "1ms"}"#, r#"{"host": "a", "wait": "2m"}"#] {
            assert!(serde_json::from_str::<IcmpSettings>(bad).is_err(), "{bad}");
        }
    }
}
