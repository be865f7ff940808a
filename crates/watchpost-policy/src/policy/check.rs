//! What is certain of a check before it runs.

use watchpost_model::Check;

use super::Policy;
use super::errands::{Errands, Visit};
use crate::denied::Denied;
use crate::dial::{Dial, Lookup};
use crate::host::literal;
use crate::own::Own;

/// The most refusals that are told of one check.
const DENIED_MAX: usize = 16;

impl Policy {
    /// What of a check will certainly be refused, whatever names resolve to: at most 16 refusals, none if it may be that
    /// all of it is permitted. Of a group, nothing: its members are checks of their own.
    pub fn judge_check(&self, check: &Check, own: &Own) -> Vec<Denied> {
        let Some(check_type) = check.check_type() else { return Vec::new() };
        if let Err(denied) = self.judge_type(check_type) {
            return vec![denied];
        }
        let errands = Errands::of(check);
        let files = errands.files.iter().map(|file| self.judge_file(file));
        let program = errands.program.iter().map(|program| self.judge_exec(program));
        let socket = errands.socket.iter().map(|socket| self.judge_unix(socket));
        let visits = errands.visits.iter().flat_map(|visit| self.judge_visit(visit, own));
        let mut refusals: Vec<Denied> = Vec::new();
        for denied in files.chain(program).chain(socket).chain(visits).filter_map(Result::err) {
            if refusals.len() >= DENIED_MAX {
                break;
            }
            if !refusals.contains(&denied) {
                refusals.push(denied);
            }
        }
        refusals
    }

    fn judge_visit(&self, visit: &Visit, own: &Own) -> Vec<Result<(), Denied>> {
        let lookup = visit.lookup();
        let told = || visit.told.iter().map(|told| self.judge_told(&Lookup { host: told, ..lookup }));
        if visit.given.is_empty() {
            return std::iter::once(self.judge_name(&lookup, own)).chain(told()).collect();
        }
        // The check says the addresses itself. Its name counts only where it has them, which is not known here.
        let host = literal(&visit.host).is_none().then_some(visit.host.as_str());
        let dial = |address: &std::net::SocketAddr| Dial { host, address: *address, ..lookup.at(address.ip()) };
        visit.given.iter().map(|address| self.judge_dial(&dial(address), own)).chain(told()).collect()
    }
}
