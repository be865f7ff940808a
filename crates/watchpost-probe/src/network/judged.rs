//! What the customer's policy says of where a connection goes.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use watchpost_model::{CheckType, shown_address};
use watchpost_policy::{Denied, Dial, Lookup, Purpose, Transport};

use super::{Destination, Network};
use crate::Verdict;
use crate::recorder::Recorder;

/// What a connection is for: what the policy is told beside the address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand<'a> {
    pub(crate) check_type: CheckType,
    pub(crate) purpose: Purpose,
    /// The method, where it is the request of an `http` or `steps` check, or of a source of targets.
    pub(crate) method: Option<&'a str>,
}

impl Errand<'_> {
    /// To what a check of this type is about.
    pub(crate) fn to_target(check_type: CheckType) -> Self {
        Self { check_type, purpose: Purpose::Target, method: None }
    }
}

impl<'a> Destination<'a> {
    fn lookup(&self, transport: Transport) -> Option<Lookup<'a>> {
        let Errand { check_type, purpose, method } = self.errand?;
        Some(Lookup { check_type, host: self.host, port: self.port, transport, purpose, method })
    }

    /// Whether the host is given as an address: then there is no name that rules could speak of.
    fn is_by_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }
}

impl Network {
    /// Those of `addresses` that the policy permits to connect to. All of them were found for the name of `to`, or one of
    /// them was given.
    ///
    /// # Errors
    /// The verdict where there is none: on the first of them.
    pub(crate) fn permitted(
        &self,
        to: Destination<'_>,
        transport: Transport,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Verdict> {
        let Some(errand) = to.errand else { return Ok(addresses) };
        let host = (!to.is_by_address()).then_some(to.host);
        let mut first_denied: Option<Denied> = None;
        addresses.retain(|address| {
            let Errand { check_type, purpose, method } = errand;
            let dial = Dial { check_type, host, address: *address, transport, purpose, method };
            match self.guard.judge_dial(&dial) {
                Ok(()) => true,
                Err(denied) => {
                    first_denied.get_or_insert(denied);
                    false
                }
            }
        });
        match first_denied {
            Some(denied) if addresses.is_empty() => Err(Verdict::denied(denied)),
            _ => Ok(addresses),
        }
    }

    /// That the name of `to` may be resolved: no name server hears of what no rule could permit, whatever its
    /// address is.
    ///
    /// # Errors
    /// The verdict where it may not.
    pub(crate) fn permit_name(&self, to: Destination<'_>, transport: Transport) -> Result<(), Verdict> {
        let Some(lookup) = to.lookup(transport) else { return Ok(()) };
        self.guard.judge_name(&lookup).map_err(Verdict::denied)
    }

    /// Whether a proxy may be given a name, which it resolves itself.
    pub(crate) fn proxies_resolve(&self) -> bool {
        self.guard.policy().proxies_resolve()
    }

    /// That a proxy may be asked for the name of `to`: there is no address that could be judged.
    ///
    /// # Errors
    /// The verdict where it may not.
    pub(crate) fn permit_name_behind_proxy(&self, to: Destination<'_>) -> Result<(), Verdict> {
        let Some(lookup) = to.lookup(Transport::Tcp) else { return Ok(()) };
        self.guard.judge_behind_proxy(&lookup).map_err(Verdict::denied)
    }

    /// Waits until the policy's rates permit one more connection, or datagram, to `address`. The time is none of the
    /// target's.
    ///
    /// # Errors
    /// The verdict where that would take longer than the check has.
    pub(super) async fn admit(&self, address: SocketAddr, recorder: &Recorder) -> Result<(), Verdict> {
        let wait = self.guard.admit(address, Instant::now(), recorder.patience()).map_err(Verdict::denied)?;
        if wait.is_zero() {
            return Ok(());
        }
        recorder.hold(format!("the rates of the policy did not permit to reach {}", shown_address(address)));
        tokio::time::sleep(wait).await;
        recorder.go_on();
        Ok(())
    }

    /// That the rates permit it at once.
    ///
    /// # Errors
    /// Which of them does not.
    pub(super) fn admit_now(&self, address: SocketAddr) -> Result<(), Denied> {
        self.guard.admit(address, Instant::now(), Duration::ZERO).map(|_| ())
    }
}
