//! Logging more or less for a while, on request.

use std::sync::Arc;
use std::time::Duration;

use watchpost_model::{ErrorCode, ErrorReply, LogFilter, LogLevelSet, SetLogLevel, V1};

use super::ControlContext;
use super::answer::error;
use crate::clock::later;

/// What a process logs with.
pub trait LogControl: Send + Sync + 'static {
    /// Logs what these directives say, `TARGET=LEVEL` with commas between, on top of what the process was started with;
    /// without any, that alone.
    ///
    /// # Errors
    /// What is wrong with them, or with the log.
    fn set(&self, directives: Option<&str>) -> Result<(), String>;
}

/// The parts of Watchpost, as the log calls them. Of other libraries nothing more is logged because somebody asked for
/// it over the bus: some write down what they send and receive, with its secrets.
const PARTS: [&str; 8] = [
    "watchpost",
    "watchpost_agent",
    "watchpost_bus",
    "watchpost_console",
    "watchpost_core",
    "watchpost_expr",
    "watchpost_model",
    "watchpost_probe",
];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Changes what is logged, and sees to it that it goes back by itself.
pub(super) fn set(cx: &ControlContext, set: SetLogLevel) -> Result<LogLevelSet, ErrorReply> {
    let SetLogLevel { filter, for_s, .. } = set;
    let bad = |told| ErrorReply { field: Some("filter".to_owned()), ..error(ErrorCode::BadPayload, told) };
    let directives = directives(&filter).map_err(bad)?;
    let log = cx.log.get().ok_or_else(|| error(ErrorCode::Unavailable, "the log of this process cannot be changed"))?;
    let limit = Duration::from_secs(for_s.unwrap_or(SetLogLevel::FOR_S_DEFAULT).into());
    // Held while it is changed, so that the timer of another request does not end what this one begins.
    let mut timer = cx.log_timer.lock();
    log.set(Some(&directives)).map_err(bad)?;
    tracing::info!(filter = filter.as_str(), ?limit, "what is logged was changed over the bus");
    let log = Arc::clone(log);
    let back = cx.looked.helpers.spawn("log", async move {
        tokio::time::sleep(limit).await;
        match log.set(None) {
            Ok(()) => tracing::info!("what is logged is what it was at the start again"),
            Err(error) => tracing::error!(error, "what is logged could not be set back"),
        }
    });
    if let Some(before) = timer.replace(back) {
        before.abort();
    }
    let (bastion, runner) = cx.looked.names();
    Ok(LogLevelSet { v: V1, bastion, runner, filter, until: later(cx.looked.clock.now(), limit) })
}

/// What a filter says of Watchpost's own parts. A level alone is that of all of them.
fn directives(filter: &LogFilter) -> Result<String, String> {
    let expected = "expected a level (error, warn, info, debug, trace), or `PART=LEVEL` with a part of Watchpost such as \
                    `watchpost_agent=debug`, with commas between";
    let level = |text: &str| {
        let lower = text.to_ascii_lowercase();
        LEVELS
            .into_iter()
            .find(|level| *level == lower)
            .ok_or_else(|| format!("`{}` is not a level: {expected}", shown(text)))
    };
    let mut directives = Vec::new();
    for given in filter.as_str().split(',').map(str::trim) {
        match given.split_once('=') {
            None => {
                let level = level(given)?;
                directives.extend(PARTS.iter().map(|part| format!("{part}={level}")));
            }
            Some((target, of_target)) => {
                let part = target.split("::").next().unwrap_or_default();
                let plain = target.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
                if !PARTS.contains(&part) || !plain {
                    return Err(format!("`{}` is not a part of Watchpost: {expected}", shown(target)));
                }
                directives.push(format!("{target}={}", level(of_target)?));
            }
        }
    }
    Ok(directives.join(","))
}

fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    watchpost_model::shorten(text, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(filter: &str) -> Result<String, String> {
        directives(&filter.parse().unwrap())
    }

    #[test]
    fn a_level_is_that_of_every_part_and_of_nothing_else() {
        let all = read("debug").unwrap();
        assert_eq!(all.split(',').count(), PARTS.len());
        assert!(all.split(',').all(|one| one.starts_with("watchpost") && one.ends_with("=debug")), "{all}");
        let more = read("Info, watchpost_agent::checker=trace").unwrap();
        assert!(more.ends_with(",watchpost_agent::checker=trace") && more.contains("watchpost_bus=info"), "{more}");
    }

    #[test]
    fn what_could_show_secrets_or_is_no_filter_is_refused() {
        for bad in [
            "",
            "loud",
            "h2=trace",
            "hyper::proto=debug",
            "watchpost_x=info",
            "watchpost_agent[span]=info",
            "info,",
            "watchpost=",
            "=",
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains("expected"), "{bad}: {error}");
        }
    }
}
