//! What does not fit together is refused when it is compiled.

use crate::support::{compiled, refused};

/// What is said of each expression, and which part of it is at fault.
fn check(cases: &[(&str, &str, &str)]) {
    for (source, fault, message) in cases {
        let error = refused(source);
        assert_eq!(error.message, *message, "{source}");
        let start = error.position.offset;
        assert_eq!(&source[start..start + error.length], *fault, "{source}: {message}");
    }
}

#[test]
fn names_must_be_known() {
    check(&[
        ("statsu == 200", "statsu", "there is no variable `statsu`; did you mean `status`?"),
        (
            "certificate == 1",
            "certificate",
            "there is no variable `certificate`: expected one of phases, load, ready, numbers, names, status, headers, body, tls",
        ),
        ("tls.day_left > 1", "day_left", "`tls` has no field `day_left`; did you mean `days_left`?"),
        ("body.xml == 1", "xml", "`body` has no field `xml`: expected one of text, bytes, json"),
        ("tls.chain[0].subjekt == ''", "subjekt", "`tls.chain[0]` has no field `subjekt`; did you mean `subject`?"),
        ("names.exists(name, nme == 'a')", "nme", "there is no variable `nme`; did you mean `name`?"),
        (
            "names.exists(n, n == 'a') && n == 'a'",
            "n",
            "there is no variable `n`: expected one of phases, load, ready, numbers, names, status, headers, body, tls",
        ),
        (
            "names.count() > 1",
            "count",
            "there is no function `count`: expected one of size, contains, startsWith, endsWith, lowerAscii, int, double, string, has, matches, all, exists, filter",
        ),
        ("body.text.startswith('a')", "startswith", "there is no function `startswith`; did you mean `startsWith`?"),
        ("body.text.size > 1", "size", "`body.text` is a string and has no fields; did you mean `size()`?"),
        (
            "names.first == 'a'",
            "first",
            "`names` is a list<string> and has no fields; choose an entry with [0], or ask exists(…) or all(…)",
        ),
        ("status.code == 1", "code", "`status` is an int and has no fields"),
    ]);
}

#[test]
fn the_whole_is_a_bool() {
    check(&[
        (
            "status",
            "status",
            "the expression must come to a bool (true or false): `status` is an int; compare it with something",
        ),
        (
            "body.json.ok",
            "body.json.ok",
            "the expression must come to a bool (true or false): `body.json.ok` is dyn (known only at run time); compare it, such as with `body.json.ok == true`",
        ),
        ("ready && status", "status", "`&&` needs a bool on each side: `status` is an int; compare it with something"),
        (
            "body.json.ok || ready",
            "body.json.ok",
            "`||` needs a bool on each side: `body.json.ok` is dyn (known only at run time); compare it, such as with `body.json.ok == true`",
        ),
        ("!status", "status", "`!` needs a bool: `status` is an int; compare it with something"),
        (
            "tls",
            "tls",
            "the expression must come to a bool (true or false): `tls` is a record tls; compare it with something",
        ),
        (
            "status ? ready : ready",
            "status",
            "`?` needs a bool before it: `status` is an int; compare it with something",
        ),
        (
            "ready ? status : load",
            "ready ? status : load",
            "the expression must come to a bool (true or false): `ready ? status : load` is a double; compare it with something",
        ),
        (
            "names.filter(n, n == 'a')",
            "names.filter(n, n == 'a')",
            "the expression must come to a bool (true or false): `names.filter(n, n == 'a')` is a list<string>; compare it with something",
        ),
    ]);
}

#[test]
fn operands_must_fit() {
    check(&[
        ("status == '200'", "status == '200'", "`==` needs two values of one type: found an int and a string"),
        ("status < '200'", "status < '200'", "`<` needs two numbers or two strings: found an int and a string"),
        ("ready < true", "ready < true", "`<` needs two numbers or two strings: found a bool and a bool"),
        ("1 < 2 < 3", "1 < 2 < 3", "`<` needs two numbers or two strings: found a bool and an int"),
        ("names == [1]", "names == [1]", "`==` needs two values of one type: found a list<string> and a list<int>"),
        ("status == null", "status == null", "only dyn can be null, an int cannot; use has() where it may be absent"),
        (
            "null < body.json.a",
            "null < body.json.a",
            "`<` needs two numbers or two strings: found null and dyn (known only at run time)",
        ),
        ("tls == tls", "tls == tls", "`==` cannot compare a record tls; compare what is in it"),
        (
            "body.json == headers",
            "body.json == headers",
            "`==` cannot compare a map<string, string>; compare what is in it",
        ),
        ("status in 200", "status in 200", "`in` needs a list or a map on its right: found an int"),
        (
            "'a' in body.text",
            "'a' in body.text",
            "`in` needs a list or a map on its right; for a part of a text write `a.contains(b)`",
        ),
        ("status in ['200']", "status in ['200']", "an int cannot be in a list of string"),
        ("status in headers", "status in headers", "the keys of a map are strings: found an int"),
        (
            "tls in body.json",
            "tls in body.json",
            "`in` needs a list or a map on its right: found dyn (known only at run time)",
        ),
        (
            "status + '0' == ''",
            "status + '0'",
            "`+` needs two numbers or two strings: found an int and a string; convert one, such as with string(…)",
        ),
        ("ready + ready == 2", "ready + ready", "`+` needs two numbers or two strings: found a bool and a bool"),
        ("'a' - 'b' == ''", "'a' - 'b'", "`-` needs two numbers: found a string and a string"),
        ("load % 2 == 0", "load % 2", "`%` needs two ints: found a double and an int"),
        (
            "names + names == names",
            "names + names",
            "`+` needs two numbers or two strings: found a list<string> and a list<string>",
        ),
        ("-ready == 1", "-ready", "`-` needs a number: `ready` is a bool"),
        (
            "(ready ? 1 : 'a') == 1",
            "(ready ? 1 : 'a')",
            "both sides of `:` must have one type: found an int and a string",
        ),
        (
            "status in [1, 'a']",
            "'a'",
            "the entries of a list have one type: `'a'` is a string, those before it are int",
        ),
        ("[tls] == []", "tls", "a list that is written out holds bools, numbers and strings: `tls` is a record tls"),
        ("[[1]] == []", "[1]", "a list that is written out holds bools, numbers and strings: `[1]` is a list<int>"),
        ("numbers['a'] == 1", "'a'", "what is in [] after `numbers` must be an int: found a string"),
        ("headers[0] == ''", "0", "what is in [] after `headers` must be a string: found an int"),
        ("body.json[true] == 1", "true", "what is in [] after `body.json` must be an int or a string: found a bool"),
        ("tls['days_left'] == 1", "tls['days_left']", "`tls` has fixed fields: read them with a point, such as `a.b`"),
        ("status[0] == 1", "status[0]", "`status` is an int and has no entries"),
    ]);
}

#[test]
fn calls_must_fit() {
    check(&[
        ("size(status) == 1", "status", "size() needs a string, a list or a map: `status` is an int"),
        ("size() == 1", "size()", "size() takes 1 argument here: found 0"),
        ("names.size(1) == 1", "names.size(1)", "size() takes 0 arguments here: found 1"),
        ("body.text.contains() ", "body.text.contains()", "contains() takes 1 argument here: found 0"),
        ("names.contains('a')", "names", "contains() needs a string: `names` is a list<string>"),
        ("body.text.contains(1)", "1", "contains() needs a string: `1` is an int"),
        ("contains(body.text, 'a')", "contains", "contains() follows its value and a point: expected `x.contains(…)`"),
        ("matches(body.text, 'a')", "matches", "matches() follows its value and a point: expected `x.matches(…)`"),
        ("status.string() == ''", "string", "string() takes its value in brackets: expected `string(x)`"),
        ("int(ready) == 1", "ready", "int() needs a number or a string: `ready` is a bool"),
        ("string(names) == ''", "names", "string() needs a bool, a number or a string: `names` is a list<string>"),
        ("string(null) == ''", "null", "string() needs a bool, a number or a string: `null` is null"),
        ("status.matches('2..')", "status", "matches() needs a string: `status` is an int"),
        (
            "body.text.matches(names[0])",
            "body.text.matches(names[0])",
            "the pattern of matches() must stand there as a text, such as r\"^ok\"",
        ),
        ("body.text.matches('(')", "'('", "`(` is not a regular expression: unclosed group"),
        (
            "body.text.matches(r'(\\w{200}){200}')",
            "r'(\\w{200}){200}'",
            "the pattern is too large once compiled: expected a simpler one",
        ),
        ("has(1)", "has(1)", "has() needs a variable or something within one: expected `has(a.b)`"),
        ("has('a'.b)", "b", "`'a'` is a string and has no fields"),
        (
            "has(names.filter(n, true)[0])",
            "names.filter(n, true)[0]",
            "has() needs a variable or something within one: expected `has(a.b)`",
        ),
        ("has(tls, body)", "has(tls, body)", "has() takes 1 argument here: found 2"),
        ("tls.has(days_left)", "has", "has() takes its value in brackets: expected `has(a.b)`"),
        ("names.all(n)", "names.all(n)", "all() goes with a list: expected `list.all(entry, condition)`"),
        ("all(names, n, true)", "all(names, n, true)", "all() goes with a list: expected `list.all(entry, condition)`"),
        ("names.all('n', true)", "'n'", "all() needs a name for the entry first, found `'n'`"),
        ("names.all(n, n)", "n", "the condition of all() must be a bool: `n` is a string; compare it with something"),
        ("names.all(status, true)", "status", "`status` is taken: expected another name for the entry"),
        ("names.all(n, names.all(n, true))", "n", "`n` is taken: expected another name for the entry"),
        ("names.all(var, true)", "var", "`var` is taken: expected another name for the entry"),
        ("status.all(n, true)", "status", "all() needs a list or a map: `status` is an int"),
    ]);
}

#[test]
fn what_fits_is_taken() {
    for source in [
        "status == 1.0 && load > 1 && load in [1, 2.5] && status in [1.5]",
        "body.json.a == null || null != body.json || null == null",
        "body.json == 1 && body.json == 'a' && body.json == [1] && body.json in [null, 1]",
        "body.json + 1 > 2 && body.json.a + 'x' == 'ax' && -body.json.a < 1 && body.json.a % 2 == 0",
        "names == [] && [] == [] && 1 in [] && body.json.a in body.json.b && 'a' in body.json",
        "headers.server == '' && headers['content-type'] == '' && headers[body.json.key] == '' && 'a' in headers",
        "headers.exists(h, h.startsWith('x-')) && headers.size() < 5 && size(headers) > 0",
        "tls.chain.all(c, c.days_left > 1) && tls.chain.filter(c, has(c.issuer))[0].subject == ''",
        "(ready ? 1 : 2.5) == 1 && (ready ? null : body.json) == null && (ready ? names : []) == names",
        "(ready ? tls : tls).days_left == 1 && numbers[status] == 1 && numbers[body.json.n] == 1",
        "body.json['a'][0].b['c-d'] == 1 && body.json.items.size() > 0 && body.json.exists(i, i.a.all(j, j == i))",
        "!!ready && !(ready) && - -status == 1 && -load < 0",
        "has(status) && has(tls) && has(tls.chain[0].issuer) && has(headers['x']) && has(body.json.a['b'][0])",
    ] {
        compiled(source);
    }
}
