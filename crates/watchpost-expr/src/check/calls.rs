//! The rules of functions.

use super::{Checked, Checker, Typed, named};
use crate::ast::{Expr, ExprKind, Name};
use crate::error::Span;
use crate::functions::{self, Form, Function};
use crate::limits::{LOOP_DEPTH_MAX, PATTERN_BYTES_MAX, PATTERN_COMPILED_BYTES_MAX, PATTERNS_MAX};
use crate::node::{Loop, LoopKind, NodeKind, Root};
use crate::text::{quoted, shortened, similar};
use crate::types::Type;

/// Words that CEL keeps for itself: no names for the entries of a loop.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        receiver: Option<&Expr<'_>>,
        name: Name<'_>,
        arguments: &[Expr<'_>],
        span: Span,
    ) -> Checked<Typed> {
        match name.text {
            "has" => self.has(receiver, name, arguments, span),
            "matches" => self.matches(receiver, name, arguments, span),
            "all" => self.each(LoopKind::All, receiver, name, arguments, span),
            "exists" => self.each(LoopKind::Exists, receiver, name, arguments, span),
            "filter" => self.each(LoopKind::Filter, receiver, name, arguments, span),
            other => match Function::find(other) {
                Some(function) => self.function(function, receiver, name, arguments, span),
                None => {
                    let hint = match similar(other, functions::names()) {
                        Some(meant) => format!("; did you mean `{meant}`?"),
                        None => {
                            let names: Vec<&str> = functions::names().collect();
                            format!(": expected one of {}", names.join(", "))
                        }
                    };
                    self.error(name.span, format!("there is no function {}{hint}", quoted(other)))
                }
            },
        }
    }

    fn counted(&self, name: Name<'_>, arguments: &[Expr<'_>], expected: usize, span: Span) -> Checked<()> {
        if arguments.len() == expected {
            return Ok(());
        }
        let plural = if expected == 1 { "" } else { "s" };
        let (name, found) = (name.text, arguments.len());
        self.error(span, format!("{name}() takes {expected} argument{plural} here: found {found}"))
    }

    fn function(
        &mut self,
        function: Function,
        receiver: Option<&Expr<'_>>,
        name: Name<'_>,
        arguments: &[Expr<'_>],
        span: Span,
    ) -> Checked<Typed> {
        let second = if function.takes_text() { 1 } else { 0 };
        let (operand, rest) = match (receiver, function.form()) {
            (Some(receiver), Form::Method | Form::Both) => {
                self.counted(name, arguments, second, span)?;
                (receiver, arguments)
            }
            (None, Form::Global | Form::Both) => {
                self.counted(name, arguments, second + 1, span)?;
                match arguments.split_first() {
                    Some(split) => split,
                    None => return self.error(span, format!("{}() takes an argument", name.text)),
                }
            }
            (Some(_), Form::Global) => {
                return self
                    .error(name.span, format!("{0}() takes its value in brackets: expected `{0}(x)`", name.text));
            }
            (None, Form::Method) => return self.error(name.span, method_expected(name.text)),
        };
        let operand = self.expr(operand)?;
        if operand.ty != Type::Dyn && !function.accepts(operand.ty) {
            let (text, expected, found) = (self.quoted(operand.span()), function.expects(), named(operand.ty));
            return self.error(operand.span(), format!("{}() needs {expected}: {text} is {found}", name.text));
        }
        let argument = match rest.first() {
            Some(argument) => Some(self.text_argument(name, argument)?.boxed()),
            None => None,
        };
        let kind = NodeKind::Call { function, operand: operand.boxed(), argument };
        Ok(Typed::new(kind, span, function.result()))
    }

    fn text_argument(&mut self, name: Name<'_>, argument: &Expr<'_>) -> Checked<Typed> {
        let argument = self.expr(argument)?;
        match argument.ty {
            Type::String | Type::Dyn => Ok(argument),
            other => {
                let text = self.quoted(argument.span());
                self.error(argument.span(), format!("{}() needs a string: {text} is {}", name.text, named(other)))
            }
        }
    }

    fn has(
        &mut self,
        receiver: Option<&Expr<'_>>,
        name: Name<'_>,
        arguments: &[Expr<'_>],
        span: Span,
    ) -> Checked<Typed> {
        if receiver.is_some() {
            return self.error(name.span, "has() takes its value in brackets: expected `has(a.b)`");
        }
        self.counted(name, arguments, 1, span)?;
        let expected = "has() needs a variable or something within one: expected `has(a.b)`";
        match arguments.first() {
            Some(path @ Expr { kind: ExprKind::Name(_) | ExprKind::Member { .. } | ExprKind::Index { .. }, .. }) => {
                let path = self.reached(path)?.path;
                match path.root {
                    Root::Computed(_) => self.error(path.span, expected),
                    _ => Ok(Typed::new(NodeKind::Has(Box::new(path)), span, Type::Bool)),
                }
            }
            _ => self.error(span, expected),
        }
    }

    fn matches(
        &mut self,
        receiver: Option<&Expr<'_>>,
        name: Name<'_>,
        arguments: &[Expr<'_>],
        span: Span,
    ) -> Checked<Typed> {
        let Some(receiver) = receiver else { return self.error(name.span, method_expected(name.text)) };
        self.counted(name, arguments, 1, span)?;
        let text = self.expr(receiver)?;
        if !matches!(text.ty, Type::String | Type::Dyn) {
            let quoted = self.quoted(text.span());
            return self.error(text.span(), format!("matches() needs a string: {quoted} is {}", named(text.ty)));
        }
        let Some(Expr { kind: ExprKind::String(pattern), span: pattern_span, .. }) = arguments.first() else {
            return self.error(span, "the pattern of matches() must stand there as a text, such as r\"^ok\"");
        };
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return self.error(span, format!("there are too many patterns: expected at most {PATTERNS_MAX} matches()"));
        }
        match compiled(pattern) {
            Ok(pattern) => {
                let kind = NodeKind::Matches { text: text.boxed(), pattern: Box::new(pattern) };
                Ok(Typed::new(kind, span, Type::Bool))
            }
            Err(message) => self.error(*pattern_span, message),
        }
    }

    fn each(
        &mut self,
        kind: LoopKind,
        receiver: Option<&Expr<'_>>,
        name: Name<'_>,
        arguments: &[Expr<'_>],
        span: Span,
    ) -> Checked<Typed> {
        let (Some(receiver), [variable, condition]) = (receiver, arguments) else {
            let message = format!("{0}() goes with a list: expected `list.{0}(entry, condition)`", name.text);
            return self.error(span, message);
        };
        let source = self.expr(receiver)?;
        let (entry, kept) = match source.ty {
            Type::List(of) => (*of, source.ty),
            Type::Map(_) => (Type::String, Type::List(&Type::String)),
            Type::Dyn => (Type::Dyn, Type::List(&Type::Dyn)),
            other => {
                let text = self.quoted(source.span());
                let message = format!("{}() needs a list or a map: {text} is {}", name.text, named(other));
                return self.error(source.span(), message);
            }
        };
        let ExprKind::Name(local) = variable.kind else {
            let message =
                format!("{}() needs a name for the entry first, found {}", name.text, self.quoted(variable.span));
            return self.error(variable.span, message);
        };
        let is_taken = self.environment.find(local).is_some() || self.locals.iter().any(|(taken, _)| taken == local);
        if is_taken || RESERVED.contains(&local) {
            return self
                .error(variable.span, format!("{} is taken: expected another name for the entry", quoted(local)));
        }
        if self.locals.len() == LOOP_DEPTH_MAX {
            let message =
                format!("all(), exists() and filter() may lie {LOOP_DEPTH_MAX} deep within each other, no deeper");
            return self.error(name.span, message);
        }
        self.locals.push((local.to_owned(), entry));
        let condition = self.expr(condition);
        self.locals.pop();
        let condition = condition?;
        self.needs_bool(&condition, &format!("the condition of {}() must be a bool", name.text))?;
        let ty = if kind == LoopKind::Filter { kept } else { Type::Bool };
        let node = Loop { kind, source: source.node, condition: condition.node };
        Ok(Typed::new(NodeKind::Loop(Box::new(node)), span, ty))
    }
}

fn method_expected(name: &str) -> String {
    format!("{name}() follows its value and a point: expected `x.{name}(…)`")
}

/// A pattern that cannot eat time or memory.
fn compiled(pattern: &str) -> Result<regex::Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("the pattern has {} bytes: expected at most {PATTERN_BYTES_MAX}", pattern.len()));
    }
    regex::RegexBuilder::new(pattern)
        .size_limit(PATTERN_COMPILED_BYTES_MAX)
        .dfa_size_limit(PATTERN_COMPILED_BYTES_MAX)
        .nest_limit(50)
        .build()
        .map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => {
                "the pattern is too large once compiled: expected a simpler one".to_owned()
            }
            other => {
                let detail = other.to_string();
                let last = detail.lines().last().unwrap_or_default().trim_start_matches("error: ");
                format!("`{}` is not a regular expression: {last}", shortened(pattern, 60))
            }
        })
}
