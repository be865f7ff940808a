//! Expressions of assertions: source and the body of an answer.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&[u8], &[u8])| {
    // What it finds wrong it panics about.
    let _evaluated = watchpost_expr::fuzz::compile_and_evaluate(input.0, input.1);
});
