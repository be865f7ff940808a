//! Checks with everything that they are made of.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use watchpost_model::{Check, CheckId};

use super::Checker;

impl Checker {
    /// Those of `ids` that are checks of the configuration, in that order, and then what they are made of, each once.
    pub(super) fn family(&self, ids: Vec<CheckId>) -> Vec<Arc<Check>> {
        let (mut family, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = VecDeque::from(ids);
        while let Some(id) = next.pop_front() {
            let Some(check) = self.check(&id) else { continue };
            if seen.insert(id) {
                next.extend(check.group().into_iter().flatten().cloned());
                family.push(check);
            }
        }
        family
    }
}
