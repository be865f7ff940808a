//! Nothing goes beyond its bound, and each bound says so in words.

use std::cell::Cell;

use serde_json::json;
use watchpost_expr::limits::{
    DEPTH_MAX, LIST_ITEMS_MAX, LIST_LITERAL_MAX, MATCH_BYTES_PER_STEP, NODES_MAX, PATTERN_BYTES_MAX, SOURCE_BYTES_MAX,
    STEPS_MAX, TEXT_BYTES_MAX,
};
use watchpost_expr::{Environment, EvalError, EvalErrorKind, Evaluation, Field, Type, Value, Values, compile};

use crate::support::{compiled, evaluate, evaluate_with, refused};

/// As little room as any thread of ours has to spare, in a build that spends it freely.
const STACK_BYTES: usize = 1024 * 1024;

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_long_expression_is_refused() {
    let of = |length: usize| format!("{}true", " ".repeat(length - 4));
    compiled(&of(SOURCE_BYTES_MAX));
    let error = refused(&of(SOURCE_BYTES_MAX + 1));
    assert_eq!(error.message, "the expression has 2049 bytes: expected at most 2048");
    assert_eq!(error.position.offset, SOURCE_BYTES_MAX);
    // A character that lies across the bound is not taken apart.
    let error = refused(&format!("{}ä", " ".repeat(SOURCE_BYTES_MAX - 1)));
    assert_eq!((error.position.offset, error.length), (SOURCE_BYTES_MAX - 1, 2));
}

#[test]
fn nesting_is_bounded_in_each_of_its_forms() {
    let nested = |open: &str, inner: &str, close: &str, levels: usize| {
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    on_a_small_stack(move || {
        let forms = [
            ("(", "true", ")", ""),
            ("!", "true", "", ""),
            ("- ", "status", "", " == 1"),
            ("size([", "1", "])", " == 1"),
            ("[", "1", "][0]", " == 1"),
            ("body.json[", "0", "]", " == 1"),
            ("", "body.json", ".a", " == 1"),
            ("", "body.json", "[0]", " == 1"),
            ("", "body.text", ".lowerAscii()", " == ''"),
            ("", "status", " + 1", " == 1"),
            ("", "1", " * 1", " == 1"),
            ("true ? true : ", "true", "", ""),
            ("(true ? ", "true", " : true)", ""),
            ("(true && ", "true", ")", ""),
            ("int(", "1", ")", " == 1"),
        ];
        for (open, inner, close, rest) in forms {
            let source = |levels| format!("{}{rest}", nested(open, inner, close, levels));
            // `body.json[…]` and `size([…])` are two levels each.
            let program = compiled(&source(DEPTH_MAX / 2 - 2));
            // Whatever it comes to, it does so on this stack.
            let _outcome = crate::support::evaluate_program(&program, &json!([0]));
            for levels in [DEPTH_MAX + 1, 100, 190] {
                if source(levels).len() > SOURCE_BYTES_MAX {
                    continue;
                }
                let message = refused(&source(levels)).message;
                assert_eq!(message, "the expression is nested too deep: expected at most 32 levels", "{open}{close}");
            }
        }
        for bomb in ["(", "[", "!", "-", "a(", "a[", "a.", "true ? ", "size([", "r'", "1+", "true&&("] {
            for levels in [900, 100_000] {
                refused(&bomb.repeat(levels));
                refused(&format!("{}1", bomb.repeat(levels)));
            }
        }
    });
}

#[test]
fn the_deepest_that_is_taken_is_evaluated_on_a_small_stack() {
    on_a_small_stack(|| {
        let inner = "i.all(j, j == 1 || !".to_owned();
        let levels = DEPTH_MAX - 8;
        let parens = format!("{}j == 2{}", "(true && ".repeat(levels), ")".repeat(levels));
        let source = format!("body.json.all(i, {inner}{parens}))");
        let evaluation = evaluate_with(&source, &json!([[1, 1], [1]])).unwrap();
        assert!(evaluation.holds);
    });
}

#[test]
fn chains_of_and_and_or_do_not_nest() {
    let source = vec!["true"; 200].join(" && ") + " || " + &vec!["ready"; 40].join(" || ");
    assert!(evaluate(&source).unwrap().holds);
}

#[test]
fn parts_entries_patterns_and_loops_are_counted() {
    let source = vec!["1==1"; 256].join("&&");
    assert!(source.len() < SOURCE_BYTES_MAX);
    assert_eq!(refused(&source).message, format!("the expression is too large: expected at most {NODES_MAX} parts"));

    let list = |length: usize| format!("1 in [{}]", vec!["1"; length].join(","));
    compiled(&list(LIST_LITERAL_MAX));
    assert_eq!(refused(&list(LIST_LITERAL_MAX + 1)).message, "the list is too long: expected at most 256 entries");

    let patterns = |count: usize| vec!["body.text.matches('a')"; count].join(" || ");
    compiled(&patterns(8));
    assert_eq!(refused(&patterns(9)).message, "there are too many patterns: expected at most 8 matches()");
    let long = format!("body.text.matches('{}')", "a".repeat(PATTERN_BYTES_MAX + 1));
    assert_eq!(refused(&long).message, "the pattern has 1025 bytes: expected at most 1024");
    refused(&format!("body.text.matches('{}')", "(".repeat(1000)));
    compiled("body.text.matches('[a-z]{0,300}')");
    let error = refused("body.text.matches('[^z]{0,300}')");
    assert_eq!(error.message, "the pattern is too large once compiled: expected a simpler one");

    compiled("numbers.all(a, numbers.all(b, a == b)) && numbers.filter(a, true).all(b, numbers.exists(c, c == b))");
    let five = "numbers.all(a, numbers.all(b, numbers.all(c, numbers.all(d, numbers.all(e, true)))))";
    let error = refused(five);
    assert_eq!(error.message, "all(), exists() and filter() may lie 2 deep within each other, no deeper");
    assert_eq!(error.position.offset, five.find("all(c").unwrap());
}

fn stopped(result: Result<Evaluation, EvalError>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind, EvalErrorKind::Limit);
    assert_eq!(error.message, "the evaluation was stopped after 10000 steps: expected less to go through");
}

#[test]
fn a_loop_over_much_stops_at_the_budget() {
    let items: Vec<_> = (0..100_000).map(|id| json!({"id": id})).collect();
    let json = json!({"few": items[..1000].to_vec(), "many": items});
    assert!(evaluate_with("body.json.few.all(i, i.id < 100000)", &json).unwrap().holds);
    stopped(evaluate_with("body.json.many.all(i, i.id < 100000)", &json));
    stopped(evaluate_with("body.json.few.all(i, body.json.few.all(j, i.id + j.id >= 0))", &json));
    stopped(evaluate_with("-1 in body.json.many", &json));
    stopped(evaluate_with("body.json.many == body.json.many", &json));
    stopped(evaluate_with("body.json.few.all(i, i in body.json.few)", &json));
    // No side of an `||` absorbs that, nor does an entry of a loop.
    stopped(evaluate_with("body.json.many.all(i, i.id < 100000) || ready", &json));
    stopped(evaluate_with("[1, 2].exists(x, x == 2 || body.json.many.all(i, i.id < 100000))", &json));
    // What is decided early costs little, wherever it lies.
    assert!(evaluate_with("body.json.many.exists(i, i.id == 7)", &json).unwrap().holds);
}

#[test]
fn a_second_look_for_the_report_costs_no_steps() {
    // The list takes more than half of the budget, and the loop around it ends with its only entry.
    let json = json!([{"list": vec![1; 2000]}]);
    let evaluation = evaluate_with("body.json.exists(i, i.list.all(j, j == 1)) && status == 200", &json).unwrap();
    assert!(evaluation.holds);
}

#[test]
fn going_through_texts_costs_steps() {
    let text = "x".repeat(128 * 1024);
    let json = json!({"text": text, "list": vec![0; 100]});
    for condition in ["contains('y')", "startsWith('y')", "size() == 1", "matches('y')", "lowerAscii() == 'y'"] {
        stopped(evaluate_with(&format!("!body.json.list.all(i, !(body.json.text.{condition}))"), &json));
    }
    stopped(evaluate_with("body.json.list.all(i, body.json.text == body.json.text)", &json));
    stopped(evaluate_with("body.json.list.all(i, body.json.text <= body.json.text)", &json));
    stopped(evaluate_with("body.json.list.all(i, body.json.text + 'x' != 'z')", &json));

    let matches = STEPS_MAX as usize * MATCH_BYTES_PER_STEP / text.len();
    let patterns = |count: usize| vec!["!body.json.text.matches('y')"; count].join(" && ");
    assert!(evaluate_with(&patterns(matches), &json).unwrap().holds);
    stopped(evaluate_with(&patterns(matches + 1), &json));
}

#[test]
fn texts_and_lists_that_are_made_are_bounded() {
    let json = json!({"text": "X".repeat(TEXT_BYTES_MAX), "list": vec![1; LIST_ITEMS_MAX + 1]});
    assert!(evaluate_with("body.json.text.lowerAscii() != ''", &json).unwrap().holds);
    let error = evaluate_with("body.json.text + 'x' != ''", &json).unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (EvalErrorKind::Limit, "`+` makes a text of 262145 bytes: expected at most 262144")
    );
    let larger = json!({"text": "X".repeat(TEXT_BYTES_MAX + 1)});
    let error = evaluate_with("body.json.text.lowerAscii() != ''", &larger).unwrap_err();
    assert_eq!(error.message, "lowerAscii() makes a text of 262145 bytes: expected at most 262144");
    let error = evaluate_with("body.json.list.filter(i, i == 1).size() > 0", &json).unwrap_err();
    assert_eq!(error.message, "filter() keeps more than 1024 entries: expected fewer");
    // Nothing absorbs that.
    for source in ["body.json.text + 'x' != '' || ready", "[1, 2].exists(x, x == 2 || body.json.text + 'x' != '')"] {
        assert_eq!(evaluate_with(source, &json).unwrap_err().kind, EvalErrorKind::Limit, "{source}");
    }
    let source = "['x', ''].exists(x, body.json.text + x != '')";
    assert_eq!(evaluate_with(source, &json).unwrap_err().kind, EvalErrorKind::Limit, "{source}");
}

#[test]
fn deep_json_is_compared_only_so_far() {
    for deeper in [|inner| json!([inner]), |inner| json!({"x": inner})] {
        let deep = |levels: usize| (0..levels).fold(json!(1), |inner, _| deeper(inner));
        let json = |levels: usize| json!({"a": deep(levels), "b": deep(levels)});
        assert!(evaluate_with("body.json.a == body.json.b", &json(100)).unwrap().holds);
        let error = evaluate_with("body.json.a == body.json.b", &json(200)).unwrap_err();
        assert_eq!(error.message, "what is compared is nested more than 128 deep: expected less");
    }
}

/// Counts how often it is asked.
struct Dear(Cell<u32>);

impl Values for Dear {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "cheap" => Some(Value::Int(1)),
            "dear" => {
                self.0.set(self.0.get() + 1);
                Some(Value::Int(2))
            }
            _ => None,
        }
    }
}

#[test]
fn values_are_asked_for_only_when_they_are_needed() {
    static VARIABLES: &[Field] = &[Field::new("cheap", Type::Int, ""), Field::new("dear", Type::Int, "")];
    static ENVIRONMENT: Environment = Environment::new(&[VARIABLES]);
    for (source, expected) in [("cheap == 1 || dear == 2", 0), ("cheap == 2 || dear == 2", 1), ("has(cheap)", 0)] {
        let values = Dear(Cell::new(0));
        assert!(compile(source, &ENVIRONMENT).unwrap().evaluate(&values).unwrap().holds);
        assert_eq!(values.0.get(), expected, "{source}");
    }
}

#[test]
fn values_of_another_type_than_declared_are_errors() {
    static VARIABLES: &[Field] = &[
        Field::new("number", Type::Int, ""),
        Field::new("list", Type::List(&Type::Int), ""),
        Field::new("map", Type::Map(&Type::Int), ""),
    ];
    static ENVIRONMENT: Environment = Environment::new(&[VARIABLES]);
    struct Liar;
    impl Values for Liar {
        fn get(&self, _: &str) -> Option<Value<'_>> {
            Some(Value::Bool(true))
        }
    }
    for source in [
        "number > 1",
        "list[0] == 1",
        "list.all(x, x == 1)",
        "map.a == 1",
        "'a' in map",
        "size(list) == 1",
        "number + 1 == 2",
    ] {
        let error = compile(source, &ENVIRONMENT).unwrap().evaluate(&Liar).unwrap_err();
        assert_eq!(error.kind, EvalErrorKind::Type, "{source}");
    }
}
