//! What the documentation lists, held against what the model declares. `WATCHPOST_WRITE_DOCS=1` writes the lists anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what cannot be read fails its test")]

mod written;

use std::collections::BTreeMap;
use std::fmt::Write;

use watchpost_expr::Variable;
use watchpost_model::{CheckType, REASON_CODES};
use written::{holds, page};

fn table(variables: &[Variable]) -> String {
    let mut table = String::from("| variable | type | what it is |\n|---|---|---|\n");
    for Variable { path, field } in variables {
        let absent = match field.absent {
            Some("") => " (may be absent)".to_owned(),
            Some(why) => format!(" (absent where {why})"),
            None => String::new(),
        };
        let shown_type = field.ty.to_string().replace('<', "\\<");
        writeln!(table, "| `{path}` | {shown_type} | {}{absent} |", field.doc).unwrap();
    }
    table
}

#[test]
fn the_page_on_expressions_lists_every_variable_of_every_type() {
    // What all types have is listed once.
    let of = |check_type: CheckType| check_type.environment().paths();
    let mut count = BTreeMap::<String, usize>::new();
    for check_type in CheckType::ALL {
        of(check_type).into_iter().for_each(|variable| *count.entry(variable.path).or_default() += 1);
    }
    let root = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let common =
        |path: &str| ["phases", "tls", "address", "resolved", "metrics", "target"].contains(&root(path).as_str());
    let any = of(CheckType::ALL[0]);
    let everyone: Vec<Variable> = any.into_iter().filter(|variable| common(&variable.path)).collect();
    assert!(everyone.iter().all(|variable| count[&variable.path] == CheckType::ALL.len()), "{count:?}");
    let mut text = format!("### Every type\n\n{}", table(&everyone));
    for check_type in CheckType::ALL {
        let own: Vec<Variable> = of(check_type).into_iter().filter(|variable| !common(&variable.path)).collect();
        let own = if own.is_empty() { "Nothing of its own.\n".to_owned() } else { table(&own) };
        write!(text, "\n### `{check_type}`\n\n{own}").unwrap();
    }
    holds("expressions.md", "variables", &format!("{text}\n"));
}

#[test]
fn the_page_on_reasons_lists_every_code() {
    let mut text = String::from("| code | what it means |\n|---|---|\n");
    for (code, told) in REASON_CODES {
        let told = told.trim().replace('\n', " ");
        assert!(told.ends_with('.'), "{code}: {told}");
        writeln!(text, "| `{code}` | {told} |").unwrap();
    }
    holds("reasons.md", "reasons", &text);
}

/// Each type has a page, which names the key that it is configured by.
#[test]
fn every_type_has_a_page() {
    for check_type in CheckType::ALL {
        let text = std::fs::read_to_string(page(&format!("checks/{check_type}.md")));
        let text = text.unwrap_or_else(|e| panic!("docs/checks/{check_type}.md: {e}"));
        assert!(text.contains(&format!("{check_type}:")), "docs/checks/{check_type}.md has no example");
    }
}
