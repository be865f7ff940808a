//! Precedence against a reference: operators are put side by side without brackets, and the value is
//! worked out by splitting at the operator that binds least, the last of its kind.

use proptest::prelude::*;
use watchpost_expr::{Bindings, Environment, compile};

/// Operators from those that bind least to those that bind most; each row groups to the left.
const LEVELS: [&[&str]; 5] = [&["||"], &["&&"], &["==", "!=", "<", "<=", ">", ">="], &["+", "-"], &["*", "/", "%"]];

fn reference(tokens: &[String]) -> i64 {
    for level in LEVELS {
        let Some(at) = tokens.iter().rposition(|token| level.contains(&token.as_str())) else { continue };
        let (a, b) = (reference(&tokens[..at]), reference(&tokens[at + 1..]));
        return match tokens[at].as_str() {
            "||" => i64::from(a + b > 0),
            "&&" => a * b,
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "<" => i64::from(a < b),
            "<=" => i64::from(a <= b),
            ">" => i64::from(a > b),
            ">=" => i64::from(a >= b),
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "%" => a % b,
            other => panic!("{other} is no operator"),
        };
    }
    let text = &tokens[0];
    match text.strip_prefix('!') {
        Some(rest) => i64::from(rest == "false"),
        None => match text.as_str() {
            "true" => 1,
            "false" => 0,
            number => number.parse().unwrap(),
        },
    }
}

/// Numbers with operators between them. What divides is never 0, and products stay small.
fn sum() -> impl Strategy<Value = Vec<String>> {
    let operator = prop::sample::select(["+", "-", "*", "/", "%"].as_slice());
    (-9_i64..10, prop::collection::vec((operator, 1_i64..10), 0..6)).prop_map(|(first, rest)| {
        let rest = rest.into_iter().flat_map(|(operator, number)| [operator.to_owned(), number.to_string()]);
        std::iter::once(first.to_string()).chain(rest).collect()
    })
}

fn condition() -> impl Strategy<Value = Vec<String>> {
    let compare = prop::sample::select(["==", "!=", "<", "<=", ">", ">="].as_slice());
    let word = prop::sample::select(["true", "false", "!true", "!false"].as_slice());
    prop_oneof![
        word.prop_map(|word| vec![word.to_owned()]),
        (sum(), compare, sum()).prop_map(|(a, operator, b)| [a, vec![operator.to_owned()], b].concat()),
    ]
}

fn whole() -> impl Strategy<Value = Vec<String>> {
    let operator = prop::sample::select(["||", "&&"].as_slice());
    (condition(), prop::collection::vec((operator, condition()), 0..6)).prop_map(|(first, rest)| {
        rest.into_iter().fold(first, |mut tokens, (operator, condition)| {
            tokens.push(operator.to_owned());
            tokens.extend(condition);
            tokens
        })
    })
}

proptest! {
    #[test]
    fn operators_bind_as_the_reference_says(tokens in whole(), is_spaced in any::<bool>()) {
        let source = tokens.join(if is_spaced { " " } else { "" });
        let program = compile(&source, &Environment::new(&[])).unwrap();
        let evaluation = program.evaluate(&Bindings::new()).unwrap();
        prop_assert_eq!(i64::from(evaluation.holds), reference(&tokens), "{}", source);
    }
}

#[test]
fn the_reference_knows_what_binds() {
    let of = |text: &str| reference(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(of("1 + 2 * 3"), 7);
    assert_eq!(of("7 - 2 - 1"), 4);
    assert_eq!(of("true || false && false"), 1);
    assert_eq!(of("1 < 2 == true"), 1);
}
