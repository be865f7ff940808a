//! Modules of Prometheus' blackbox_exporter.

mod dialogue;
mod dns;
mod http;
mod network;
pub(crate) use self::network::{Login, login, tell_secret, tls};
mod others;

use std::time::Duration;

use watchpost_model::CheckType;

use crate::draft::Draft;
use crate::duration;
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out};
use crate::tree::Node;

/// A module: everything about a check but where it goes.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) check_type: CheckType,
    pub(crate) timeout: Option<Duration>,
    settings: Fields,
    expect: Fields,
    that: Vec<(Place, Out)>,
}

impl Module {
    /// A check by this module, of `target`, which stands where the type names what it checks.
    pub(crate) fn draft(&self, place: Place, names: &[&str], target: &str) -> Draft {
        let mut draft = Draft::new(place, names, self.check_type);
        let key = match self.check_type {
            CheckType::Http => "url",
            CheckType::Icmp => "host",
            CheckType::Unix => "path",
            CheckType::Dns => "server",
            _ => "address",
        };
        draft.settings = self.settings.clone();
        // What is asked for comes first, and then whom.
        let at = usize::from(draft.settings.has("name"));
        draft.settings.0.insert(at, (key.to_owned(), target.into()));
        draft.expect = self.expect.clone();
        draft.that = self.that.clone();
        draft.timeout = self.timeout;
        draft
    }
}

/// The modules of a file. What belongs to a probe that a module does not use is told as well.
pub(crate) fn modules(root: &Node, place: &Place, notes: &mut Notes) -> Vec<Module> {
    let keys = Keys::of(root, place.clone(), notes);
    let list = keys.map("modules", notes);
    let mut modules = Vec::new();
    if let Some(node) = keys.get("modules")
        && let crate::tree::Value::Map(entries) = &node.value
    {
        for (name, node) in entries {
            let place = list.place_of(name);
            modules.extend(module(name, node, place, notes));
        }
    }
    keys.finish(notes);
    modules
}

fn module(name: &str, node: &Node, place: Place, notes: &mut Notes) -> Option<Module> {
    let keys = Keys::of(node, place.clone(), notes);
    let prober = keys.some_text("prober", notes).unwrap_or_default();
    let timeout = keys.text("timeout", notes).and_then(|text| {
        let timeout = duration::parse(&text);
        if timeout.is_none() {
            notes.not_translated(&keys.place_of("timeout"), "this is no duration: the check has the usual timeout");
        }
        timeout.filter(|timeout| !timeout.is_zero())
    });
    let check_type = match prober.as_str() {
        "http" => CheckType::Http,
        "tcp" => CheckType::Tcp,
        "dns" => CheckType::Dns,
        "icmp" => CheckType::Icmp,
        "grpc" => CheckType::Grpc,
        "unix" => CheckType::Unix,
        other => {
            let other = watchpost_model::shorten(other, 40);
            let why = format!("there is no check for the prober `{other}`; a program could do it, by an `exec` check");
            notes.not_translated(&place, why);
            return None;
        }
    };
    let mut module = Module {
        name: name.to_owned(),
        place,
        check_type,
        timeout,
        settings: Fields::default(),
        expect: Fields::default(),
        that: Vec::new(),
    };
    let probe = keys.map(&prober, notes);
    let whole = match check_type {
        CheckType::Http => http::translate(&probe, &mut module, notes),
        CheckType::Tcp | CheckType::Unix => dialogue::translate(&probe, &mut module, notes),
        CheckType::Dns => dns::translate(&probe, &mut module, notes),
        CheckType::Icmp => others::icmp(&probe, &mut module, notes),
        _ => others::grpc(&probe, &mut module, notes),
    };
    probe.finish(notes);
    for other in ["http", "tcp", "dns", "icmp", "grpc", "unix"] {
        if other != prober {
            keys.leave(other, "the module's prober is another one, and nothing reads this: leave it away", notes);
        }
    }
    keys.finish(notes);
    whole.then_some(module)
}
