//! Where the bus is: flags, then the environment, then a context.

use watchpost_bus::{ClientFiles, NatsCredentials, NatsOptions};
use watchpost_model::{BastionGroup, SubjectPrefix};

use crate::cli::{ConnectArgs, ServerArgs};
use crate::config::{BUCKET_DEFAULT, Context, ContextName, Contexts};
use crate::failure::Failure;

/// What is in force.
#[derive(Debug)]
pub struct Connection {
    /// How to reach the bus.
    pub options: NatsOptions,
    /// The first part of every subject.
    pub prefix: SubjectPrefix,
    /// The bucket of checks.
    pub bucket: String,
    /// The bastion group that is meant where none is named.
    pub group: Option<BastionGroup>,
}

/// What flags, environment and contexts come to. Where servers are named and no context is, no context counts: what one
/// bus is told of who we are is no other's business.
///
/// # Errors
/// When no server is named, or what is said does not fit together.
pub fn effective(args: &ConnectArgs) -> Result<Connection, Failure> {
    let mut context = match (&args.context, args.server.bus.is_empty()) {
        (None, false) => Context::default(),
        (named, _) => chosen(named.as_ref())?,
    };
    overlay(&mut context, &args.server)?;
    if context.servers.is_empty() {
        return Err(Failure::usage(
            "no bus is given: expected --bus nats://HOST:4222, WATCHPOST_BUS, or a context, which `watchpost context add \
             NAME --bus nats://HOST:4222` makes",
        ));
    }
    connection(context)
}

fn chosen(named: Option<&ContextName>) -> Result<Context, Failure> {
    let contexts = Contexts::load()?;
    match named.or(contexts.current.as_ref()) {
        Some(name) => Ok(contexts.get(name).map_err(Failure::usage)?.clone()),
        None => Ok(Context::default()),
    }
}

/// Replaces what flags and environment say otherwise.
///
/// # Errors
/// When they do not fit together.
pub fn overlay(context: &mut Context, server: &ServerArgs) -> Result<(), Failure> {
    let ServerArgs { bus, creds, nkey, user, password, token, tls_ca, tls_cert, tls_key, prefix, bucket } =
        server.clone();
    let ways = [("--creds", creds.is_some()), ("--nkey", nkey.is_some()), ("--user", user.is_some())];
    let ways: Vec<_> =
        ways.into_iter().chain([("--token", token.is_some())]).filter(|way| way.1).map(|way| way.0).collect();
    if ways.len() > 1 {
        return Err(Failure::usage(format!("{} say different things of who we are: expected one", ways.join(" and "))));
    }
    if !ways.is_empty() {
        // One way to say who we are replaces another.
        (context.credentials_file, context.nkey_file) = (None, None);
        (context.user, context.password, context.token) = (None, None, None);
    }
    let secret = |e: watchpost_model::Invalid| Failure::usage(e.to_string());
    if !bus.is_empty() {
        context.servers = bus;
    }
    context.credentials_file = creds.or(context.credentials_file.take());
    context.nkey_file = nkey.or(context.nkey_file.take());
    context.user = user.or(context.user.take());
    if let Some(password) = password {
        context.password = Some(password.parse().map_err(secret)?);
    }
    if let Some(token) = token {
        context.token = Some(token.parse().map_err(secret)?);
    }
    context.tls_ca_file = tls_ca.or(context.tls_ca_file.take());
    context.tls_certificate_file = tls_cert.or(context.tls_certificate_file.take());
    context.tls_key_file = tls_key.or(context.tls_key_file.take());
    context.prefix = prefix.or(context.prefix.take());
    context.bucket = bucket.or(context.bucket.take());
    match (&context.tls_certificate_file, &context.tls_key_file) {
        (Some(_), None) => return Err(Failure::usage("there is a --tls-cert and no --tls-key: expected both")),
        (None, Some(_)) => return Err(Failure::usage("there is a --tls-key and no --tls-cert: expected both")),
        _ => {}
    }
    if context.user.is_none() && context.password.is_some() {
        return Err(Failure::usage("there is a --password and no --user: expected both"));
    }
    Ok(())
}

fn connection(context: Context) -> Result<Connection, Failure> {
    let mut options = NatsOptions::new(context.servers);
    options.name = "watchpost".to_owned();
    options.tls_ca_file = context.tls_ca_file;
    options.tls_client = context
        .tls_certificate_file
        .zip(context.tls_key_file)
        .map(|(certificate, key)| ClientFiles { certificate, key });
    options.credentials = match (context.credentials_file, context.nkey_file, context.user, context.token) {
        (Some(file), ..) => Some(NatsCredentials::File(file)),
        (_, Some(file), ..) => {
            let wrong = |what: String| Failure::usage(format!("the nkey's file {} {what}", file.display()));
            let text = std::fs::read_to_string(&file).map_err(|e| wrong(format!("cannot be read: {e}")))?;
            // As `nk -gen user` writes it: comments aside, one line.
            let seed = text.lines().map(str::trim).find(|line| line.starts_with("SU"));
            let seed = seed.ok_or_else(|| wrong("holds no seed: expected a line that begins with SU".to_owned()))?;
            Some(NatsCredentials::NkeySeed(seed.to_owned()))
        }
        (_, _, Some(user), _) => {
            let password = context.password.map(|password| password.reveal().to_owned()).unwrap_or_default();
            Some(NatsCredentials::UserPassword { user, password })
        }
        (_, _, _, Some(token)) => Some(NatsCredentials::Token(token.reveal().to_owned())),
        _ => None,
    };
    let bucket = context.bucket.unwrap_or_else(|| BUCKET_DEFAULT.to_owned());
    Ok(Connection { options, prefix: context.prefix.unwrap_or_default(), bucket, group: context.group })
}
