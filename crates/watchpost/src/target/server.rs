//! Targets that are servers: `SCHEME://[USER@]HOST[:PORT][/PATH]`.

use watchpost_model::{
    GrpcSettings, HostPort, ImapSettings, MysqlSettings, Pop3Settings, PostgresSettings, ProbeSettings, RedisSettings,
    SmtpSettings, SshSettings, StartTls,
};

use super::parsed;

/// What stands behind the scheme of a target.
struct Parts<'a> {
    /// The user's name before the `@`, empty where there is none.
    user: &'a str,
    address: HostPort,
    /// What follows the first slash, empty where nothing does.
    path: &'a str,
}

/// Reads `rest`; where it names no port, it is `port`, if the protocol has one of its own.
fn parts(rest: &str, port: Option<u16>) -> Result<Parts<'_>, String> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Err("a target on the command line can be read by everybody on this machine, so it may hold no \
                    password: expected a check in a configuration file, with `-c`"
            .into());
    }
    let names_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let address = match port {
        Some(port) if !names_port => parsed(&format!("{host}:{port}"))?,
        _ => parsed(host)?,
    };
    Ok(Parts { user, address, path })
}

/// For targets that name neither a user nor anything within the server.
fn address(rest: &str, port: Option<u16>) -> Result<HostPort, String> {
    match parts(rest, port)? {
        Parts { user: "", address, path: "" } => Ok(address),
        Parts { user: "", path, .. } => {
            Err(format!("`/{}` has no meaning here: expected no more than host and port", shown(path)))
        }
        Parts { user, .. } => Err(format!("`{}@` has no meaning here: expected no user", shown(user))),
    }
}

fn shown(text: &str) -> std::borrow::Cow<'_, str> {
    watchpost_model::shorten(text, 60)
}

/// Mail servers; an `s` at the end of the scheme is TLS with the connection.
pub(super) fn mail(scheme: &str, rest: &str) -> Result<ProbeSettings, String> {
    let (plain, starttls) = match scheme.strip_suffix('s') {
        Some(plain) => (plain, StartTls::Implicit),
        None => (scheme, StartTls::default()),
    };
    let at = |plain_port, tls_port| address(rest, Some(if plain == scheme { plain_port } else { tls_port }));
    Ok(match plain {
        "imap" => ProbeSettings::Imap(ImapSettings::visit(at(143, 993)?, starttls)),
        "pop3" => ProbeSettings::Pop3(Pop3Settings::visit(at(110, 995)?, starttls)),
        _ => ProbeSettings::Smtp(SmtpSettings::visit(at(25, 465)?, starttls)),
    })
}

pub(super) fn redis(rest: &str, tls: bool) -> Result<ProbeSettings, String> {
    Ok(ProbeSettings::Redis(RedisSettings::ping(address(rest, Some(6379))?, tls)))
}

pub(super) fn ssh(rest: &str) -> Result<ProbeSettings, String> {
    Ok(ProbeSettings::Ssh(SshSettings::host_key(address(rest, Some(22))?)))
}

/// `[USER@]HOST[:PORT][/DATABASE]`.
pub(super) fn postgres(rest: &str) -> Result<ProbeSettings, String> {
    let Parts { user, address, path } = parts(rest, Some(5432))?;
    let user = if user.is_empty() { None } else { Some(parsed(user)?) };
    let database = if path.is_empty() { None } else { Some(parsed(path)?) };
    Ok(ProbeSettings::Postgres(PostgresSettings { user, database, ..PostgresSettings::ready(address) }))
}

/// `USER@HOST[:PORT][/DATABASE]`.
pub(super) fn mysql(rest: &str) -> Result<ProbeSettings, String> {
    let Parts { user, address, path } = parts(rest, Some(3306))?;
    if user.is_empty() {
        return Err("a check of this type logs in: expected `mysql://USER@HOST`".into());
    }
    let database = if path.is_empty() { None } else { Some(parsed(path)?) };
    Ok(ProbeSettings::Mysql(MysqlSettings { database, ..MysqlSettings::ping(address, parsed(user)?) }))
}

/// `HOST:PORT/SERVICE`.
pub(super) fn grpc(rest: &str, tls: bool) -> Result<ProbeSettings, String> {
    match parts(rest, None)? {
        Parts { user: "", address, path } => {
            let service = if path.is_empty() { None } else { Some(parsed(path)?) };
            Ok(ProbeSettings::Grpc(GrpcSettings::health(address, tls, service)))
        }
        Parts { user, .. } => Err(format!("`{}@` has no meaning here: expected no user", shown(user))),
    }
}

/// `target` as it may be shown: a password that should not have been given is not.
pub(super) fn without_password(target: &str) -> String {
    let Some((scheme, rest)) = target.split_once("://") else { return target.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_may_be_left_out_where_the_protocol_has_one() {
        for (rest, address) in
            [("a", "a:6379"), ("a:1", "a:1"), ("a/", "a:6379"), ("[::1]", "[::1]:6379"), ("[::1]:1", "[::1]:1")]
        {
            match redis(rest, true) {
                Ok(ProbeSettings::Redis(settings)) => assert_eq!(settings.address.to_string(), address),
                other => panic!("{rest}: {other:?}"),
            }
        }
        for (rest, told) in [("a/1", "`/1` has no meaning"), ("u@a", "`u@` has no meaning"), ("", "no host")] {
            let refused = redis(rest, false).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        let refused = redis("u:hunter2@a", false).unwrap_err();
        assert!(refused.contains("configuration file") && !refused.contains("hunter2"), "{refused}");
        for (given, shown) in [
            ("redis://u:hunter2@a/b@c", "redis://u@a/b@c"),
            ("redis://:hunter2@a", "redis://@a"),
            ("redis://u:p@hunter2@a", "redis://u@a"),
            ("redis://a/b:c@d", "redis://a/b:c@d"),
            ("a", "a"),
        ] {
            assert_eq!(without_password(given), shown);
        }
    }
}
