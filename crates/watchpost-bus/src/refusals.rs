//! What the server of a bus does not permit. It says so beside the message that it is about, whose sender would wait for
//! an answer in vain.

use std::sync::Arc;

use tokio::sync::broadcast;

/// How many refusals somebody may be behind who listens for one of them.
const HELD_MAX: usize = 64;

/// Something that the server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A message on this subject.
    Publish(Arc<str>),
    /// A subscription to this filter.
    Subscribe(Arc<str>),
}

impl Refusal {
    /// Reads what nats-server says: `Permissions Violation for Publish to "a.b"`, `Permissions Violation for
    /// Subscription to "a.*" using queue "q"`. `None` where it complains of something else.
    pub(crate) fn parse(complaint: &str) -> Option<Self> {
        let (_, rest) = complaint.split_once("ermissions Violation for ")?;
        let (what, rest) = rest.split_once(" to \"")?;
        let (subject, _) = rest.split_once('"')?;
        match what {
            "Publish" => Some(Self::Publish(subject.into())),
            "Subscription" => Some(Self::Subscribe(subject.into())),
            _ => None,
        }
    }
}

/// Those who listen for refusals.
#[derive(Debug)]
pub(crate) struct Listeners(broadcast::Sender<Refusal>);

impl Default for Listeners {
    fn default() -> Self {
        Self(broadcast::Sender::new(HELD_MAX))
    }
}

impl Listeners {
    pub(crate) fn tell(&self, refusal: Refusal) {
        // Fails only where nobody listens.
        self.0.send(refusal).ok();
    }

    pub(crate) fn listen(&self) -> Refusals {
        Refusals(Some(self.0.subscribe()))
    }
}

/// What a bus refuses from now on.
#[derive(Debug)]
pub struct Refusals(Option<broadcast::Receiver<Refusal>>);

impl Refusals {
    /// Those of a bus that refuses nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Returns once a message on `subject` was refused, which may be never.
    ///
    /// # Cancel safety
    /// What was refused while nobody waits is seen by the next call.
    pub async fn of_publish(&mut self, subject: &str) {
        self.any(|refusal| matches!(refusal, Refusal::Publish(refused) if **refused == *subject)).await;
    }

    /// Returns once a message on `subject`, or a subscription to `filter`, was refused.
    pub(crate) async fn of_either(&mut self, subject: &str, filter: &str) {
        self.any(|refusal| match refusal {
            Refusal::Publish(refused) => **refused == *subject,
            Refusal::Subscribe(refused) => **refused == *filter,
        })
        .await;
    }

    /// Whether a subscription to `filter` was refused up to now.
    pub(crate) fn has_subscription(&mut self, filter: &str) -> bool {
        let Some(heard) = &mut self.0 else { return false };
        loop {
            match heard.try_recv() {
                Ok(Refusal::Subscribe(refused)) if *refused == *filter => return true,
                Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return false,
            }
        }
    }

    async fn any(&mut self, wanted: impl Fn(&Refusal) -> bool) {
        let Some(heard) = &mut self.0 else { return std::future::pending().await };
        loop {
            match heard.recv().await {
                Ok(refusal) if wanted(&refusal) => return,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_read() {
        for (complaint, refusal) in [
            ("nats: Permissions Violation for Publish to \"a.b\"", Some(Refusal::Publish("a.b".into()))),
            ("Permissions Violation for Subscription to \"a.*\"", Some(Refusal::Subscribe("a.*".into()))),
            (
                "Permissions Violation for Subscription to \"a.>\" using queue \"q\"",
                Some(Refusal::Subscribe("a.>".into())),
            ),
            ("Permissions Violation for Publish with Reply of \"a\"", None),
            ("nats: authorization violation", None),
            ("Permissions Violation for Publish to \"a", None),
            ("", None),
        ] {
            assert_eq!(Refusal::parse(complaint), refusal, "{complaint}");
        }
    }

    #[tokio::test]
    async fn each_listener_hears_of_its_own_subject() {
        let listeners = Listeners::default();
        let (mut a, mut b) = (listeners.listen(), listeners.listen());
        listeners.tell(Refusal::Publish("x".into()));
        listeners.tell(Refusal::Subscribe("y.*".into()));
        a.of_publish("x").await;
        assert!(b.has_subscription("y.*"));
        assert!(!b.has_subscription("y.*"), "it is told once");
        let mut late = listeners.listen();
        assert!(!late.has_subscription("y.*"));
    }
}
