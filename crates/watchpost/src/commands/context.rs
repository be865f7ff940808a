//! `watchpost context`: named connections.

use serde_json::{Value, json};

use crate::cli::{ContextCommand, ListFormat};
use crate::config::{Context, ContextName, Contexts};
use crate::failure::{Exit, Failure};
use crate::output::{Table, print_objects};
use crate::remote::overlay;

/// Runs one of its commands.
pub fn run(command: ContextCommand) -> Result<Exit, Failure> {
    let mut contexts = Contexts::load()?;
    match command {
        ContextCommand::Add { name, server, group, replace, select } => {
            if contexts.contexts.contains_key(&name) && !replace {
                return Err(Failure::usage(format!("there is a context `{name}` already: --replace replaces it")));
            }
            let mut context = Context { group, ..Context::default() };
            overlay(&mut context, &server)?;
            if context.servers.is_empty() {
                return Err(Failure::usage("no bus is given: expected --bus nats://HOST:4222"));
            }
            // Whoever uses it may stand in another directory.
            absolute(&mut context)?;
            if select || contexts.current.is_none() {
                contexts.current = Some(name.clone());
            }
            contexts.contexts.insert(name.clone(), context);
            contexts.save()?;
            said(&format!("context `{name}` kept{}", in_use(&contexts, &name)));
        }
        ContextCommand::Use { name } => {
            contexts.get(&name).map_err(Failure::usage)?;
            contexts.current = Some(name.clone());
            contexts.save()?;
            said(&format!("context `{name}` is used from now on"));
        }
        ContextCommand::Remove { name } => {
            contexts.get(&name).map_err(Failure::usage)?;
            contexts.contexts.remove(&name);
            if contexts.current.as_ref() == Some(&name) {
                contexts.current = None;
            }
            contexts.save()?;
            said(&format!("context `{name}` removed"));
        }
        ContextCommand::List { output } => {
            if contexts.contexts.is_empty() {
                said("there are no contexts: `watchpost context add NAME --bus nats://HOST:4222` makes one");
            }
            print(&contexts, contexts.contexts.keys(), output)?;
        }
        ContextCommand::Show { name, output } => {
            let name = name.or_else(|| contexts.current.clone());
            let name =
                name.ok_or_else(|| Failure::usage("no context is in use: say which, or `watchpost context use NAME`"))?;
            contexts.get(&name).map_err(Failure::usage)?;
            print(&contexts, std::iter::once(&name), output)?;
        }
    }
    Ok(Exit::Ok)
}

fn in_use(contexts: &Contexts, name: &ContextName) -> &'static str {
    if contexts.current.as_ref() == Some(name) { ", and used from now on" } else { "" }
}

fn absolute(context: &mut Context) -> Result<(), Failure> {
    let files = [
        &mut context.credentials_file,
        &mut context.nkey_file,
        &mut context.password_file,
        &mut context.token_file,
        &mut context.tls_ca_file,
        &mut context.tls_certificate_file,
        &mut context.tls_key_file,
    ];
    for file in files.into_iter().flatten() {
        *file = std::path::absolute(&*file).map_err(|e| Failure::usage(format!("{}: {e}", file.display())))?;
    }
    Ok(())
}

fn print<'a>(
    contexts: &Contexts,
    names: impl Iterator<Item = &'a ContextName>,
    format: ListFormat,
) -> Result<(), Failure> {
    let objects = names.filter_map(|name| Some(object(contexts, name, contexts.contexts.get(name)?)));
    let printed = match format {
        ListFormat::Table => {
            let mut table = Table::new(&["NAME", "USED", "SERVERS", "AS", "TLS", "PREFIX", "GROUP"]);
            for object in objects {
                let text = |key: &str| object[key].as_str().unwrap_or("-").to_owned();
                let used = if object["used"] == true { "*" } else { "" };
                let cells = [
                    text("name"),
                    used.to_owned(),
                    text("servers"),
                    text("as"),
                    text("tls"),
                    text("prefix"),
                    text("group"),
                ];
                table.row(cells.iter().map(Into::into));
            }
            table.print()
        }
        format => print_objects(objects, format),
    };
    printed.map_err(|e| Failure::stuck(format!("stdout: {e}")))
}

/// A context without its secrets.
fn object(contexts: &Contexts, name: &ContextName, context: &Context) -> Value {
    let Context {
        servers,
        credentials_file,
        nkey_file,
        user,
        token,
        token_file,
        tls_ca_file,
        tls_certificate_file,
        prefix,
        group,
        ..
    } = context;
    let servers: Vec<_> = servers.iter().map(|server| watchpost_bus::without_secrets(server)).collect();
    let has_token = token.is_some() || token_file.is_some();
    let who = match (credentials_file, nkey_file, user, has_token) {
        (Some(file), ..) => Some(format!("credentials {}", file.display())),
        (_, Some(file), ..) => Some(format!("nkey {}", file.display())),
        (_, _, Some(user), _) => Some(format!("user {user}")),
        (_, _, _, true) => Some("token".to_owned()),
        _ => None,
    };
    let tls: Vec<_> = [("CA", tls_ca_file), ("certificate", tls_certificate_file)]
        .into_iter()
        .filter_map(|(what, file)| Some(format!("{what} {}", file.as_ref()?.display())))
        .collect();
    json!({
        "name": name.to_string(),
        "used": contexts.current.as_ref() == Some(name),
        "servers": servers.join(", "),
        "as": who,
        "tls": Some(tls.join(", ")).filter(|tls| !tls.is_empty()),
        "prefix": prefix.as_ref().map(ToString::to_string),
        "group": group,
    })
}

#[expect(clippy::print_stderr, reason = "what was done is told to people")]
fn said(text: &str) {
    eprintln!("{text}");
}
