//! One source, looked out for as the agent does.

use std::time::Duration;

use watchpost_model::Targets;
use watchpost_probe::{Lookout, ProbeOptions, Resolver, TargetFinder};
use watchpost_tests::process::SOON;

/// A lookout for the targets that `json` says.
pub fn look_out(json: &str, resolver: &Resolver) -> Lookout {
    let targets: Targets = serde_json::from_str(json).unwrap();
    TargetFinder::new(&ProbeOptions::new(resolver)).look_out(targets.into())
}

/// What the source says next: its addresses in order, or `code: why not`.
pub async fn next(lookout: &mut Lookout) -> Result<Vec<String>, String> {
    let said = tokio::time::timeout(SOON, lookout.next()).await.expect("the source says something");
    let mut addresses: Vec<String> = match said {
        Ok(found) => found.iter().filter_map(|target| target.address()).map(ToString::to_string).collect(),
        Err(reason) => return Err(format!("{}: {}", reason.code, reason.message)),
    };
    addresses.sort();
    Ok(addresses)
}

/// What the source says until it says `expected`.
pub async fn until(lookout: &mut Lookout, expected: &[&str]) {
    let waiting = async { while next(lookout).await.as_deref() != Ok(&owned(expected)) {} };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("it never says {expected:?}"));
}

/// Whether the source says nothing for a while.
pub async fn is_silent(lookout: &mut Lookout) -> bool {
    tokio::time::timeout(Duration::from_millis(600), lookout.next()).await.is_err()
}

pub fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
