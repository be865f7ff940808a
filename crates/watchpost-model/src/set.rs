//! What must hold between the checks of one bastion.

use std::collections::HashMap;
use std::fmt;

use crate::check::Check;
use crate::id::CheckId;
use crate::similar;

/// How deep groups may nest: a group of plain checks is 1 deep.
pub const GROUP_DEPTH_MAX: usize = 16;
/// How many runs one run of a group may lead to, its own included. A check counts as often as it
/// would run.
pub const GROUP_RUNS_MAX: usize = 10_000;

/// What does not hold, and at which check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetError {
    /// Where the check at fault stands in the list that was given.
    pub index: usize,
    /// Which of its members is at fault, counted from 0, where it is one.
    pub member: Option<usize>,
    /// What is wrong, in words that name what was expected.
    pub kind: SetErrorKind,
}

/// What does not hold between checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetErrorKind {
    /// Another check has the same id.
    Duplicate {
        /// The id.
        id: CheckId,
        /// Where the other one stands in the list.
        first: usize,
    },
    /// A group names a check that is not there.
    UnknownMember {
        /// The group.
        group: CheckId,
        /// What it names.
        member: CheckId,
        /// A check that is probably meant.
        similar: Option<CheckId>,
    },
    /// A group contains itself.
    Cycle {
        /// From the group to itself: the first and the last are the same.
        path: Vec<CheckId>,
    },
    /// Groups nest too deep.
    TooDeep {
        /// The innermost group at which they do.
        group: CheckId,
    },
    /// One run of a group leads to too many.
    TooManyRuns {
        /// The innermost group that does.
        group: CheckId,
        /// How many.
        runs: usize,
    },
}

impl std::error::Error for SetError {}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SetErrorKind::Duplicate { id, .. } => write!(f, "check `{id}` is there already: ids must differ"),
            SetErrorKind::UnknownMember { group, member, similar } => {
                write!(f, "group `{group}` names `{member}`, which is not among the checks")?;
                match similar {
                    Some(similar) => write!(f, ": did you mean `{similar}`?"),
                    None => f.write_str(": expected the id of a check"),
                }
            }
            SetErrorKind::Cycle { path } => {
                f.write_str("the group contains itself (")?;
                write_path(f, path)?;
                f.write_str("): expected groups without a circle")
            }
            SetErrorKind::TooDeep { group } => {
                write!(f, "group `{group}` nests deeper than {GROUP_DEPTH_MAX} groups: expected at most that")
            }
            SetErrorKind::TooManyRuns { group, runs } => {
                write!(f, "one run of group `{group}` leads to {runs} runs: expected at most {GROUP_RUNS_MAX}")
            }
        }
    }
}

/// A circle may go through every group that there is: of a long one the ends are shown.
fn write_path(f: &mut fmt::Formatter<'_>, path: &[CheckId]) -> fmt::Result {
    const SHOWN_MAX: usize = 20;
    let (head, tail) = match path.len() {
        n if n > SHOWN_MAX => (&path[..SHOWN_MAX - 1], &path[n - 1..]),
        _ => (path, &path[..0]),
    };
    for (i, id) in head.iter().enumerate() {
        write!(f, "{}{id}", if i == 0 { "" } else { " → " })?;
    }
    for id in tail {
        write!(f, " → … → {id}")?;
    }
    Ok(())
}

/// Looks whether the checks of one bastion fit together: ids differ, groups name checks that are
/// there, contain neither themselves nor too much, and do not nest too deep.
///
/// # Errors
/// The first thing that does not hold.
pub fn validate_set(checks: &[Check]) -> Result<(), SetError> {
    let mut by_id = HashMap::with_capacity(checks.len());
    for (index, check) in checks.iter().enumerate() {
        if let Some(first) = by_id.insert(check.id(), index) {
            let kind = SetErrorKind::Duplicate { id: check.id().clone(), first };
            return Err(SetError { index, member: None, kind });
        }
    }
    let mut walk = Walk { checks, by_id, seen: vec![Seen::Not; checks.len()] };
    (0..checks.len()).try_for_each(|index| walk.measure(index))
}

/// Goes through groups depth first, without recursion: how deep they nest is not known beforehand.
struct Walk<'a> {
    checks: &'a [Check],
    by_id: HashMap<&'a CheckId, usize>,
    seen: Vec<Seen>,
}

/// What is known of a check.
#[derive(Clone, Copy)]
enum Seen {
    Not,
    /// It is on the way from the group where the walk began to where it is.
    OnPath,
    Measured(Measure),
}

#[derive(Clone, Copy)]
struct Measure {
    depth: usize,
    runs: usize,
}

/// A check on the path, and what its members have come to so far.
struct Step {
    index: usize,
    next_member: usize,
    sum: Measure,
}

impl Step {
    fn new(index: usize) -> Self {
        Self { index, next_member: 0, sum: Measure { depth: 0, runs: 1 } }
    }
}

impl Walk<'_> {
    fn measure(&mut self, root: usize) -> Result<(), SetError> {
        if matches!(self.seen[root], Seen::Measured(_)) {
            return Ok(());
        }
        self.seen[root] = Seen::OnPath;
        let mut path = vec![Step::new(root)];
        while let Some(step) = path.last_mut() {
            let members = self.checks[step.index].group().unwrap_or_default();
            let Some(member) = members.get(step.next_member) else {
                let Step { index, sum, .. } = *step;
                let measure = self.bounded(index, sum)?;
                self.seen[index] = Seen::Measured(measure);
                path.pop();
                if let Some(above) = path.last_mut() {
                    above.add(measure);
                }
                continue;
            };
            let (index, position) = (step.index, step.next_member);
            let at_fault = |kind| SetError { index, member: Some(position), kind };
            let Some(&inner) = self.by_id.get(member) else {
                let group = self.checks[index].id().clone();
                let similar = self.similar_to(member);
                return Err(at_fault(SetErrorKind::UnknownMember { group, member: member.clone(), similar }));
            };
            step.next_member += 1;
            match self.seen[inner] {
                Seen::Measured(measure) => step.add(measure),
                Seen::Not => {
                    self.seen[inner] = Seen::OnPath;
                    path.push(Step::new(inner));
                }
                Seen::OnPath => {
                    let id = |index: usize| self.checks[index].id().clone();
                    let circle = path.iter().map(|step| step.index).skip_while(|index| *index != inner);
                    let path = circle.chain([inner]).map(id).collect();
                    return Err(at_fault(SetErrorKind::Cycle { path }));
                }
            }
        }
        Ok(())
    }

    /// What a check comes to, from what its members have come to.
    fn bounded(&self, index: usize, sum: Measure) -> Result<Measure, SetError> {
        let check = &self.checks[index];
        if check.group().is_none() {
            return Ok(sum);
        }
        let measure = Measure { depth: sum.depth + 1, runs: sum.runs };
        let group = check.id().clone();
        if measure.depth > GROUP_DEPTH_MAX {
            return Err(SetError { index, member: None, kind: SetErrorKind::TooDeep { group } });
        }
        if measure.runs > GROUP_RUNS_MAX {
            let kind = SetErrorKind::TooManyRuns { group, runs: measure.runs };
            return Err(SetError { index, member: None, kind });
        }
        Ok(measure)
    }

    /// The id that is most like `wanted`, where one is so like it that it may be meant.
    fn similar_to(&self, wanted: &CheckId) -> Option<CheckId> {
        let ids = self.checks.iter().map(|check| check.id().as_str());
        similar(wanted.as_str(), ids).and_then(|id| id.parse().ok())
    }
}

impl Step {
    /// Sums stay small: each part is at most [`GROUP_RUNS_MAX`], and a group has a bounded number of them.
    fn add(&mut self, part: Measure) {
        self.sum.depth = self.sum.depth.max(part.depth);
        self.sum.runs += part.runs;
    }
}
