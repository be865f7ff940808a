//! What streams of NATS keep, and how it is read.

use std::time::Duration;

use watchpost_bus::{
    Bus, Headers, NatsBus, NatsOptions, Outgoing, ReadFrom, StoredMessage, StreamError, StreamSettings,
};
use watchpost_tests::nats_server::NatsServer;

use crate::rig::{PATIENCE, bounded};

fn settings() -> StreamSettings {
    StreamSettings {
        name: "KEPT".to_owned(),
        subjects: vec!["kept.*.a".to_owned(), "kept.*.b".to_owned()],
        age_max: Duration::from_secs(3_600),
        bytes_max: 64 * 1024 * 1024,
        per_subject_max: None,
    }
}

async fn start() -> (NatsServer, NatsBus) {
    let server = NatsServer::start_with(&["-js", "-sd", "jetstream"]);
    let bus = NatsBus::connect(NatsOptions::new([server.url()])).await.unwrap();
    (server, bus)
}

/// Publishes, and waits until the stream has it.
async fn keep(bus: &NatsBus, subject: &str, payload: impl Into<bytes::Bytes>) {
    let headers = Headers::new().with("Name", "value");
    watchpost_bus::request(bus, Outgoing::new(subject, payload).headers(headers), PATIENCE).await.unwrap();
}

async fn read(bus: &NatsBus, filters: &[&str], from: ReadFrom) -> Vec<StoredMessage> {
    let filters: Vec<_> = filters.iter().map(|filter| (*filter).to_owned()).collect();
    let mut messages = bus.read_stream("KEPT", &filters, from).await.unwrap();
    let mut read = Vec::new();
    while let Some(stored) = messages.next().await.unwrap() {
        read.push(stored);
    }
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_made_changed_and_told_of() {
    bounded(async {
        let (_server, bus) = start().await;
        assert_eq!(bus.stream("KEPT").await.unwrap(), None);
        let missing = bus.update_stream(&settings()).await.unwrap_err();
        assert!(matches!(&missing, StreamError::NoStream { stream } if stream == "KEPT"), "{missing}");
        bus.create_stream(&settings()).await.unwrap();
        let report = bus.stream("KEPT").await.unwrap().unwrap();
        assert_eq!((&report.settings, report.messages, report.first_us), (&settings(), 0, None));
        keep(&bus, "kept.x.a", "1").await;
        let changed = StreamSettings { per_subject_max: Some(3), age_max: Duration::from_secs(60), ..settings() };
        bus.update_stream(&changed).await.unwrap();
        let report = bus.stream("KEPT").await.unwrap().unwrap();
        assert_eq!((report.settings, report.messages, report.last_sequence), (changed, 1, 1));
        assert!(report.first_us.is_some());
        let rival = StreamSettings { name: "RIVAL".to_owned(), ..settings() };
        let refused = bus.create_stream(&rival).await.unwrap_err().to_string();
        assert!(refused.contains("`RIVAL`") && refused.contains("overlap"), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_matches_is_read_once_in_order_and_no_more_than_was_there() {
    // More than are asked for at once.
    const MESSAGES: usize = 1_203;
    bounded(async {
        let (_server, bus) = start().await;
        bus.create_stream(&settings()).await.unwrap();
        assert!(read(&bus, &["kept.>"], ReadFrom::Beginning).await.is_empty());
        for i in 0..MESSAGES {
            let subject = if i % 3 == 0 { "kept.x.a" } else { "kept.y.b" };
            bus.publish(Outgoing::new(subject, i.to_string())).await.unwrap();
        }
        keep(&bus, "kept.z.a", "last").await;
        let all = read(&bus, &["kept.*.a", "kept.*.b"], ReadFrom::Beginning).await;
        let payloads: Vec<_> =
            all.iter().map(|stored| String::from_utf8_lossy(&stored.message.payload).into_owned()).collect();
        let expected: Vec<_> = (0..MESSAGES).map(|i| i.to_string()).chain(["last".to_owned()]).collect();
        assert_eq!(payloads, expected);
        assert!(
            all.windows(2).all(|pair| pair[0].sequence < pair[1].sequence && pair[0].stored_us <= pair[1].stored_us)
        );
        let last = &all[MESSAGES].message;
        assert_eq!(
            (last.subject.as_str(), last.reply.as_ref(), last.headers.get("Name")),
            ("kept.z.a", None, Some("value"))
        );

        let some = read(&bus, &["kept.x.*", "kept.z.*"], ReadFrom::Time(all[MESSAGES / 2].stored_us)).await;
        let expected =
            all.iter().filter(|m| m.stored_us >= all[MESSAGES / 2].stored_us && !m.message.subject.contains('y'));
        assert_eq!(some, expected.cloned().collect::<Vec<_>>());
        let each: Vec<_> =
            read(&bus, &["kept.>"], ReadFrom::LastOfEach).await.into_iter().map(|m| m.message.subject).collect();
        assert_eq!(each, ["kept.x.a", "kept.y.b", "kept.z.a"], "by their numbers");

        // What comes while it is read is not waited for.
        let mut reading = bus.read_stream("KEPT", &["kept.x.a".to_owned()], ReadFrom::Beginning).await.unwrap();
        keep(&bus, "kept.x.a", "late").await;
        let mut read = 0;
        while reading.next().await.unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, MESSAGES.div_ceil(3));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_as_large_as_the_bus_carries_are_read() {
    const LARGE: usize = 1_000_000;
    bounded(async {
        let (_server, bus) = start().await;
        bus.create_stream(&settings()).await.unwrap();
        for _ in 0..12 {
            keep(&bus, "kept.x.a", vec![7; LARGE]).await;
        }
        let all = read(&bus, &["kept.>"], ReadFrom::Beginning).await;
        assert_eq!(all.iter().map(|stored| stored.message.payload.len()).collect::<Vec<_>>(), vec![LARGE; 12]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_not_permit_is_told_at_once() {
    bounded(async {
        let config = r#"
            jetstream { store_dir: "jetstream" }
            authorization { users: [ { user: ann, password: pw, permissions: {
                publish: ["$JS.API.STREAM.INFO.>"], subscribe: ["_INBOX.>"]
            } } ] }
        "#;
        let server = NatsServer::start_with_config(config, &[]);
        let url = server.url().replace("nats://", "nats://ann:pw@");
        let bus = NatsBus::connect(NatsOptions::new([url])).await.unwrap();
        assert_eq!(bus.stream("KEPT").await.unwrap(), None);
        let forbidden = bus.create_stream(&settings()).await.unwrap_err();
        assert!(matches!(forbidden, StreamError::Forbidden { .. }), "{forbidden}");
        assert!(forbidden.to_string().contains("does not let us make the stream `KEPT`"), "{forbidden}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_keeps_nothing_or_is_gone_says_so() {
    bounded(async {
        let mut server = NatsServer::start();
        let bus = NatsBus::connect(NatsOptions::new([server.url()])).await.unwrap();
        let none = bus.stream("KEPT").await.unwrap_err();
        assert!(matches!(none, StreamError::Unsupported), "{none}");
        let filter = bus.read_stream("KEPT", &["a..b".to_owned()], ReadFrom::Beginning).await.unwrap_err();
        assert!(matches!(filter, StreamError::Bus(_)), "{filter}");
        server.stop();
        let gone = bus.create_stream(&settings()).await.unwrap_err();
        assert!(matches!(gone, StreamError::Bus(_) | StreamError::NoAnswer { .. }), "{gone}");
    })
    .await;
}
