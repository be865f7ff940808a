//! The life of one process.

use watchpost_agent::{AgentStatus, Roles};
use watchpost_model::{TaskId, Timestamp};

use super::super::host::DAY_ZERO_US;
use super::super::log::{Entry, Event, Us};
use super::super::plan::{Action, MS, Plan, S};

/// How far behind the moment at which it is due something may be: timers tick in ms.
pub const SLACK_US: Us = 5 * MS;
/// How long before it was sent a task may have been made: for so long its clock is asked for.
const MADE_BEFORE_US: Us = 30 * S;

pub struct History<'a> {
    pub roles: Roles,
    pub id: usize,
    pub entries: Vec<&'a Entry>,
    /// From when to when it did not notice that time passed.
    stalls: Vec<(Us, Us)>,
    /// Time of day less simulated time, from when on.
    days: Vec<(Us, i64)>,
    /// When everything of it was dropped, or the simulation ended.
    pub ends_at: Us,
    pub stop: Option<Stop<'a>>,
    /// Whether a time of day went back: then slots recur, and with them the ids of runs and tasks.
    pub set_back: bool,
    /// Whether its time of day was ever set.
    pub set: bool,
}

/// A stop in order, from its beginning.
pub struct Stop<'a> {
    pub began_at: Us,
    pub grace_us: Us,
    /// When it was over, what was named as abandoned, and whether everything was flushed.
    pub over: Option<(Us, &'a [TaskId], bool)>,
    /// How the agent stood after it.
    pub after: Option<&'a AgentStatus>,
}

impl<'a> History<'a> {
    pub fn of_all(plan: &Plan, entries: &'a [Entry]) -> Vec<Self> {
        let count = entries.iter().map(|entry| entry.process + 1).max().unwrap_or(0);
        let end = entries.last().map_or(plan.ends_at, |entry| entry.at);
        let mut all: Vec<Self> = (0..count).filter_map(|id| Self::of(id, end, entries)).collect();
        // What one Checker asked before its clock was set back, the next one may ask again.
        let set_back = plan.actions.iter().any(|(_, action)| matches!(action, Action::SetDay { by_us: ..0, .. }));
        all.iter_mut().for_each(|process| process.set_back = set_back);
        all
    }

    fn of(id: usize, end: Us, entries: &'a [Entry]) -> Option<Self> {
        let entries: Vec<&Entry> = entries.iter().filter(|entry| entry.process == id).collect();
        let roles = entries.iter().find_map(|entry| match entry.event {
            Event::Started(roles) => Some(roles),
            _ => None,
        })?;
        let (mut stalls, mut days, mut ends_at, mut stop) = (Vec::new(), Vec::new(), end, None::<Stop<'a>>);
        for entry in &entries {
            match &entry.event {
                Event::Stalled(until) => stalls.push((entry.at, *until)),
                Event::DaySet(offset) => days.push((entry.at, *offset)),
                Event::Killed => ends_at = entry.at,
                Event::StopBegan { grace_us } => {
                    stop = Some(Stop { began_at: entry.at, grace_us: *grace_us, over: None, after: None });
                }
                Event::Stopped { abandoned, flushed } => {
                    if let Some(stop) = &mut stop {
                        stop.over = Some((entry.at, abandoned, *flushed));
                    }
                }
                Event::Looked(status) => {
                    if let Some(stop) = &mut stop
                        && stop.over.is_some()
                        && stop.after.is_none()
                    {
                        stop.after = Some(status);
                    }
                }
                _ => {}
            }
        }
        let set = days.len() > 1;
        Some(Self { roles, id, entries, stalls, days, ends_at, stop, set_back: false, set })
    }

    pub fn has_checker(&self) -> bool {
        self.roles != Roles::Runner
    }

    pub fn has_runner(&self) -> bool {
        self.roles != Roles::Checker
    }

    /// When it noticed what happened then.
    pub fn noticed(&self, at: Us) -> Us {
        // One stall may begin in another.
        let mut noticed = at;
        for (from, until) in &self.stalls {
            if (*from..*until).contains(&noticed) {
                noticed = *until;
            }
        }
        noticed
    }

    /// Whether it noticed everything between these two moments as it happened.
    pub fn awake(&self, from: Us, until: Us) -> bool {
        self.stalls.iter().all(|(began, ended)| *ended < from || *began > until)
    }

    /// When its time of day was `day`, the last time before `latest`.
    pub fn moment_of(&self, day: Timestamp, latest: Us) -> Us {
        let ends = self.days.iter().skip(1).map(|(at, _)| *at).chain([Us::MAX]);
        let moments = self.days.iter().zip(ends).filter_map(|((from, offset), until)| {
            let moment = Us::try_from(day.as_microsecond() - DAY_ZERO_US - offset).ok()?;
            (*from..until).contains(&moment).then_some(moment)
        });
        moments.filter(|moment| *moment <= latest).max().unwrap_or(latest)
    }

    /// When it meant by `day`, which it said at `said_at`: the latest moment, where its clock was set shortly before.
    pub fn meant_by(&self, day: Timestamp, said_at: Us) -> Us {
        let ends = self.days.iter().skip(1).map(|(at, _)| *at).chain([Us::MAX]);
        let in_force = |from: Us, until: Us| from <= said_at && until + MADE_BEFORE_US >= said_at;
        let days = self.days.iter().zip(ends);
        let meant = days.filter(|((from, _), until)| in_force(*from, until.min(&(Us::MAX / 2)).to_owned()));
        let moment = |offset: i64| (day.as_microsecond() - DAY_ZERO_US - offset).max(0) as Us;
        meant.map(|((_, offset), _)| moment(*offset)).max().unwrap_or(0)
    }

    /// Whether it was stopped, and all went well.
    pub fn stopped_cleanly(&self) -> bool {
        let over = self.stop.as_ref().and_then(|stop| stop.over);
        over.is_some_and(|(_, abandoned, flushed)| flushed && abandoned.is_empty())
    }
}
