//! docs/expressions.md says what is true: its examples compile, its limits are those of the crate.

use watchpost_expr::limits::{
    DEPTH_MAX, JSON_DEPTH_MAX, LIST_ITEMS_MAX, LIST_LITERAL_MAX, LOOP_DEPTH_MAX, MATCH_BYTES_PER_STEP, NODES_MAX,
    PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX, PATTERNS_MAX, SEEN_CHARS_MAX, SEEN_MAX, SOURCE_BYTES_MAX, STEPS_MAX,
    TEXT_BYTES_MAX, TEXT_BYTES_PER_STEP,
};

use crate::support::{compiled, evaluate_with, refused};

const PAGE: &str = include_str!("../../../../docs/expressions.md");

#[test]
fn its_examples_are_expressions() {
    let mut examples = 0;
    for block in PAGE.split("```cel\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            compiled(line);
            examples += 1;
        }
    }
    assert!(examples >= 9, "only {examples} examples were found");
}

#[test]
fn its_limits_are_those_of_the_crate() {
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    let rows = [
        format!("| length of an expression | {SOURCE_BYTES_MAX} bytes |"),
        format!("count once | {DEPTH_MAX} |"),
        format!("| values, operators and calls in all | {NODES_MAX} |"),
        format!("| entries of a list that is written out | {LIST_LITERAL_MAX} |"),
        format!("| `all`, `exists`, `filter` within each other | {LOOP_DEPTH_MAX} |"),
        format!("| calls of `matches` | {PATTERNS_MAX} |"),
        format!("| a pattern | {PATTERN_BYTES_MAX} bytes, and {} once compiled |", kib(PATTERN_COMPILED_BYTES_MAX)),
        format!("| steps of an evaluation | {STEPS_MAX} |"),
        format!("| a text that `+` or `lowerAscii` makes | {} |", kib(TEXT_BYTES_MAX)),
        format!("| a list that `filter` makes | {LIST_ITEMS_MAX} entries |"),
        format!("| nesting of JSON that `==` compares | {JSON_DEPTH_MAX} |"),
        format!("each {TEXT_BYTES_PER_STEP} bytes of a text"),
        format!("each {MATCH_BYTES_PER_STEP} bytes that a pattern"),
        format!("at most {SEEN_MAX} values of at most {SEEN_CHARS_MAX} characters"),
    ];
    for row in rows {
        assert!(PAGE.contains(&row), "the page does not say: {row}");
    }
}

#[test]
fn its_functions_are_those_of_the_language() {
    let told = refused("status.nothing_like_it_at_all()").message;
    let (_, names) = told.split_once("expected one of ").unwrap();
    for name in names.split(", ") {
        assert!(PAGE.contains(&format!("{name}(")), "the page does not have {name}()");
    }
}

#[test]
fn an_entry_takes_as_many_steps_as_it_says() {
    assert!(PAGE.contains("`body.json.items.all(item, item.id > 0)` takes four steps for an entry"));
    // Two for the loop and its list, two for the path to the list.
    let entries = (STEPS_MAX as usize - 4) / 4;
    let of = |count: usize| {
        let items: Vec<_> = (0..count).map(|_| serde_json::json!({"id": 1})).collect();
        evaluate_with("body.json.items.all(item, item.id > 0)", &serde_json::json!({"items": items}))
    };
    assert!(of(entries).unwrap().holds);
    assert!(of(entries + 1).is_err());
}
