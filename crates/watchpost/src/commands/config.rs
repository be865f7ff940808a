//! Looking at configuration files, and making them.

use std::io::Write;

use crate::cli::ConfigCommand;
use crate::config::{self, FileConfig};
use crate::failure::{Exit, Failure};

/// Validates a file, prints the schema, or translates what is another monitor's.
pub fn run(command: ConfigCommand) -> Result<Exit, Failure> {
    let text = match command {
        ConfigCommand::Validate { file } => {
            let loaded = config::load(&file)?;
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            format!("{}: valid, {} checks\n", file.display(), loaded.checks.len())
        }
        ConfigCommand::Schema => {
            let schema = schemars::schema_for!(FileConfig);
            let text = serde_json::to_string_pretty(&schema).map_err(|e| Failure::usage(e.to_string()))?;
            text + "\n"
        }
        ConfigCommand::Import(args) => return super::import::run(&args),
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| Failure::usage(format!("stdout: {e}")))?;
    Ok(Exit::Ok)
}
