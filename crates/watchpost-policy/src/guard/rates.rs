//! Rates, kept by when the next may come (the generic cell rate algorithm).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use watchpost_model::shown_address;

use crate::denied::Denied;
use crate::limits::{Limits, Rate};

/// How many endpoints are remembered. Those that have been quiet for long enough to begin anew are forgotten first.
pub(super) const ENDPOINTS_MAX: usize = 16_384;

/// When the next is due at each endpoint, and of all.
#[derive(Debug, Default)]
pub(super) struct Rates {
    endpoints: HashMap<(IpAddr, u16), Instant>,
    overall: Option<Instant>,
}

impl Rates {
    /// Forgets what was used up of each rate that is another one now: an hour's would keep everybody waiting for that hour.
    pub(super) fn change(&mut self, before: &Limits, now: &Limits) {
        if before.per_endpoint != now.per_endpoint {
            self.endpoints.clear();
        }
        if before.overall != now.overall {
            self.overall = None;
        }
    }

    pub(super) fn admit(
        &mut self,
        limits: &Limits,
        endpoint: SocketAddr,
        now: Instant,
        patience: Duration,
    ) -> Result<Duration, Denied> {
        let key = (endpoint.ip().to_canonical(), endpoint.port());
        let overall = limits.overall.map(|rate| next(rate, self.overall, now));
        let single = limits.per_endpoint.map(|rate| next(rate, self.endpoints.get(&key).copied(), now));
        let refuse = |name: &str, rate: Option<Rate>, wait: Duration| {
            let rate = rate.map(|rate| rate.to_string()).unwrap_or_default();
            let (shown, wait) = (shown_address(endpoint), wait.as_secs_f64());
            let message = format!(
                "`limits.{name}` of the policy permits {rate}: {shown} would have had to wait for {wait:.1} s, and the check ends before that"
            );
            Err(Denied::new(format!("limits.{name}"), message))
        };
        if let Some((wait, _)) = single
            && wait > patience
        {
            return refuse("per_endpoint", limits.per_endpoint, wait);
        }
        if let Some((wait, _)) = overall
            && wait > patience
        {
            return refuse("overall", limits.overall, wait);
        }
        if let Some((_, due)) = single {
            if self.endpoints.len() >= ENDPOINTS_MAX && !self.endpoints.contains_key(&key) {
                self.endpoints.retain(|_, due| *due > now);
            }
            if self.endpoints.len() >= ENDPOINTS_MAX && !self.endpoints.contains_key(&key) {
                let message = format!(
                    "`limits.per_endpoint` of the policy is kept for {ENDPOINTS_MAX} endpoints at a time: {} is one too many",
                    shown_address(endpoint)
                );
                return Err(Denied::new("limits.per_endpoint", message));
            }
            self.endpoints.insert(key, due);
        }
        if let Some((_, due)) = overall {
            self.overall = Some(due);
        }
        let wait = |of: Option<(Duration, Instant)>| of.map_or(Duration::ZERO, |(wait, _)| wait);
        Ok(wait(single).max(wait(overall)))
    }
}

/// How long the next of a rate has to wait, and when the rate is used up until then.
///
/// `due` is when everything that came so far would be through if it came evenly. One may come early by a whole period less
/// its own share, so that a period's count may come at once.
fn next(rate: Rate, due: Option<Instant>, now: Instant) -> (Duration, Instant) {
    let share = rate.period() / rate.count();
    let due = due.map_or(now, |due| due.max(now));
    let early = rate.period().saturating_sub(share);
    let wait = due.saturating_duration_since(now).saturating_sub(early);
    (wait, due + share)
}
