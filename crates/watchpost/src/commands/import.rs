//! Checks made of the configurations of other monitors.

use std::io::{Read, Write};
use std::path::Path;

use watchpost_import::{FILE_BYTES_MAX, Source, import};

use crate::cli::{FileFormat, ImportArgs};
use crate::failure::{Exit, Failure};

/// Prints the checks, and tells what did not become one.
pub fn run(args: &ImportArgs) -> Result<Exit, Failure> {
    if args.notes && args.output == FileFormat::Json {
        return Err(Failure::usage("--notes writes comments, which JSON does not have: expected -o yaml with it"));
    }
    let read: Vec<(String, String)> = args.files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
    let sources: Vec<Source<'_>> = read.iter().map(|(name, text)| Source { name, text }).collect();
    let imported = import(&sources, args.from).map_err(|e| Failure::usage(e.to_string()))?;
    let text = match args.output {
        FileFormat::Yaml => imported.to_yaml(args.notes),
        FileFormat::Json => imported.to_json(),
    };
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|e| Failure::usage(format!("stdout: {e}")))?;
    tell(&imported.list());
    let left_in_quotes = args.output == FileFormat::Json && imported.reads_environment();
    if left_in_quotes {
        tell("not translated: in JSON, `${NAME}` is not read from the environment: take -o yaml\n");
    }
    Ok(if imported.is_complete() && !left_in_quotes { Exit::Ok } else { Exit::NotPassed })
}

#[expect(clippy::print_stderr, reason = "what was not translated is for people")]
fn tell(notes: &str) {
    eprint!("{notes}");
}

/// What a file is called, and its text.
fn read(file: &Path) -> Result<(String, String), Failure> {
    let from_stdin = file == Path::new("-");
    let name = if from_stdin { "standard input".to_owned() } else { file.display().to_string() };
    let failed = |e: std::io::Error| Failure::usage(format!("{name}: cannot be read: {e}"));
    let reader: Box<dyn Read> = match from_stdin {
        true => Box::new(std::io::stdin().lock()),
        false => Box::new(std::fs::File::open(file).map_err(failed)?),
    };
    // One byte more than may be there tells that there is more.
    let mut text = String::new();
    reader.take(FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{name}: is too large: expected at most {FILE_BYTES_MAX} bytes")));
    }
    Ok((name, text))
}
