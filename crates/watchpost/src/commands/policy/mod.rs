//! Looking at policies, and asking them.

mod explain;
mod test;

use std::path::Path;

use watchpost_policy::PolicyFile;

use crate::cli::{BuiltInArg, DocumentFormat, PolicyChoice, PolicyCommand, PolicyShowArgs};
use crate::config::{self, Loaded};
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::policy::{BuiltIn, Chosen, choose};

/// Shows, validates, and asks policies.
pub fn run(command: PolicyCommand) -> Result<Exit, Failure> {
    let text = match command {
        PolicyCommand::Test(args) => return test::run(args),
        PolicyCommand::Show(args) => show(&args)?,
        PolicyCommand::Validate { file } => {
            let loaded = config::load_policy(&file)?;
            loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            let rules = loaded.policy.file().rules.len();
            format!("{}: valid, {rules} rules, sha256 {}\n", file.display(), loaded.sha256)
        }
        PolicyCommand::Schema => {
            let schema = schemars::schema_for!(PolicyFile);
            let text = serde_json::to_string_pretty(&schema).map_err(|e| Failure::usage(e.to_string()))?;
            text + "\n"
        }
    };
    put(&text)?;
    Ok(Exit::Ok)
}

fn put(text: &str) -> Result<(), Failure> {
    print(text).map_err(|e| Failure::stuck(format!("stdout: {e}")))
}

/// The policy that is meant, and the configuration that names it, if there is one.
fn chosen(choice: &PolicyChoice, config: Option<&Path>) -> Result<(Chosen, Option<Loaded>), Failure> {
    let loaded = config.map(config::load).transpose()?;
    let of_config = loaded.as_ref().and_then(|loaded| loaded.settings.policy.as_deref());
    let built_in = match choice.built_in {
        BuiltInArg::Strict => BuiltIn::Strict,
        BuiltInArg::Local => BuiltIn::Local,
    };
    let chosen = choose(choice.policy.as_deref().or(of_config), built_in)?;
    Ok((chosen, loaded))
}

fn show(args: &PolicyShowArgs) -> Result<String, Failure> {
    let (chosen, _) = chosen(&args.choice, args.config.as_deref())?;
    let file = chosen.policy.file();
    let defect = |e: String| Failure::stuck(format!("the policy cannot be written: {e}"));
    match args.output {
        DocumentFormat::Yaml => {
            let mut options = serde_saphyr::SerializerOptions::default();
            options.prefer_block_scalars = false;
            let text = serde_saphyr::to_string_with_options(file, options).map_err(|e| defect(e.to_string()))?;
            let hash = chosen.standing.sha256.iter().map(|hash| format!(", sha256 {hash}")).collect::<String>();
            Ok(format!("# {}{hash}\n{text}", chosen.standing.source))
        }
        DocumentFormat::Json => Ok(serde_json::to_string_pretty(file).map_err(|e| defect(e.to_string()))? + "\n"),
    }
}
