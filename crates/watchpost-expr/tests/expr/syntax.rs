//! What a text must look like to be an expression, and what is said where it does not.

use crate::support::{compiled, holds, refused};

#[test]
fn literals_are_those_of_cel() {
    for source in [
        "1 == 0x1 && 255 == 0xfF",
        "-9223372036854775808 < -9223372036854775807",
        "9223372036854775807 > 0",
        "1.5 == 15e-1 && .5 == 0.5 && 1e3 == 1000.0 && 1E+2 == 100.0",
        "true != false",
        r#"'a' == "a" && '"' == "\"" && "'" == '\''"#,
        r#"'\n\t\r\\\a\b\f\v\?\`' == "\x0a\u0009\U0000000d\134\007\x08\x0C\013?`""#,
        r#"r'\n' == "\\n" && R"\" == '\\'"#,
        "'ä😀' == '\\u00e4\\U0001F600'",
        "[1, 2,] == [1, 2] && [] == []",
        "1 == 1 // and a comment\n && true // at the end",
        "\t1\r\n==\n1 ",
    ] {
        assert!(holds(source), "{source}");
    }
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    // Where `^` stands the fault begins, and it is so long as there are `^`.
    let cases = [
        ("", "^", "expected a value, found the end of the expression"),
        ("status ==", "         ^", "expected a value, found the end of the expression"),
        ("status = 200", "       ^", "`=` is not an operator: expected `==`"),
        ("ready & ready", "      ^", "`&` is not an operator: expected `&&`"),
        ("ready | ready", "      ^", "`|` is not an operator: expected `||`"),
        (
            "ready and ready",
            "      ^^^",
            "expected an operator or the end of the expression, found `and`; did you mean `&&`?",
        ),
        (
            "ready or ready",
            "      ^^",
            "expected an operator or the end of the expression, found `or`; did you mean `||`?",
        ),
        (
            "(status == 200",
            "              ^",
            "expected `)` to close the `(` at column 1, found the end of the expression",
        ),
        (
            "status in [200",
            "              ^",
            "expected `]` to close the `[` at column 11, found the end of the expression",
        ),
        ("status == 200)", "             ^", "expected an operator or the end of the expression, found `)`"),
        ("status == 1 2", "            ^", "expected an operator or the end of the expression, found `2`"),
        ("status == 5u", "          ^^", "`5u` is not a number: expected digits only, without a unit or suffix"),
        ("status < 300ms", "         ^^^^^", "`300ms` is not a number: expected digits only, without a unit or suffix"),
        (
            "status == 1_000",
            "          ^^^^^",
            "`1_000` is not a number: expected digits only, without a unit or suffix",
        ),
        ("status == 0x", "          ^^", "`0x` is not a number of 64 bits"),
        (
            "status == 9223372036854775808",
            "          ^^^^^^^^^^^^^^^^^^^",
            "`9223372036854775808` is not a number of 64 bits",
        ),
        (
            "status == -9223372036854775809",
            "          ^^^^^^^^^^^^^^^^^^^^",
            "`-9223372036854775809` is not a number of 64 bits",
        ),
        ("load == 1e999", "        ^^^^^", "`1e999` is not a number of 64 bits"),
        ("load == 1e", "        ^^", "`1e` is not a number of 64 bits"),
        ("names[0] == 'a", "            ^^", "the text has no end: expected ' before the line ends"),
        ("names[0] == 'a\n'", "            ^^", "the text has no end: expected ' before the line ends"),
        (
            r"names[0] == '\d'",
            "             ^^",
            r#"`\d` stands for no character: expected `\\` for a backslash, or a raw text r"…""#,
        ),
        (
            r"names[0] == '\ud800'",
            "             ^^^^^^",
            r"`\ud800` stands for no character: expected 4 digits of a Unicode code point",
        ),
        (
            r"names[0] == '\x4'",
            "             ^^^",
            r"`\x4` stands for no character: expected 2 digits of a Unicode code point",
        ),
        (
            "names[0] == b'a'",
            "            ^^",
            "there are no byte strings here: expected a text without the `b` before it",
        ),
        (
            "names[0] == '''a'''",
            "            ^^^",
            "texts in triple quotes are not supported: expected one quote on each side",
        ),
        ("status == {'a': 1}", "          ^", "expected a value, found `{`; there are no maps to write out"),
        (
            "status == 200 ? true",
            "                    ^",
            "expected `:` and what holds otherwise, found the end of the expression",
        ),
        ("tls.", "    ^", "expected the name of a field or function, found the end of the expression"),
        ("tls.in == 1", "    ^^", "expected the name of a field or function, found `in`"),
        ("status == § ", "          ^^", "`§` has no meaning here"),
        ("status == 200;", "             ^", "`;` has no meaning here"),
        ("numbers[] == 1", "        ^", "expected a value, found `]`"),
        ("size(,) == 1", "     ^", "expected a value, found `,`"),
    ];
    for (source, place, message) in cases {
        let error = refused(source);
        assert_eq!(error.message, message, "{source}");
        let offset = place.find('^').unwrap();
        let length = if source.len() == offset { 0 } else { place.len() - offset };
        assert_eq!((error.position.offset, error.length), (offset, length), "{source}: {message}");
    }
}

#[test]
fn positions_count_lines_and_characters() {
    let error = refused("names[0] == 'ä' &&\n  'ü' = names[0]");
    let position = error.position;
    assert_eq!((position.offset, position.line, position.column), (27, 2, 7));
    assert_eq!(error.to_string(), "line 2, column 7: `=` is not an operator: expected `==`");
}

#[test]
fn a_program_shows_its_source_and_what_it_reads() {
    let source =
        "has(tls) && tls.chain.exists(c, c.issuer == names[0]) || body.json.a[headers['x']] == phases.total_ms";
    let program = compiled(source);
    assert_eq!(program.source(), source);
    assert_eq!(format!("{program:?}"), format!("Program({source:?})"));
    assert_eq!(program.reads(), ["body.json", "headers", "names", "phases.total_ms", "tls", "tls.chain"]);
    assert!(program.uses("tls") && program.uses("phases") && program.uses("body.json"));
    assert!(!program.uses("status") && !program.uses("body.text") && !program.uses("head") && !program.uses("body.js"));
}

#[test]
fn programs_go_to_other_threads() {
    fn goes_anywhere<T: Send + Sync + Clone + 'static>(_: &T) {}
    goes_anywhere(&compiled("body.text.matches('^Hello') && status in [200]"));
}
