//! What an evaluation takes. Never part of CI:
//! `cargo test --release -p watchpost-expr --test expr -- --ignored --nocapture cost`

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;
use watchpost_expr::{Value, Values, compile};

use crate::support::{ENVIRONMENT, body, compiled, evaluate_program};

/// An answer without any of the work of making one.
struct Answer;

struct Phases;

impl Values for Answer {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "status" => Some(Value::Int(204)),
            "phases" => Some(Value::Record(&Phases)),
            _ => None,
        }
    }
}

impl Values for Phases {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        (name == "first_byte_ms").then_some(Value::Int(120))
    }
}

/// The median of so many runs of `work`.
fn median(runs: usize, mut work: impl FnMut()) -> Duration {
    const BATCH: u32 = 100;
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let begin = Instant::now();
            (0..BATCH).for_each(|_| work());
            begin.elapsed() / BATCH
        })
        .collect();
    times.sort_unstable();
    times[runs / 2]
}

#[test]
#[ignore = "measures, and judges nothing"]
fn cost() {
    let source = "status in [200, 204] && phases.first_byte_ms < 300";
    let program = compiled(source);
    println!("compile    {:>10?}  {source}", median(200, || drop(black_box(compile(source, &ENVIRONMENT)))));
    println!("evaluate   {:>10?}  {source}", median(1000, || drop(black_box(program.evaluate(&Answer)))));

    let many = json!((0..2000).map(|id| json!({"id": id, "state": "ok"})).collect::<Vec<_>>());
    for (source, json) in [
        ("body.json.items.size() > 0 && tls.days_left > 14", &body()),
        ("body.json.all(i, i.state == 'ok' && i.id >= 0 && i.id < 2000)", &many),
        ("body.json.all(i, body.json.all(j, i.id + j.id >= 0))", &many),
        ("body.json.all(i, i in body.json)", &many),
    ] {
        let program = compiled(source);
        let holds = evaluate_program(&program, json).map(|evaluation| evaluation.holds).map_err(|error| error.kind);
        let time = median(20, || drop(black_box(evaluate_program(&program, json))));
        println!("evaluate   {time:>10?}  {source}: {holds:?}");
    }

    // The dearest patterns that were found: each byte keeps a large machine busy.
    let text = json!({"text": "ab ".repeat(128 * 1024 / 3)});
    for pattern in
        ["z$", r"[a-z ]{1,900}z", r"[^z]{0,300}z$", r".{0,250}zz", r"(\w ?){0,10}z$", r"[ab ]{300}c|[a-z]{300}d"]
    {
        let source = format!("body.json.text.matches(r'{pattern}')");
        let Ok(program) = compile(&source, &ENVIRONMENT) else {
            println!("refused    {source}");
            continue;
        };
        let begin = Instant::now();
        let holds = evaluate_program(&program, &text).map(|evaluation| evaluation.holds).map_err(|error| error.kind);
        println!("evaluate   {:>10?}  {source}: {holds:?}", begin.elapsed());
    }
}
