//! `watchpost checks`: the store of checks, and what bastions make of it.

mod apply;
mod change;
mod diff;
mod list;
mod plan;
mod rollout;
mod sign;
mod status;
mod test;
mod yaml;

use std::sync::Arc;

use watchpost_bus::KvError;
use watchpost_model::BastionGroup;

use super::results;
use crate::cli::{ApplyArgs, ChecksArgs, ChecksCommand, TestArgs};
use crate::failure::{Exit, Failure};
use crate::remote::{Filter, PastQuery, Remote};

/// Runs one of its commands.
pub fn run(args: ChecksArgs) -> Result<Exit, Failure> {
    match &args.command {
        ChecksCommand::Sign(args) => return sign::sign(args),
        ChecksCommand::Verify(args) => return sign::verify_files(args),
        ChecksCommand::Keygen(args) => return sign::keygen(args),
        _ => {}
    }
    super::in_system(async move {
        // What is wrong with files is told before anything is asked of anybody.
        let written = match &args.command {
            ChecksCommand::Apply(args) => Some(apply::read(&args.files)?),
            ChecksCommand::Test(args) => {
                args.file.as_ref().map(|file| apply::read(std::slice::from_ref(file))).transpose()?
            }
            _ => None,
        };
        let signer = match &args.command {
            ChecksCommand::Apply(ApplyArgs { sign, .. }) | ChecksCommand::Test(TestArgs { sign, .. }) => {
                sign.as_deref().map(sign::signer).transpose()?
            }
            _ => None,
        };
        let remote = Arc::new(Remote::connect(&args.connect).await?);
        let done = match args.command {
            ChecksCommand::Apply(args) => apply::run(&remote, args, signer, written.unwrap_or_default()).await,
            ChecksCommand::List { group, bastion, output } => list::list(&remote, group, bastion, output).await,
            ChecksCommand::Get { id, group, output } => list::get(&remote, group.as_ref(), &id, output).await,
            ChecksCommand::Delete { ids, group, yes } => change::delete(&remote, &ids, group.as_ref(), yes).await,
            ChecksCommand::Pause(args) => change::pause(&remote, &args, true).await,
            ChecksCommand::Resume(args) => change::pause(&remote, &args, false).await,
            ChecksCommand::Status { ids, group, bastion, quiet, output } => {
                status::run(&remote, status::Asked { ids, group, bastion, quiet, output }).await
            }
            ChecksCommand::Test(args) => test::run(&remote, args, signer, written.unwrap_or_default()).await,
            // These need no bus.
            ChecksCommand::Sign(_) | ChecksCommand::Verify(_) | ChecksCommand::Keygen(_) => Ok(Exit::Ok),
            ChecksCommand::History { id, bastion, since, limit, output, verbose } => {
                let filter = Filter { bastion, check: Some(id), outcomes: Vec::new() };
                let query = PastQuery { filter, since, limit: limit as usize };
                results::query(&remote, query, output, verbose).await
            }
        };
        if let Ok(remote) = Arc::try_unwrap(remote).map_err(drop) {
            remote.close().await;
        }
        done
    })
}

/// The group that is meant, by the flag or by the context.
fn group_of(remote: &Remote, given: Option<BastionGroup>) -> Result<BastionGroup, Failure> {
    given.or_else(|| remote.group.clone()).ok_or_else(|| {
        Failure::usage(
            "it is not said which bastions are to run these checks: expected --group GROUP (a bastion's id is one), \
             WATCHPOST_GROUP, or a context with a group",
        )
    })
}

/// No bucket is as good as an empty one, for whoever only looks.
fn or_empty<T>(read: Result<Vec<T>, KvError>) -> Result<Vec<T>, Failure> {
    match read {
        Err(KvError::NoBucket { .. }) => {
            tracing::warn!("there is no store of checks on the bus yet: `watchpost checks apply` makes it");
            Ok(Vec::new())
        }
        read => Ok(read?),
    }
}

/// What stdout does not take.
fn stdout(error: std::io::Error) -> Failure {
    Failure::stuck(format!("stdout: {error}"))
}
