//! `watchpost checks sign`, `verify` and `keygen`.

use std::path::PathBuf;

use clap::Args;
use watchpost_model::{BastionGroup, SignerKey};

use super::checks::DocumentFormat;
use super::connect::ListFormat;

#[derive(Debug, Args)]
pub struct SignArgs {
    /// The file with the seed of the nkey that signs, as `watchpost checks keygen` or `nk -gen user` writes it
    #[arg(short, long, value_name = "SEEDFILE")]
    pub key: PathBuf,
    /// The bastion group that they are for, which may be one bastion's id: no other one runs them
    #[arg(short, long, value_name = "GROUP", env = "WATCHPOST_GROUP")]
    pub group: BastionGroup,
    /// Files, or directories that are searched for *.yaml and *.yml; `-` for standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The revision, which must be higher than any before of the same check [default: the time of day in ms]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1 << 53))]
    pub revision: Option<u64>,
    /// How to print them: as YAML, one document for each, or as JSON, one a line
    #[arg(short, long, value_enum, default_value_t)]
    pub output: DocumentFormat,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Files, or directories that are searched for *.yaml and *.yml; `-` for standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// A public nkey that is trusted; may be given several times [default: whoever each check names]
    #[arg(long = "signer", value_name = "KEY")]
    pub signers: Vec<SignerKey>,
    /// The bastion group that they are to be for [default: the one that each check names]
    #[arg(short, long, value_name = "GROUP")]
    pub group: Option<BastionGroup>,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ListFormat,
}

#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Where to write the seed, which is secret: a file that is not there yet
    #[arg(value_name = "SEEDFILE")]
    pub file: PathBuf,
}
