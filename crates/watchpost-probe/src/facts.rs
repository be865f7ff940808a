//! What expressions may ask of an answer, as far as every check type has it. The names are those that the
//! model declares.

use serde_json::{Map, Value as Json, json};
use watchpost_expr::{Value, Values};
use watchpost_model::{Labels, PhasesUs, TlsEvidence};

use crate::recorder::Seen;

/// What was seen of a check: what its type tells, and what every type has.
pub(crate) struct Facts<'a> {
    of_type: &'a dyn Values,
    phases: Record,
    tls: Option<Record>,
    target: Record,
    rest: Json,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(of_type: &'a dyn Values, seen: &Seen, labels: &Labels) -> Self {
        let rest = json!({
            "address": seen.address.map(|address| address.to_string()),
            "resolved": seen.resolved,
            "metrics": seen.metrics,
        });
        let target = Record(Map::from_iter([("labels".to_owned(), json!(labels))]));
        let tls = seen.tls.as_ref().map(|tls| self::tls(tls, seen));
        Self { of_type, phases: phases(&seen.phases), tls, target, rest }
    }
}

impl Values for Facts<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "phases" => Some(Value::Record(&self.phases)),
            "tls" => self.tls.as_ref().map(|tls| Value::Record(tls)),
            "target" => Some(Value::Record(&self.target)),
            name => self.of_type.get(name).or_else(|| present(&self.rest, name)),
        }
    }
}

/// The fields of a JSON object; one that is `null` is absent.
pub(crate) struct Fields<'a>(pub(crate) &'a Json);

impl Values for Fields<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        present(self.0, name)
    }
}

fn present<'a>(fields: &'a Json, name: &str) -> Option<Value<'a>> {
    fields.get(name).filter(|value| !value.is_null()).map(Value::Json)
}

/// A record of the language.
struct Record(Map<String, Json>);

impl Values for Record {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        self.0.get(name).map(Value::Json)
    }
}

fn phases(us: &PhasesUs) -> Record {
    let took = [
        ("dns_ms", us.dns),
        ("connect_ms", us.connect),
        ("tls_ms", us.tls),
        ("send_ms", us.send),
        ("first_byte_ms", us.first_byte),
        ("receive_ms", us.receive),
        ("run_ms", us.run),
        ("total_ms", us.total),
    ];
    let reached = took.into_iter().filter_map(|(name, us)| Some((name.to_owned(), json!(us? as f64 / 1e3))));
    Record(reached.collect())
}

fn tls(evidence: &TlsEvidence, seen: &Seen) -> Record {
    // These are there even where they are empty or false; what else the handshake did not show is absent.
    let mut fields = Map::from_iter([("sans".to_owned(), json!([])), ("chain".to_owned(), json!([]))]);
    fields.extend(["self_signed", "client_certificate_asked"].map(|name| (name.to_owned(), json!(false))));
    if let Ok(Json::Object(told)) = serde_json::to_value(evidence) {
        fields.extend(told);
    }
    if let Some(days) = seen.metrics.get("tls_days_left") {
        fields.insert("days_left".to_owned(), json!(days));
    }
    Record(fields)
}

#[cfg(test)]
mod tests {
    use watchpost_model::{CheckType, compile_expression};

    use super::*;

    fn holds(expression: &str, seen: &Seen, of_type: &Json) -> Result<bool, String> {
        let program = compile_expression(&expression.parse().unwrap(), CheckType::Http).unwrap();
        let fields = Fields(of_type);
        let labels = Labels::new([("env".to_owned(), "prod".to_owned())]).unwrap();
        program.evaluate(&Facts::new(&fields, seen, &labels)).map(|e| e.holds).map_err(|e| e.message)
    }

    #[test]
    fn what_every_type_has_can_be_asked_for() {
        let phases = PhasesUs { first_byte: Some(12_500), total: Some(30_000), ..PhasesUs::default() };
        let tls =
            TlsEvidence { sans: vec!["a.example".into()], subject: Some("CN=a".into()), ..TlsEvidence::default() };
        let seen = Seen {
            phases,
            tls: Some(tls),
            metrics: [("tls_days_left".to_owned(), 13.5), ("n".to_owned(), 2.0)].into(),
            address: "10.0.0.1:443".parse().ok(),
            resolved: vec!["10.0.0.1".parse().unwrap()],
        };
        let none = json!({ "status": 200 });
        for (expression, expected) in [
            ("phases.first_byte_ms > 12 && phases.first_byte_ms < 13", Ok(true)),
            ("phases.total_ms == 30", Ok(true)),
            ("has(phases.dns_ms)", Ok(false)),
            ("phases.dns_ms < 5", Err("phases.dns_ms: no name was resolved")),
            ("tls.days_left > 13 && 'a.example' in tls.sans && tls.chain.size() == 0", Ok(true)),
            ("tls.subject == 'CN=a' && !has(tls.issuer)", Ok(true)),
            ("address.startsWith('10.0.0.1:') && resolved == ['10.0.0.1']", Ok(true)),
            ("metrics['n'] == 2 && !('m' in metrics)", Ok(true)),
            ("status == 200", Ok(true)),
            ("target.labels.env == 'prod' && !('team' in target.labels)", Ok(true)),
            ("target.labels['env'].startsWith('x')", Ok(false)),
        ] {
            assert_eq!(holds(expression, &seen, &none), expected.map_err(str::to_owned), "{expression}");
        }
        let plain = Seen { tls: None, address: None, ..seen };
        assert_eq!(
            holds("tls.days_left > 1", &plain, &none).unwrap_err(),
            "tls.days_left: the answer came without TLS"
        );
        assert_eq!(holds("address == ''", &plain, &none).unwrap_err(), "address: nothing was connected to");
    }
}
