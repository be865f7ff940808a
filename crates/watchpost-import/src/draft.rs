//! A check that is being put together, and what becomes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use watchpost_model::{
    Check, CheckType, Expression, INTERVAL_MAX, INTERVAL_MIN, TIMEOUT_MAX, compile_expression, validate_set,
};

use crate::duration;
use crate::gatus::{CLOSE, OPEN};
use crate::ids::Ids;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out, one_or_many};
use crate::yaml::is_plain_environment;

/// How long an interval is where none is named, by the model.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// How often a set of checks is looked at again after a group of it was refused. Beyond that, all groups are.
const SET_TRIES_MAX: usize = 50;

/// A check on its way.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Where it comes from.
    pub(crate) place: Place,
    /// What its id is made of.
    pub(crate) names: Vec<String>,
    pub(crate) check_type: CheckType,
    /// The settings of its type; of a flow nothing but its steps.
    pub(crate) settings: Fields,
    pub(crate) steps: Vec<Out>,
    /// The short forms of what it expects.
    pub(crate) expect: Fields,
    /// The expressions that must hold, each with where it comes from.
    pub(crate) that: Vec<(Place, Out)>,
    pub(crate) targets: Option<Fields>,
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) scheduled: bool,
}

impl Draft {
    pub(crate) fn new(place: Place, names: &[&str], check_type: CheckType) -> Self {
        Self {
            place,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            check_type,
            settings: Fields::default(),
            steps: Vec::new(),
            expect: Fields::default(),
            that: Vec::new(),
            targets: None,
            interval: None,
            timeout: None,
            scheduled: true,
        }
    }
}

/// What expressions mean something for the type; the others are told.
pub(crate) fn valid_expressions(that: Vec<(Place, Out)>, check_type: CheckType, notes: &mut Notes) -> Vec<Out> {
    let mut valid = Vec::new();
    for (place, expression) in that {
        match refusal_of(&expression, check_type) {
            None => valid.push(expression),
            Some(why) => notes.not_translated(&place, format!("no expression can say this here: {why}")),
        }
    }
    valid
}

fn refusal_of(expression: &Out, check_type: CheckType) -> Option<String> {
    let Out::Text(text) = expression else { return Some("it is no text".to_owned()) };
    match text.parse::<Expression>() {
        Ok(expression) => compile_expression(&expression, check_type).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// The checks of a translation, and what is to be known of it.
#[derive(Debug, Default)]
pub(crate) struct Import {
    pub(crate) notes: Notes,
    ids: Ids,
    checks: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    place: Place,
    check: Check,
    out: Out,
}

impl Import {
    /// Adds a check, unless it is none that we would run: then the refusal is told. Returns its id.
    pub(crate) fn add(&mut self, draft: Draft) -> Option<String> {
        let Draft {
            place,
            names,
            check_type,
            settings,
            steps,
            mut expect,
            that,
            targets,
            interval,
            timeout,
            scheduled,
        } = draft;
        let that = valid_expressions(that, check_type, &mut self.notes);
        if !that.is_empty() {
            expect.set("that", one_or_many(that));
        }
        let mut body = Fields::default();
        body.set_some("targets", targets);
        let settings = match check_type {
            CheckType::Steps => Out::List(steps),
            _ => Out::Map(settings),
        };
        body.set(check_type.as_str(), settings);
        body.set_map("expect", expect);
        self.finish(place, &names, body, interval, timeout, scheduled)
    }

    /// Adds a group of checks that were added before.
    pub(crate) fn add_group(
        &mut self,
        place: Place,
        names: &[String],
        members: &[String],
        interval: Option<Duration>,
        scheduled: bool,
    ) -> Option<String> {
        let mut group = Fields::default();
        group.set("checks", members.iter().map(String::as_str).collect::<Vec<_>>());
        let mut body = Fields::default();
        body.set("group", group);
        // A group's time is that of its members, each of which has its own.
        let timeout = interval.unwrap_or(INTERVAL_DEFAULT).min(TIMEOUT_MAX);
        self.finish(place, names, body, interval, Some(timeout), scheduled)
    }

    fn finish(
        &mut self,
        place: Place,
        names: &[String],
        body: Fields,
        interval: Option<Duration>,
        timeout: Option<Duration>,
        scheduled: bool,
    ) -> Option<String> {
        let mut fields = Fields::default();
        fields.set("id", "x");
        fields.0.extend(body.0);
        let interval = interval.map(|given| self.within("interval", given, INTERVAL_MIN, INTERVAL_MAX, &place));
        fields.set_some("interval", interval.map(duration::shown));
        // Also where it is not scheduled: it may come to be.
        let longest = interval.unwrap_or(INTERVAL_DEFAULT).min(TIMEOUT_MAX);
        let timeout = timeout.map(|given| self.within("timeout", given, Duration::from_millis(1), longest, &place));
        fields.set_some("timeout", timeout.map(duration::shown));
        if !scheduled {
            fields.set("scheduled", false);
        }
        self.refer_to_environment(&place, &mut fields);
        if let Err(why) = valid(&fields) {
            self.notes.not_translated(&place, format!("it would be no valid check: {why}"));
            return None;
        }
        // Only what becomes a check takes an id.
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let named = self.ids.take(&names);
        if let Some(wanted) = named.wanted {
            self.notes.note(&place, format!("its id is `{}`, since `{wanted}` is taken", named.id));
        }
        fields.set("id", named.id.as_str());
        match valid(&fields) {
            Ok(check) => {
                self.checks.push(Done { place, check, out: Out::Map(fields) });
                Some(named.id)
            }
            Err(why) => {
                self.notes.not_translated(&place, format!("it would be no valid check: {why}"));
                None
            }
        }
    }

    /// Makes `${NAME}` of what stands for it, in texts that can stand without quotes.
    fn refer_to_environment(&mut self, place: &Place, fields: &mut Fields) {
        let mut names = BTreeSet::new();
        let mut in_quotes = BTreeSet::new();
        fields.0.iter_mut().for_each(|(_, value)| environment(value, &mut names, &mut in_quotes));
        for name in names {
            self.notes.note(place, format!("`${{{name}}}` is read from the environment, as there"));
        }
        for name in in_quotes {
            let why = format!(
                "`${{{name}}}` stands in a text that needs quotes, within which nothing is read from the environment: write \
                 the value there"
            );
            self.notes.not_translated(place, why);
        }
    }

    fn within(&mut self, what: &str, given: Duration, min: Duration, max: Duration, place: &Place) -> Duration {
        let kept = given.clamp(min, max.max(min));
        if kept != given {
            let (given, kept) = (duration::shown(given), duration::shown(kept));
            self.notes.changed(place, format!("its {what} of {given} becomes {kept}, which is as far as it goes here"));
        }
        kept
    }

    /// The checks and the notes, once nothing more comes. Groups that do not fit together are told and left out.
    pub(crate) fn done(mut self) -> (Vec<Out>, Notes) {
        for tried in 0.. {
            let checks: Vec<Check> = self.checks.iter().map(|done| done.check.clone()).collect();
            let Err(error) = validate_set(&checks) else { break };
            let why = format!("it would be no valid group: {error}");
            let all = tried >= SET_TRIES_MAX || error.index >= self.checks.len();
            let mut index = 0;
            let (left, kept) = std::mem::take(&mut self.checks).into_iter().partition::<Vec<Done>, _>(|done| {
                index += 1;
                if all { done.check.group().is_some() } else { index - 1 == error.index }
            });
            self.checks = kept;
            left.iter().for_each(|left| self.leave(left, &why));
            if all {
                break;
            }
        }
        (self.checks.into_iter().map(|done| done.out).collect(), self.notes)
    }

    /// Tells of a group that is left out; its members run by themselves again.
    fn leave(&mut self, left: &Done, why: &str) {
        self.notes.not_translated(&left.place, why);
        let members: BTreeSet<&str> = left.check.group().unwrap_or_default().iter().map(|id| id.as_str()).collect();
        for done in self.checks.iter_mut().filter(|done| members.contains(done.check.id().as_str())) {
            if let Out::Map(Fields(entries)) = &mut done.out {
                entries.retain(|(key, _)| key != "scheduled");
            }
        }
    }
}

fn environment(value: &mut Out, names: &mut BTreeSet<String>, in_quotes: &mut BTreeSet<String>) {
    match value {
        Out::Text(text) if text.contains(OPEN) => {
            // What is a reference already is one of another kind.
            let escaped = text.replace("${", "$${");
            let mut own = BTreeSet::new();
            let mut done = String::new();
            let mut rest = escaped.as_str();
            while let Some((before, after)) = rest.split_once(OPEN) {
                let (name, after) = after.split_once(CLOSE).unwrap_or((after, ""));
                own.insert(name.to_owned());
                done.push_str(&format!("{before}${{{name}}}"));
                rest = after;
            }
            done.push_str(rest);
            if is_plain_environment(&done) {
                names.extend(own);
                *value = Out::Environment(done);
            } else {
                in_quotes.extend(own);
                *value = Out::Text(text.replace(OPEN, "${").replace(CLOSE, "}"));
            }
        }
        Out::List(list) => list.iter_mut().for_each(|value| environment(value, names, in_quotes)),
        Out::Map(Fields(entries)) => entries.iter_mut().for_each(|(_, value)| environment(value, names, in_quotes)),
        _ => {}
    }
}

/// The check by our own rules.
fn valid(fields: &Fields) -> Result<Check, String> {
    let json = Out::Map(fields.clone()).validated();
    serde_path_to_error::deserialize::<_, Check>(json).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let message = message.strip_prefix("check `x`: ").unwrap_or(&message);
        if path == "." { message.to_owned() } else { format!("`{path}`: {message}") }
    })
}
