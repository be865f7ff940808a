//! Where the bus is: flags, then the environment, then a context.

use watchpost_bus::{ClientFiles, NatsCredentials, NatsOptions, NatsSecret};
use watchpost_model::{BastionGroup, SubjectPrefix};

use crate::cli::{AuthArgs, ConnectArgs, ServerArgs};
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
    let ServerArgs { bus, auth, prefix, bucket } = server.clone();
    if !bus.is_empty() {
        context.servers = bus;
    }
    context.prefix = prefix.or(context.prefix.take());
    context.bucket = bucket.or(context.bucket.take());
    overlay_auth(context, &auth)
}

/// Replaces what flags and environment say otherwise of who we are.
///
/// # Errors
/// When they do not fit together.
pub fn overlay_auth(context: &mut Context, auth: &AuthArgs) -> Result<(), Failure> {
    let AuthArgs { creds, nkey, user, password, password_file, token, token_file, .. } = auth.clone();
    let ways = [
        ("--creds", creds.is_some()),
        ("--nkey", nkey.is_some()),
        ("--user", user.is_some()),
        ("--token", token.is_some()),
        ("--token-file", token_file.is_some()),
    ];
    let ways: Vec<_> = ways.into_iter().filter(|way| way.1).map(|way| way.0).collect();
    if ways.len() > 1 {
        return Err(Failure::usage(format!("{} say different things of who we are: expected one", ways.join(" and "))));
    }
    if !ways.is_empty() {
        // One way to say who we are replaces another.
        context.forget_who_we_are();
    }
    let secret = |e: watchpost_model::Invalid| Failure::usage(e.to_string());
    context.credentials_file = creds.or(context.credentials_file.take());
    context.nkey_file = nkey.or(context.nkey_file.take());
    context.user = user.or(context.user.take());
    if password.is_some() && password_file.is_some() {
        return Err(Failure::usage("--password and --password-file both say the password: expected one"));
    }
    if password.is_some() || password_file.is_some() {
        context.password = password.map(|password| password.parse().map_err(secret)).transpose()?;
        context.password_file = password_file;
    }
    if let Some(token) = token {
        context.token = Some(token.parse().map_err(secret)?);
    }
    context.token_file = token_file.or(context.token_file.take());
    let AuthArgs { tls_ca, tls_cert, tls_key, inbox_prefix, .. } = auth.clone();
    context.tls_ca_file = tls_ca.or(context.tls_ca_file.take());
    context.tls_certificate_file = tls_cert.or(context.tls_certificate_file.take());
    context.tls_key_file = tls_key.or(context.tls_key_file.take());
    context.inbox_prefix = inbox_prefix.or(context.inbox_prefix.take());
    context.validate().map_err(Failure::usage)
}

fn connection(context: Context) -> Result<Connection, Failure> {
    let prefix = context.prefix.clone().unwrap_or_default();
    let bucket = context.bucket.clone().unwrap_or_else(|| BUCKET_DEFAULT.to_owned());
    let group = context.group.clone();
    Ok(Connection { options: nats_options(context, "watchpost".to_owned()), prefix, bucket, group })
}

/// How to reach the bus of a context, where `name` is what the server calls the connection.
pub fn nats_options(context: Context, name: String) -> NatsOptions {
    let mut options = NatsOptions::new(context.servers);
    options.name = name;
    options.tls_ca_file = context.tls_ca_file;
    options.tls_client = context
        .tls_certificate_file
        .zip(context.tls_key_file)
        .map(|(certificate, key)| ClientFiles { certificate, key });
    options.require_tls = context.require_tls;
    if let Some(prefix) = context.inbox_prefix {
        options.inbox_prefix = prefix;
    }
    let password = match (context.password, context.password_file) {
        (Some(password), _) => NatsSecret::Text(password.reveal().to_owned()),
        (None, Some(file)) => NatsSecret::File(file),
        (None, None) => NatsSecret::Text(String::new()),
    };
    let token = match (context.token, context.token_file) {
        (Some(token), _) => Some(NatsSecret::Text(token.reveal().to_owned())),
        (None, file) => file.map(NatsSecret::File),
    };
    options.credentials = match (context.credentials_file, context.nkey_file, context.user, token) {
        (Some(file), ..) => Some(NatsCredentials::File(file)),
        (_, Some(file), ..) => Some(NatsCredentials::Nkey(NatsSecret::File(file))),
        (_, _, Some(user), _) => Some(NatsCredentials::UserPassword { user, password }),
        (_, _, _, token) => token.map(NatsCredentials::Token),
    };
    options
}
