//! `watchpost policy test`: is it permitted, and why.

use std::io::IsTerminal;
use std::time::Duration;

use watchpost_agent::RunItem;
use watchpost_model::{Check, shorten};

use super::explain::{Answer, Judge};
use crate::cli::{PolicyFormat, PolicyTestArgs};
use crate::config::{FileConfig, Loaded};
use crate::failure::{Exit, Failure};
use crate::policy::OwnPlaces;
use crate::target;

/// What checks of targets on the command line would have; nothing here depends on it.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one name may take.
const NAME_LIMIT: Duration = Duration::from_secs(10);

pub fn run(args: PolicyTestArgs) -> Result<Exit, Failure> {
    let (chosen, loaded) = super::chosen(&args.choice, args.config.as_deref())?;
    let Loaded { settings, checks, .. } =
        loaded.unwrap_or_else(|| Loaded { settings: FileConfig::default(), checks: Vec::new(), warnings: Vec::new() });
    let mut asked: Vec<(String, Check)> = checks
        .into_iter()
        .map(|check| (check.id().to_string(), check))
        .filter(|(_, check)| check.probe().is_some())
        .collect();
    for (i, text) in args.targets.iter().enumerate() {
        match target::parse(text, i + 1, TIMEOUT, false).map_err(Failure::usage)? {
            RunItem::Check(check) => asked.push((shorten(&check.target_name(), 200).into_owned(), *check)),
            RunItem::Configured(check) => asked.push((check.target_name(), Check::clone(&check))),
            RunItem::Invalid { message, .. } => return Err(Failure::usage(message)),
        }
    }
    if asked.is_empty() {
        return Err(Failure::usage("there is nothing to judge: the file has no checks"));
    }
    super::super::in_system(async move {
        let mut places = own_places(&settings)?;
        places.look_up().await;
        let judge =
            Judge { policy: &chosen.policy, own: places.own(), resolver: settings.resolver(), limit: NAME_LIMIT };
        let mut answers: Vec<Answer> = Vec::with_capacity(asked.len());
        for (name, check) in asked {
            answers.push(judge.check(name, &check).await);
        }
        let permitted = answers.iter().all(Answer::is_permitted);
        let text = match args.output {
            PolicyFormat::Json => {
                serde_json::to_string_pretty(&answers).map_err(|e| Failure::stuck(e.to_string()))? + "\n"
            }
            PolicyFormat::Text => {
                let colour = std::io::stdout().is_terminal();
                let head = format!("policy: {}\n", chosen.standing.source);
                answers.iter().fold(head, |text, answer| text + "\n" + &answer.text(colour))
            }
        };
        super::put(&text)?;
        Ok(if permitted { Exit::Ok } else { Exit::NotPassed })
    })
}

/// The bus and console of the configuration: a running bastion may have been told others on its command line.
fn own_places(settings: &FileConfig) -> Result<OwnPlaces, Failure> {
    let bus = match settings.bus.servers.is_empty() {
        true => Vec::new(),
        false => crate::remote::nats_options(settings.bus.context(), String::new()).hosts()?,
    };
    Ok(OwnPlaces::new(bus, settings.console.listen))
}
