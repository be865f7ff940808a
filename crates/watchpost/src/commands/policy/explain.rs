//! Answers of a policy, step by step.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use watchpost_model::{Check, CheckType, shown_address};
use watchpost_policy::{Denied, Dial, Effect, Errands, Explanation, Own, Policy, Purpose, Visit, literal};
use watchpost_probe::Resolver;

use crate::output::Tone;

/// Who is asked, and what it needs to answer.
pub struct Judge<'a> {
    pub policy: &'a Policy,
    pub own: Own,
    pub resolver: Resolver,
    /// How long one name may take.
    pub limit: Duration,
}

/// Whether all that a check would do is permitted, and why.
#[derive(Debug, Serialize)]
pub struct Answer {
    target: String,
    check_type: Option<CheckType>,
    permitted: bool,
    steps: Vec<Step>,
}

/// One thing that a check would do.
#[derive(Debug, Serialize)]
struct Step {
    #[serde(flatten)]
    what: What,
    permitted: bool,
    /// Why not, where it is not a matter of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<Denied>,
    /// Why nothing can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// Checks of its type at all.
    Type(CheckType),
    File(PathBuf),
    Program(PathBuf),
    Socket(PathBuf),
    Visit(Visited),
}

#[derive(Debug, Serialize)]
struct Visited {
    purpose: Purpose,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    addresses: Vec<Judged>,
}

#[derive(Debug, Serialize)]
struct Judged {
    address: SocketAddr,
    permitted: bool,
    /// The address, and whatever it stands for.
    judged: Vec<Explanation>,
}

impl Judge<'_> {
    /// Judges everything that a check would do.
    pub async fn check(&self, target: String, check: &Check) -> Answer {
        let check_type = check.check_type();
        let mut steps = Vec::new();
        let of_type = check_type.map(|check_type| (check_type, self.policy.judge_type(check_type)));
        if let Some((check_type, Err(denied))) = of_type {
            steps.push(Step::plain(What::Type(check_type), Err(denied)));
        } else {
            let Errands { visits, program, socket, files } = Errands::of(check);
            let judged = files.into_iter().map(|file| (self.policy.judge_file(&file), What::File(file)));
            steps.extend(judged.map(|(judged, what)| Step::plain(what, judged)));
            let judged = program.into_iter().map(|program| (self.policy.judge_exec(&program), What::Program(program)));
            steps.extend(judged.map(|(judged, what)| Step::plain(what, judged)));
            let judged = socket.into_iter().map(|socket| (self.policy.judge_unix(&socket), What::Socket(socket)));
            steps.extend(judged.map(|(judged, what)| Step::plain(what, judged)));
            for visit in visits {
                steps.push(self.visit(visit).await);
            }
        }
        let permitted = steps.iter().all(|step| step.permitted);
        Answer { target, check_type, permitted, steps }
    }

    async fn visit(&self, visit: Visit) -> Step {
        let (judged, unknown, denied) = match self.judged(&visit).await {
            Ok(judged) => (judged, None, None),
            Err(Unjudged::Denied(denied)) => (Vec::new(), None, Some(denied)),
            Err(Unjudged::Unknown(why)) => (Vec::new(), Some(why), None),
        };
        let permitted = match visit.each {
            true => !judged.is_empty() && judged.iter().all(|one| one.permitted),
            false => judged.iter().any(|one| one.permitted),
        };
        let Visit { purpose, host, port, method, .. } = visit;
        Step {
            what: What::Visit(Visited { purpose, host, port, method, addresses: judged }),
            permitted,
            denied,
            unknown,
        }
    }

    /// Each address of a host, judged.
    async fn judged(&self, visit: &Visit) -> Result<Vec<Judged>, Unjudged> {
        let name = literal(&visit.host).is_none().then_some(visit.host.as_str());
        if !visit.given.is_empty() {
            return self.judged_as_given(visit, name).await;
        }
        let ips = match literal(&visit.host) {
            Some(ip) => vec![ip],
            None => {
                self.policy.judge_name(&visit.lookup(), &self.own).map_err(Unjudged::Denied)?;
                self.find(&visit.host).await?
            }
        };
        Ok(ips.into_iter().map(|ip| self.judge(visit, name, SocketAddr::new(ip, visit.port))).collect())
    }

    /// Addresses that the check gives. A name beside them opens those alone that it has.
    async fn judged_as_given(&self, visit: &Visit, name: Option<&str>) -> Result<Vec<Judged>, Unjudged> {
        let (mut judged, mut found) = (Vec::with_capacity(visit.given.len()), None);
        for address in &visit.given {
            let (by_name, alone) = (self.judge(visit, name, *address), self.judge(visit, None, *address));
            let Some(name) = name.filter(|_| by_name.permitted && !alone.permitted) else {
                judged.push(by_name);
                continue;
            };
            let ips = match &found {
                Some(ips) => ips,
                None => found.insert(self.find(name).await?),
            };
            judged.push(if ips.contains(&address.ip()) { by_name } else { alone });
        }
        Ok(judged)
    }

    fn judge(&self, visit: &Visit, host: Option<&str>, address: SocketAddr) -> Judged {
        let dial = Dial { host, address, ..visit.lookup().at(address.ip()) };
        let mut judged = self.policy.explain(&dial, &self.own);
        let told =
            visit.told.iter().flat_map(|told| self.policy.explain(&Dial { host: Some(told), ..dial }, &self.own));
        judged.extend(told.filter(|one| one.effect == Effect::Deny));
        Judged { address, permitted: judged.iter().all(|one| one.effect == Effect::Allow), judged }
    }

    async fn find(&self, name: &str) -> Result<Vec<IpAddr>, Unjudged> {
        match tokio::time::timeout(self.limit, self.resolver.lookup(name)).await {
            Ok(Ok(ips)) => Ok(ips),
            Ok(Err(error)) => Err(Unjudged::Unknown(error.to_string())),
            Err(_) => Err(Unjudged::Unknown(format!("{name} was not resolved within {:?}", self.limit))),
        }
    }
}

enum Unjudged {
    Denied(Denied),
    Unknown(String),
}

impl Step {
    fn plain(what: What, judged: Result<(), Denied>) -> Self {
        Self { what, permitted: judged.is_ok(), denied: judged.err(), unknown: None }
    }

    fn lines(&self, lines: &mut Vec<(usize, String)>) {
        let head = match &self.what {
            What::Type(check_type) => format!("checks of the type {check_type}"),
            What::File(path) => format!("the file {}", path.display()),
            What::Program(path) => format!("the program {}", path.display()),
            What::Socket(path) => format!("the socket {}", path.display()),
            What::Visit(visited) => visited.head(),
        };
        lines.push((1, head));
        match &self.what {
            What::Visit(visited) => visited.addresses.iter().for_each(|address| address.lines(lines)),
            _ if self.permitted => lines.push((2, "allowed".to_owned())),
            _ => {}
        }
        lines.extend(self.denied.iter().map(|denied| (2, format!("denied by {}: {denied}", denied.rule))));
        lines.extend(self.unknown.iter().map(|why| (2, format!("cannot be told: {why}"))));
    }
}

impl Visited {
    fn head(&self) -> String {
        let role = match self.purpose {
            Purpose::Target => "",
            Purpose::Redirect => "redirect to ",
            Purpose::Proxy => "proxy ",
            Purpose::NameServer => "name server ",
            Purpose::Source => "source of targets ",
        };
        let method = self.method.iter().map(|method| format!("{method} ")).collect::<String>();
        let brackets = self.host.contains(':');
        match (self.port, brackets) {
            (0, _) => format!("{role}{}", self.host),
            (port, true) => format!("{role}{method}[{}]:{port}", self.host),
            (port, false) => format!("{role}{method}{}:{port}", self.host),
        }
    }
}

impl Judged {
    fn lines(&self, lines: &mut Vec<(usize, String)>) {
        lines.push((2, shown_address(self.address)));
        for one in &self.judged {
            let stands_for = if one.ip == self.address.ip() { "" } else { "stands for " };
            let decided = match one.effect {
                Effect::Allow => "allowed",
                Effect::Deny => "denied",
            };
            lines.push((3, format!("{stands_for}{}: {decided} by {}", one.ip, one.rule)));
            for passed in &one.passed_over {
                lines.push((4, format!("{} does not fit: {}", passed.rule, passed.key)));
            }
            lines.extend(one.denied.iter().map(|denied| (4, denied.to_string())));
        }
    }
}

impl Answer {
    /// Whether all of it is permitted.
    pub fn is_permitted(&self) -> bool {
        self.permitted
    }

    /// As people read it.
    pub fn text(&self, colour: bool) -> String {
        let (word, tone) = match (self.permitted, self.steps.iter().any(|step| step.unknown.is_some())) {
            (true, _) => ("permitted", Tone::Good),
            (false, true) => ("cannot be told", Tone::Doubtful),
            (false, false) => ("denied", Tone::Bad),
        };
        let mut lines = vec![(0, format!("{}: {}", self.target, tone.paint(word, colour)))];
        self.steps.iter().for_each(|step| step.lines(&mut lines));
        lines.into_iter().map(|(depth, line)| format!("{}{line}\n", "  ".repeat(depth))).collect()
    }
}
