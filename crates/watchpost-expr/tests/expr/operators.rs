//! What operators come to.

use serde_json::json;
use watchpost_expr::EvalErrorKind;

use crate::support::{evaluate, evaluate_with, holds};

#[test]
fn each_of_these_holds() {
    for source in [
        // Comparisons of texts are by code points; `Z` comes before `a`.
        "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 'Z' < 'a' && 'a' < 'ab' && 'é' > 'z'",
        "1 != 2 && 'a' != 'b' && true != false && [1] != [2] && [1] != [1, 1]",
        // Numbers of both kinds compare by what they stand for.
        "1 == 1.0 && 1 < 1.5 && -1 > -1.5 && 2 > 1.5 && 1.5 < 2 && 0 == -0.0",
        "9007199254740993 > 9007199254740992.0 && 9007199254740993 != 9007199254740992.0",
        "9223372036854775807 < 9223372036854775808.0 && -9223372036854775808 == -9223372036854775808.0",
        "9223372036854775807 < 1e300 && -9223372036854775808 > -1e300",
        "status in [200, 204] && !(status in [201]) && 'a' in names && !('z' in names)",
        "200.0 in [200] && status in [199.5, 200.0]",
        "'server' in headers && !('x' in headers) && 'count' in body.json && !('x' in body.json)",
        "body.json.count in [3] && 2 in body.json.items[0].parts && !('2' in body.json.items[0].parts)",
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1 && 7 - 2 - 1 == 4",
        "7 / 2.0 == 3.5 && 1 + 0.5 == 1.5 && load * 2 == 1 && [7, 2.5][0] / 2 == 3.5 && (ready ? 7 : 0.5) / 2 == 3.5",
        "-9223372036854775808 % -1 == 0 && -(-5) == 5 && - 5 == 0 - 5",
        "'a' + 'b' == 'ab' && body.json.name + '!' == 'Näme!'",
        "body.json.count + 1 == 4 && body.json.ratio * 4 == body.json.count && -body.json.count == -3",
        "true || false && false",
        "!false && !!true",
        "(ready ? 1 : 2) == 1 && (false ? 1 : false ? 2 : 3) == 3",
        // Without any shape that was declared, values of different types are different.
        "body.json.count != '3' && body.json.nothing == null && body.json.ok == true && body.json.ok != null",
        "body.json['by-key'] == body.json.same && body.json.items[0].parts == [1, 2] && body.json.items != body.json",
        "body.json.huge > 9223372036854775807 && body.json.huge == 18446744073709551615.0",
        "null in [null, 1] && body.json.nothing in [1, null]",
        "numbers == [1, 2, 3] && numbers[0] + numbers[2] == 4 && [10, 20][1] == 20 && 'abc' == names[0] + 'bc'",
        "names.filter(n, n > 'a')[0] == 'b' && (ready ? tls : tls).chain[1].days_left == 300",
    ] {
        assert!(holds(source), "{source}");
    }
}

#[test]
fn numbers_of_json_are_ints_where_they_can_be() {
    let json = json!([101, -101, 9_223_372_036_854_775_807_i64, 9_223_372_036_854_775_808_u64, 101.0]);
    for source in [
        "body.json[0] / 2 == 50 && body.json[1] / 2 == -50 && body.json[0] % 2 == 1 && body.json[4] / 2 == 50.5",
        "body.json[2] - 1 == 9223372036854775806 && body.json[3] == 9223372036854775808.0",
    ] {
        assert!(evaluate_with(source, &json).unwrap().holds, "{source}");
    }
}

#[test]
fn numbers_without_a_result_are_errors() {
    let cases = [
        ("9223372036854775807 + 1 > 0", "`9223372036854775807 + 1`: the result does not fit into 64 bits"),
        ("-9223372036854775808 - 1 < 0", "`-9223372036854775808 - 1`: the result does not fit into 64 bits"),
        ("4611686018427387904 * 2 > 0", "`4611686018427387904 * 2`: the result does not fit into 64 bits"),
        ("-(-9223372036854775808) > 0", "`-(-9223372036854775808)`: the result does not fit into 64 bits"),
        ("-9223372036854775808 / -1 > 0", "`-9223372036854775808 / -1`: the result does not fit into 64 bits"),
        ("status / 0 > 0", "`status / 0`: division by zero"),
        ("status % (status - 200) > 0", "`status % (status - 200)`: division by zero"),
        ("load / 0 > 0.0", "`load / 0`: division by zero"),
        ("1e300 * 1e300 > 0", "`1e300 * 1e300`: the result is no number"),
        ("int('x') == 1", "`'x'` is not a whole number of 64 bits"),
        ("int(1e300) == 1", "`1e300` is not a whole number of 64 bits"),
        ("int(9223372036854775808.0) == 1", "`9223372036854775808.0` is not a whole number of 64 bits"),
        ("double('inf') > 1", "`'inf'` is not a number"),
        ("double(body.json.name) > 1", "`body.json.name` is not a number"),
    ];
    for (source, message) in cases {
        let error = evaluate(source).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (EvalErrorKind::Number, message), "{source}");
    }
}

#[test]
fn what_json_turns_out_to_be_must_fit() {
    let cases = [
        ("body.json.name > 1", "`>` needs two numbers or two strings: `body.json.name` is a string, `1` is an int"),
        ("body.json.ok < 1", "`<` needs two numbers or two strings: `body.json.ok` is a bool, `1` is an int"),
        (
            "body.json.name + 1 == 2",
            "`+` needs two numbers or two strings: `body.json.name` is a string, `1` is an int",
        ),
        ("body.json.nothing * 2 == 2", "`*` needs two numbers: `body.json.nothing` is null, `2` is an int"),
        ("body.json.ratio % 2 == 0", "`%` needs two ints: `body.json.ratio` is a double, `2` is an int"),
        ("-body.json.items == 1", "`-` needs a number: `body.json.items` is a list"),
        ("1 in body.json.count", "`in` needs a list or an object on its right: `body.json.count` is an int"),
        ("1 in body.json", "the keys of an object are strings: `1` is an int"),
        ("body.json.count.a == 1", "body.json.count.a: `body.json.count` is an int, expected an object"),
        ("body.json.items.id == 1", "body.json.items.id: `body.json.items` is a list, expected an object"),
        ("body.json[0] == 1", "body.json[0]: `body.json` is an object, expected a list"),
        ("body.json.items[body.json.ok] == 1", "what is in [] must be an int or a string: `body.json.ok` is a bool"),
        ("body.json.count.all(i, i == 1)", "`all` needs a list or an object: `body.json.count` is an int"),
        ("body.json.count.contains('3')", "contains() needs a string: `body.json.count` is an int"),
        ("body.text.contains(body.json.count)", "contains() needs a string: `body.json.count` is an int"),
        ("body.json.ok.matches('t')", "matches() needs a string: `body.json.ok` is a bool"),
        ("size(body.json.count) == 1", "size() needs a string, a list or an object: `body.json.count` is an int"),
        ("int(body.json) == 1", "int() needs a number or a string: `body.json` is an object"),
        ("string(body.json.nothing) == ''", "string() needs a bool, a number or a string: `body.json.nothing` is null"),
    ];
    for (source, message) in cases {
        let error = evaluate(source).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (EvalErrorKind::Type, message), "{source}");
    }
}

#[test]
fn errors_point_into_the_expression() {
    let error = evaluate("ready &&\n  status / 0 > 1").unwrap_err();
    assert_eq!((error.position.line, error.position.column), (2, 3));
}

#[test]
fn equality_looks_into_lists_and_objects() {
    let json = json!({"a": {"x": [1, {"y": null}]}, "b": {"x": [1.0, {"y": null}]}, "c": {"x": [1, {"z": null}]},
        "more": {"x": [1, {"y": null}], "z": 1}});
    for (source, expected) in [
        ("body.json.a == body.json.b", true),
        ("body.json.a == body.json.c", false),
        ("body.json.a.x == body.json.c.x", false),
        ("body.json.a == body.json.more", false),
        ("body.json.more == body.json.a", false),
        ("body.json.a.x == [1]", false),
        ("body.json.a in [body.json.c, body.json.b]", true),
        ("body.json == body.json.a", false),
    ] {
        assert_eq!(evaluate_with(source, &json).unwrap().holds, expected, "{source}");
    }
}
