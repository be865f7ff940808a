//! From what hyper, rustls and the operating system say to a verdict and a sentence.

use std::error::Error as StdError;
use std::io;

use watchpost_model::{Reason, ReasonCode, shorten};

use super::answer::HEAD_BYTES_MAX;
use super::decode::Fault;
use super::exchange::Broken;
use super::hop::Hop;
use super::http2;
use crate::recorder::{Position, Recorder, Stage};
use crate::{Verdict, failure, tls};

/// What an error chain holds that tells its kind.
#[derive(Default)]
struct Causes<'a> {
    tls: Option<&'a rustls::Error>,
    io: Option<&'a io::Error>,
    http: Option<&'a hyper::Error>,
    last: Option<&'a (dyn StdError + 'static)>,
}

impl<'a> Causes<'a> {
    fn of(error: &'a (dyn StdError + 'static)) -> Self {
        let mut causes = Self::default();
        let mut next = Some(error);
        while let Some(error) = next {
            causes.last = Some(error);
            if let Some(tls) = error.downcast_ref() {
                causes.tls = Some(tls);
            }
            if let Some(http) = error.downcast_ref() {
                causes.http = Some(http);
            }
            next = error.source();
            if let Some(io) = error.downcast_ref::<io::Error>() {
                causes.io = Some(io);
                // `source` skips what an `io::Error` wraps and goes on with that one's source.
                if let Some(inner) = io.get_ref() {
                    next = Some(inner);
                }
            }
        }
        causes
    }

    fn detail(&self) -> String {
        self.last.map(|error| shorten(&error.to_string(), 200).into_owned()).unwrap_or_default()
    }
}

/// The verdict on what ended the request `hop`.
pub(crate) fn of_request(broken: &Broken, hop: &Hop, recorder: &Recorder) -> Verdict {
    let position = recorder.position();
    let whom = peer(hop, &position);
    if let Broken::Tls(error) = broken {
        return tls::failure::verdict(error, hop.host(), &whom, recorder);
    }
    if let Broken::NotHttp2 = broken {
        let message = format!("{whom} did not agree to speak HTTP/2, on which the check insists");
        return Verdict::error(Reason::new(ReasonCode::ProtocolError, message));
    }
    if let Broken::Http2(failed) = broken {
        return of_http2(failed, hop, &whom, &position, recorder);
    }
    let causes = Causes::of(broken);
    if let Broken::Request(_) = broken {
        let message = format!("no request can be made of {}: {}", hop.shown_url(), causes.detail());
        return Verdict::error(Reason::new(ReasonCode::InvalidTarget, message));
    }
    of_causes(&causes, hop, &whom, &position, recorder)
}

fn of_causes(causes: &Causes<'_>, hop: &Hop, whom: &str, position: &Position, recorder: &Recorder) -> Verdict {
    if let Some(tls) = causes.tls {
        return Verdict::error(tls::failure::reason(tls, hop.host(), whom, position, recorder));
    }
    if let Some(http) = causes.http {
        if http.is_parse() {
            let why = match causes.detail() {
                _ if recorder.is_answered_in_tls() => "it is TLS, and the URL begins with http://".to_owned(),
                // hyper says the same of both.
                detail if detail == "message head is too large" => {
                    format!("its head has more than {HEAD_BYTES_MAX} bytes, or more than 100 headers")
                }
                detail => detail,
            };
            let message = format!("the answer of {whom} is not valid HTTP: {why}");
            return Verdict::error(Reason::new(ReasonCode::ProtocolError, message));
        }
        if causes.io.is_none() && (http.is_incomplete_message() || http.is_closed() || http.is_canceled()) {
            return failure::closed(whom, position);
        }
    }
    match causes.io {
        Some(io) if is_of_the_connection(io) => failure::of_io(io, whom, position),
        _ if position.stage == Stage::Connect => {
            let message = format!("cannot connect to {whom}: {}", causes.detail());
            Verdict::error(Reason::new(ReasonCode::ConnectError, message))
        }
        _ => {
            let when = match position.stage {
                Stage::Send | Stage::FirstByte => String::new(),
                _ => format!(" {}", failure::when(position)),
            };
            let message = format!("the answer of {whom} cannot be read{when}: {}", causes.detail());
            Verdict::error(Reason::new(ReasonCode::ProtocolError, message))
        }
    }
}

/// The verdict on an exchange by HTTP/2 that failed, or was made to fail.
fn of_http2(failed: &http2::Failed, hop: &Hop, whom: &str, position: &Position, recorder: &Recorder) -> Verdict {
    if let Some(below) = failed.below() {
        return of_causes(&Causes::of(below), hop, whom, position, recorder);
    }
    let error = &failed.error;
    let Some(reason) = error.reason() else {
        if error.is_io() {
            return failure::closed(whom, position);
        }
        let message = format!("no request can be made of {}: {error}", hop.shown_url());
        return Verdict::error(Reason::new(ReasonCode::InvalidTarget, message));
    };
    let when = failure::when(position);
    let (code, message) = match reason {
        h2::Reason::HTTP_1_1_REQUIRED if error.is_remote() => (
            ReasonCode::ProtocolError,
            format!("{whom} asks for HTTP/1.1 in place of HTTP/2 ({reason:?}): the check's `version` can insist on it"),
        ),
        h2::Reason::NO_ERROR if error.is_go_away() => {
            (ReasonCode::ConnectionClosed, format!("{whom} closed the connection to further requests (GOAWAY) {when}"))
        }
        _ if error.is_go_away() && error.is_remote() => {
            (ReasonCode::ConnectionReset, format!("{whom} gave up the connection (GOAWAY with {reason:?}) {when}"))
        }
        _ if error.is_remote() => {
            (ReasonCode::ConnectionReset, format!("{whom} reset the stream (RST_STREAM with {reason:?}) {when}"))
        }
        _ => {
            // h2 does not tell the one from the other.
            let or = match position.stage {
                Stage::Send | Stage::FirstByte => ", or its head takes more than 64 KiB",
                _ => "",
            };
            (
                ReasonCode::ProtocolError,
                format!("the answer of {whom} is not valid HTTP/2{or}: broken off with {reason:?} {when}"),
            )
        }
    };
    Verdict::error(Reason::new(code, message))
}

/// The verdict on a body that cannot be unpacked.
pub(crate) fn of_unpacking(fault: Fault, hop: &Hop, recorder: &Recorder) -> Verdict {
    let position = recorder.position();
    let whom = peer(hop, &position);
    let message = match fault {
        Fault::Corrupt(why) => format!("the answer of {whom} cannot be read {}: {why}", failure::when(&position)),
        Fault::Short(encoding) => format!(
            "the answer of {whom} is complete, but not the {encoding} data in it: it ends after {} unpacked bytes",
            position.received
        ),
    };
    Verdict::error(Reason::new(ReasonCode::ProtocolError, message))
}

/// Whether the error comes from the connection, and is none that hyper reports by the same type.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    error.raw_os_error().is_some()
        || matches!(
            error.kind(),
            Kind::UnexpectedEof
                | Kind::ConnectionReset
                | Kind::ConnectionAborted
                | Kind::BrokenPipe
                | Kind::NotConnected
        )
}

/// The peer as sentences call it: the address, and the name where that is another.
pub(crate) fn peer(hop: &Hop, position: &Position) -> String {
    match position.address {
        Some(address) if hop.is_proxied() => format!("{} (by the proxy {address})", hop.host()),
        Some(address) if hop.has_name() => format!("{address} ({})", hop.host()),
        Some(address) => address.to_string(),
        None => hop.host().to_owned(),
    }
}
