//! The policy, ready to judge.

mod check;
mod compiled;
mod errands;
mod explain;
mod oddities;
mod words;

use std::net::IpAddr;
use std::path::Path;

use watchpost_model::{CheckType, shorten};

use self::compiled::{Compiled, Fit, Question};
pub use self::errands::{Errands, Visit, server_name};
pub use self::explain::{Explanation, PassedOver};
use crate::PolicyError;
use crate::denied::Denied;
use crate::dial::{Dial, Lookup, Purpose};
use crate::disguise::Faces;
use crate::file::{ExecRules, PolicyFile};
use crate::host;
use crate::limits::Limits;
use crate::own::Own;
use crate::paths;
use crate::special::{Effect, Kind};

/// What is permitted. Made of a [`PolicyFile`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    file: PolicyFile,
    rules: Vec<Compiled>,
    /// What is said where no rule fits.
    built_in: bool,
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Special(Kind),
    Rule(usize),
    Default,
}

impl TryFrom<PolicyFile> for Policy {
    type Error = PolicyError;

    fn try_from(file: PolicyFile) -> Result<Self, PolicyError> {
        let mut rules: Vec<Compiled> = Vec::with_capacity(file.rules.len());
        for (i, rule) in file.rules.iter().enumerate() {
            if let Some(first) = file.rules.iter().take(i).position(|before| before.name == rule.name) {
                let message = format!("rule `{}` is there already, as rules[{first}]: names must differ", rule.name);
                return Err(PolicyError::new(message).at(format!("rules[{i}].name")));
            }
            rules.push(Compiled::of(rule).map_err(|e| e.at(format!("rules[{i}]")))?);
        }
        Ok(Self { file, rules, built_in: false })
    }
}

impl Policy {
    /// Where nobody says otherwise and checks come over a bus: special addresses are denied, and so are programs, files
    /// and sockets in the file system; everything else is allowed.
    pub fn strict() -> Self {
        let file = PolicyFile { default: Effect::Allow, ..PolicyFile::default() };
        Self { file, rules: Vec::new(), built_in: true }
    }

    /// Where whoever wrote the checks sits at this machine: as [`Policy::strict`], but for this machine's own addresses,
    /// files and sockets, and names that proxies resolve.
    pub fn local() -> Self {
        let mut policy = Self::strict();
        policy.file.special.loopback = Effect::Allow;
        policy.file.special.own_console = Effect::Allow;
        policy.file.files.directories = vec!["/".into()];
        policy.file.proxies.resolve = true;
        policy.file.unix.paths = "/**".parse().into_iter().collect();
        policy
    }

    /// The same policy, under which programs of these directories may be run as well.
    #[must_use]
    pub fn with_exec_directories(mut self, directories: impl IntoIterator<Item = std::path::PathBuf>) -> Self {
        self.file.exec.directories.extend(directories);
        self
    }

    /// As it would be written, with everything that goes without saying.
    pub fn file(&self) -> &PolicyFile {
        &self.file
    }

    /// Whether nobody wrote it.
    pub fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// Judges a connection, or a datagram, right before it is made: its very address.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_dial(&self, dial: &Dial<'_>, own: &Own) -> Result<(), Denied> {
        for ip in Faces::of(dial.address.ip(), &self.file.nat64).iter() {
            let (effect, by) = self.decide(dial, ip, own);
            if effect == Effect::Deny {
                return Err(words::dial(self, dial, ip, by));
            }
        }
        Ok(())
    }

    /// Judges a host before it is resolved: what no rule could allow, whatever its address, is refused without a question
    /// to a name server. A host that is an address in any form is judged as that.
    ///
    /// # Errors
    /// When it is certain that it is not permitted.
    pub fn judge_name(&self, lookup: &Lookup<'_>, own: &Own) -> Result<(), Denied> {
        if let Some(ip) = host::literal(lookup.host) {
            return self.judge_dial(&Dial { host: None, ..lookup.at(ip) }, own);
        }
        let plain = host::plain(lookup.host);
        let special = &self.file.special;
        let certain = if own.is_bus_name(&plain, lookup.port) && special.own_bus == Effect::Deny {
            Some(By::Special(Kind::OwnBus))
        } else if host::is_of_this_machine(&plain) && special.loopback == Effect::Deny {
            Some(By::Special(Kind::Loopback))
        } else {
            match self.by_rules(&Question::of_name(lookup, &plain)) {
                Some((Effect::Deny, by)) => Some(by),
                _ => None,
            }
        };
        certain.map_or(Ok(()), |by| Err(words::lookup(self, lookup, by)))
    }

    /// Judges a name that a server is told in place of the host: it is refused where no address would make it permitted.
    fn judge_told(&self, lookup: &Lookup<'_>) -> Result<(), Denied> {
        match self.by_rules(&Question::of_name(lookup, &host::plain(lookup.host))) {
            Some((Effect::Deny, by)) => Err(words::lookup(self, lookup, by)),
            _ => Ok(()),
        }
    }

    /// Judges a name that a proxy is to resolve itself: nobody will judge an address. So no rule that speaks of addresses
    /// allows it, and each that denies some denies it.
    ///
    /// # Errors
    /// When it is not certain that it is permitted.
    pub fn judge_behind_proxy(&self, lookup: &Lookup<'_>, own: &Own) -> Result<(), Denied> {
        self.judge_name(lookup, own)?;
        if host::literal(lookup.host).is_some() {
            return Ok(());
        }
        let plain = host::plain(lookup.host);
        let question = Question::of_name(lookup, &plain);
        let decides = |(_, rule): &(usize, &Compiled)| match rule.fits(&question) {
            Fit::Yes => true,
            Fit::Maybe => rule.effect == Effect::Deny,
            Fit::No(_) => false,
        };
        let (effect, by) = match self.rules.iter().enumerate().find(decides) {
            Some((i, rule)) => (rule.effect, By::Rule(i)),
            None => (self.file.default, By::Default),
        };
        match effect {
            Effect::Allow => Ok(()),
            Effect::Deny => Err(words::behind_proxy(self, lookup, by)),
        }
    }

    /// Judges a type: whether there is anything that a check of it might be permitted.
    ///
    /// # Errors
    /// When there is nothing.
    pub fn judge_type(&self, check_type: CheckType) -> Result<(), Denied> {
        match check_type {
            CheckType::Heartbeat => Ok(()),
            CheckType::Exec => {
                self.judge_without_address(check_type)?;
                match self.file.exec.is_none() {
                    true => Err(Denied::new(
                        "exec",
                        "the policy permits no programs: `exec.directories` would have to list where they are",
                    )),
                    false => Ok(()),
                }
            }
            CheckType::Unix => {
                self.judge_without_address(check_type)?;
                match self.file.unix.paths.is_empty() {
                    true => Err(Denied::new(
                        "unix",
                        "the policy permits no sockets in the file system: `unix.paths` would have to list them",
                    )),
                    false => Ok(()),
                }
            }
            _ => {
                let question = Question::of_type(check_type, Some(Purpose::Target));
                match self.by_rules(&question) {
                    Some((Effect::Deny, by)) => Err(words::check_type(self, check_type, by)),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Judges the program of an `exec` check by its path as it is named. Whoever runs it looks at where links lead.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_exec(&self, command: &Path) -> Result<(), Denied> {
        self.judge_type(CheckType::Exec)?;
        let rules = &self.file.exec;
        match paths::straight(command) {
            Some(path)
                if rules.directories.iter().any(|directory| path.starts_with(directory))
                    || rules.programs.contains(&path) =>
            {
                Ok(())
            }
            _ => Err(Denied::new(
                "exec",
                format!(
                    "the policy does not permit the program {}: `exec.directories` and `exec.programs` have {}",
                    shorten(&command.display().to_string(), 200),
                    words::list(&[rules.directories.as_slice(), &rules.programs].concat())
                ),
            )),
        }
    }

    /// Judges the path of a socket in the file system.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_unix(&self, path: &Path) -> Result<(), Denied> {
        self.judge_type(CheckType::Unix)?;
        let straight = paths::straight(path);
        let named = straight.as_deref().and_then(Path::to_str);
        match named.is_some_and(|path| self.file.unix.paths.iter().any(|pattern| pattern.matches(path))) {
            true => Ok(()),
            false => Err(Denied::new(
                "unix",
                format!(
                    "the policy does not permit the socket {}: `unix.paths` would have to list it",
                    shorten(&path.display().to_string(), 200)
                ),
            )),
        }
    }

    /// Judges a file that a check names. To be asked about the path as it is named, and again about where it leads once
    /// links are followed: both must be permitted.
    ///
    /// # Errors
    /// When it is not permitted.
    pub fn judge_file(&self, path: &Path) -> Result<(), Denied> {
        let rules = &self.file.files;
        let everything = rules.directories.iter().any(|directory| directory == Path::new("/"));
        match paths::straight(path) {
            _ if everything => Ok(()),
            Some(path) if rules.directories.iter().any(|directory| path.starts_with(directory)) => Ok(()),
            _ => Err(Denied::new(
                "files",
                format!(
                    "the policy does not permit checks the file {}: `files.directories` has {}",
                    shorten(&path.display().to_string(), 200),
                    words::list(&rules.directories)
                ),
            )),
        }
    }

    /// Which programs may be run, and as what.
    pub fn exec(&self) -> &ExecRules {
        &self.file.exec
    }

    /// Whether a proxy may be given a name to resolve itself.
    pub fn proxies_resolve(&self) -> bool {
        self.file.proxies.resolve
    }

    /// How much may be done at a time.
    pub fn limits(&self) -> &Limits {
        &self.file.limits
    }

    /// What the rules say of something without an address.
    fn judge_without_address(&self, check_type: CheckType) -> Result<(), Denied> {
        for (i, rule) in self.rules.iter().enumerate() {
            match (rule.fits(&Question::without_address(check_type)), rule.effect) {
                (Fit::Yes, Effect::Allow) => return Ok(()),
                (Fit::Yes, Effect::Deny) => return Err(words::check_type(self, check_type, By::Rule(i))),
                _ => {}
            }
        }
        Ok(())
    }

    /// What is decided about one of the addresses that a dial's address stands for.
    pub(crate) fn decide(&self, dial: &Dial<'_>, ip: IpAddr, own: &Own) -> (Effect, By) {
        let special = &self.file.special;
        let port = dial.address.port();
        let own_bus = || own.is_bus(ip, port, dial.host).then_some(Kind::OwnBus);
        let own_console = || own.is_console(ip, port, dial.host).then_some(Kind::OwnConsole);
        let kinds = [own_bus(), own_console(), Kind::of(ip)];
        if let Some(kind) = kinds.into_iter().flatten().find(|kind| kind.effect(special) == Effect::Deny) {
            return (Effect::Deny, By::Special(kind));
        }
        let plain = dial.host.map(host::plain);
        let question = Question::of_dial(dial, ip, plain.as_deref());
        self.by_rules(&question).unwrap_or((self.file.default, By::Default))
    }

    /// What the rules, and the default, decide; `None` where that depends on what is not known.
    fn by_rules(&self, question: &Question<'_>) -> Option<(Effect, By)> {
        for (i, rule) in self.rules.iter().enumerate() {
            match (rule.fits(question), rule.effect) {
                (Fit::Yes, effect) => return Some((effect, By::Rule(i))),
                // Some address might be allowed by it.
                (Fit::Maybe, Effect::Allow) => return None,
                (Fit::Maybe, Effect::Deny) | (Fit::No(_), _) => {}
            }
        }
        Some((self.file.default, By::Default))
    }

    pub(crate) fn rule_name(&self, by: By) -> String {
        match by {
            By::Special(kind) => kind.key().to_owned(),
            By::Rule(i) => self.file.rules.get(i).map(|rule| rule.name.to_string()).unwrap_or_default(),
            By::Default => "default".to_owned(),
        }
    }
}
