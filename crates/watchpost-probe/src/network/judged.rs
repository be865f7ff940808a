//! What the customer's policy says of where a connection goes.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use watchpost_model::{CheckType, shown_address};
use watchpost_policy::{Denied, Dial, Lookup, Purpose, Transport};

use super::{Destination, Network};
use crate::Verdict;
use crate::recorder::{Recorder, Stage};

/// What a connection is for: what the policy is told beside the address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errand<'a> {
    pub(crate) check_type: CheckType,
    pub(crate) purpose: Purpose,
    /// The method, where it is an HTTP request.
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

    /// The host, unless it is an address: then there is no name that rules could speak of.
    fn name(&self) -> Option<&'a str> {
        self.host.parse::<IpAddr>().is_err().then_some(self.host)
    }

    /// The same by an HTTP request of this method.
    pub(crate) fn by_method(mut self, method: &'a str) -> Self {
        if let Some(errand) = &mut self.errand {
            errand.method = Some(method);
        }
        self
    }
}

impl Network {
    /// Those of `addresses`, all of which the name of `to` was just resolved to, that the policy permits to connect to.
    ///
    /// # Errors
    /// The verdict where there is none: on the first of them.
    pub(crate) fn permitted(
        &self,
        to: Destination<'_>,
        transport: Transport,
        mut addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Verdict> {
        let mut first_denied: Option<Denied> = None;
        addresses.retain(|address| match self.judge(to, to.name(), transport, *address) {
            Ok(()) => true,
            Err(denied) => {
                first_denied.get_or_insert(denied);
                false
            }
        });
        match first_denied {
            Some(denied) if addresses.is_empty() => Err(Verdict::denied(denied)),
            _ => Ok(addresses),
        }
    }

    /// That the policy permits to connect to `address`, which whoever made the task says, or the check itself does.
    ///
    /// What rules permit because of the name they permit only where the name has that address: it is resolved, then.
    ///
    /// # Errors
    /// The verdict where it does not, or the name cannot be resolved that it depends on.
    pub(crate) async fn permit_given(
        &self,
        to: Destination<'_>,
        transport: Transport,
        address: SocketAddr,
        recorder: &Recorder,
    ) -> Result<(), Verdict> {
        self.judge(to, to.name(), transport, address).map_err(Verdict::denied)?;
        let Some(name) = to.name() else { return Ok(()) };
        let Err(denied) = self.judge(to, None, transport, address) else { return Ok(()) };
        recorder.enter(Stage::Dns);
        let found = self.resolver.lookup(name).await.map_err(|e| e.verdict())?;
        recorder.leave();
        match found.contains(&address.ip()) {
            true => Ok(()),
            false => Err(Verdict::denied(denied)),
        }
    }

    fn judge(
        &self,
        to: Destination<'_>,
        host: Option<&str>,
        transport: Transport,
        address: SocketAddr,
    ) -> Result<(), Denied> {
        let Some(Errand { check_type, purpose, method }) = to.errand else { return Ok(()) };
        let dial = Dial { check_type, host, address, transport, purpose, method };
        self.guard.judge_dial(&dial)?;
        // Who answers depends on what is told. It opens nothing: whoever makes checks may say any name.
        to.told.iter().flatten().try_for_each(|told| self.guard.judge_dial(&Dial { host: Some(told), ..dial }))
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
        let told = to.told.iter().flatten().map(|told| Lookup { host: told, ..lookup });
        std::iter::once(lookup)
            .chain(told)
            .try_for_each(|lookup| self.guard.judge_behind_proxy(&lookup))
            .map_err(Verdict::denied)
    }

    /// Waits until the policy's rates permit one more connection, or datagram, to `address`. The time is none of the
    /// target's.
    ///
    /// # Errors
    /// The verdict where that would take longer than the check has.
    pub(super) async fn admit(&self, address: SocketAddr, recorder: &Recorder) -> Result<(), Verdict> {
        let wait = self.wait_for(address, recorder)?;
        if wait.is_zero() {
            return Ok(());
        }
        recorder.hold(format!("the rates of the policy did not permit to reach {}", shown_address(address)));
        tokio::time::sleep(wait).await;
        recorder.go_on();
        Ok(())
    }

    /// Takes a place in the policy's rates for one more connection, or datagram, to `address`, and tells how long to wait
    /// for it.
    ///
    /// # Errors
    /// The verdict where that is longer than the check has.
    pub(crate) fn wait_for(&self, address: SocketAddr, recorder: &Recorder) -> Result<Duration, Verdict> {
        self.guard.admit(address, Instant::now(), recorder.patience()).map_err(Verdict::denied)
    }

    /// That the rates permit it at once.
    ///
    /// # Errors
    /// Which of them does not.
    pub(super) fn admit_now(&self, address: SocketAddr) -> Result<(), Denied> {
        self.guard.admit(address, Instant::now(), Duration::ZERO).map(|_| ())
    }
}
