//! HTTP/2: agreed on over TLS or insisted on, and servers that break it.

use tokio_rustls::rustls::ServerConfig;
use watchpost_tests::http2_fixture::frame;

use crate::expected::is;
use crate::row::{Row, row};
use crate::server::{Server, Step, Tls, say};

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub fn rows() -> Vec<Row> {
    let mut rows = known();
    rows.extend(agreed());
    rows
}

/// A script that says its settings, and then `frames`.
fn frames(frames: &[Vec<u8>]) -> Vec<Step> {
    vec![Step::HearHttp2, Step::Say([frame(SETTINGS, 0, 0, &[]), frames.concat()].concat())]
}

fn head() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &[0x88])
}

fn answer() -> Vec<Step> {
    frames(&[head(), frame(DATA, END_STREAM, 1, b"ok")])
}

fn known() -> Vec<Row> {
    let speaks = |name: &str, script: Vec<Step>| {
        row(format!("http2-{name}")).server(Server::Script(script)).check("http: { url: 'http://{addr}/', version: 2 }")
    };
    let goaway = |reason: u8| frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, reason]);
    let reset = |reason: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, reason]);
    let closing = |mut script: Vec<Step>| {
        script.push(Step::Close);
        script
    };
    let flood = |begins: &[Vec<u8>], repeats: Vec<u8>| {
        let mut script = frames(begins);
        script.push(Step::SayForEver(repeats.repeat(100)));
        script
    };
    vec![
        speaks("answer", answer()).pass().at("http.version", is("HTTP/2")).at("http.body_bytes", is(2)),
        speaks("goaway", frames(&[goaway(0)]))
            .error("connection_closed")
            .says("closed the connection to further requests"),
        speaks("goaway-with-a-reason", frames(&[goaway(11)]))
            .error("connection_reset")
            .says("GOAWAY with ENHANCE_YOUR_CALM"),
        speaks("reset", frames(&[reset(2)])).error("connection_reset").says("RST_STREAM with INTERNAL_ERROR"),
        speaks("reset-in-the-body", frames(&[head(), frame(DATA, 0, 1, b"begun"), reset(8)]))
            .error("connection_reset")
            .says("in the middle of the answer, after [05] bytes"),
        speaks("asks-for-http1", frames(&[reset(13)])).error("protocol_error").says("asks for HTTP/1.1"),
        speaks("body-without-a-head", frames(&[frame(DATA, END_STREAM, 1, b"ok")])).error("protocol_error"),
        speaks("head-that-is-none", frames(&[frame(HEADERS, END_HEADERS, 1, &[0xff; 9])])).error("protocol_error"),
        speaks("cut", closing(frames(&[head(), frame(DATA, 0, 1, b"begun")])))
            .error("connection_closed")
            .says("closed the connection in the middle of the answer"),
        speaks("silence", frames(&[])).within("1s").timeout("first_byte_timeout"),
        speaks("body-that-does-not-end", frames(&[head(), frame(DATA, 0, 1, b"begun")]))
            .within("1s")
            .timeout("receive_timeout"),
        speaks("flood-of-settings", flood(&[], frame(SETTINGS, 0, 0, &[])))
            .error("protocol_error")
            .says("2097152 bytes came"),
        speaks("head-without-end", flood(&[frame(HEADERS, 0, 1, &[0x88])], frame(CONTINUATION, 0, 1, &[0x82; 500])))
            .error("protocol_error")
            .says("more than 64 KiB"),
        row("http2-of-a-server-of-http1")
            .server(Server::Paths)
            .check("http: { url: 'http://{addr}/ok', version: 2 }")
            .error("protocol_error")
            .says("it is one of HTTP/1, and the check speaks HTTP/2$"),
        row("http-of-a-version-that-is-none")
            .check("http: { url: 'http://{host}/', version: 3 }")
            .refused("`3` is not a version of HTTP that checks speak: expected `1.1` or `2`"),
    ]
}

fn offering_http2(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

fn offering_http1(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn agreed() -> Vec<Row> {
    let http1 = || vec![Step::Hear, say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Step::Close];
    let agrees = |name: &str, offering: fn(ServerConfig) -> ServerConfig, script: Vec<Step>, settings: &str| {
        row(format!("tls-agrees-on-{name}"))
            .server(Server::TlsScript(Tls::With(offering), script))
            .check(format!("http: {{ url: 'https://{{host}}:{{port}}/'{settings} }}"))
    };
    vec![
        agrees("http2", offering_http2, answer(), "").pass().at("http.version", is("HTTP/2")),
        agrees("http1", offering_http1, http1(), "").pass().at("http.version", is("HTTP/1.1")),
        agrees("nothing", |config| config, http1(), "").pass().at("http.version", is("HTTP/1.1")),
        agrees("http1-as-asked", offering_http2, http1(), ", version: 1.1").pass().at("http.version", is("HTTP/1.1")),
        agrees("http2-as-asked", offering_http2, answer(), ", version: 2").pass().at("http.version", is("HTTP/2")),
        agrees("http1-and-not-as-asked", offering_http1, http1(), ", version: 2")
            .error("tls_error")
            .says("agrees to none of the protocols that are offered by ALPN"),
        agrees("nothing-and-not-as-asked", |config| config, http1(), ", version: 2")
            .error("protocol_error")
            .says("did not agree to speak HTTP/2, on which the check insists$"),
    ]
}
