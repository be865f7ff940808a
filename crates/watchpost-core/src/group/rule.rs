//! What a group's members add up to.

/// What a member of a group, or the group itself, says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The target is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// Nothing: it was cancelled, lost or missed. Of a group: too many of its members were.
    Undecided,
}

/// How many members of a group must pass for the group to pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Each.
    #[default]
    All,
    /// One.
    Any,
    /// So many. A group with fewer members than that cannot pass.
    Quorum(usize),
    /// So many of a hundred, rounded up. More than 100 cannot be reached.
    Percent(u8),
}

impl Rule {
    /// How many of `of` members must pass; at least one.
    pub fn needed(&self, of: usize) -> usize {
        let needed = match self {
            Self::All => of,
            Self::Any => 1,
            Self::Quorum(needed) => *needed,
            Self::Percent(percent) => of.saturating_mul(usize::from(*percent)).div_ceil(100),
        };
        needed.max(1)
    }
}

/// How many members said what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) undecided: usize,
}

impl Tally {
    pub(super) fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Undecided => self.undecided += 1,
        }
    }

    /// The verdict of a group of `of` members of which `needed` must pass, if it is known whatever the
    /// members say that have said nothing yet.
    pub(super) fn verdict(&self, needed: usize, of: usize) -> Option<Verdict> {
        let silent = of.saturating_sub(self.passed + self.failed + self.undecided);
        if self.passed >= needed {
            return Some(Verdict::Passed);
        }
        // Had all the others passed, the undecided ones included, it would not have been enough.
        if of > 0 && of - self.failed < needed {
            return Some(Verdict::Failed);
        }
        // It cannot pass any more, nor can it fail: the undecided ones could have made it pass.
        let out_of_reach = self.passed + silent < needed;
        (out_of_reach && (of == 0 || self.passed + self.undecided >= needed)).then_some(Verdict::Undecided)
    }
}
