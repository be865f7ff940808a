//! `/beat/CHECK`: where jobs report in, by whatever they have at hand: `curl -fsS http://localhost:8627/beat/backup`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use watchpost_model::{Beat, BeatStatus, BeatTaken, CheckId, ErrorCode, ErrorReply, Format, Message, decode, shorten};

use crate::{ANSWER_WITHIN, Source};

/// How long a job may take to send its report.
const BODY_WITHIN: Duration = Duration::from_secs(5);
/// The longest message that is taken from a plain text, in characters; what is longer is cut.
const TEXT_CHARS_MAX: usize = 250;

/// What became of a beat.
pub type BeatAnswer = Result<BeatTaken, ErrorReply>;

/// Takes beats.
pub trait BeatSink: Send + Sync + 'static {
    /// The job of `check` has beaten.
    fn beat(&self, check: CheckId, beat: Beat) -> Pin<Box<dyn Future<Output = BeatAnswer> + Send + '_>>;
}

/// Why a request is no beat: the status, and a sentence.
type Refusal = (StatusCode, String);

pub(crate) fn routes() -> Router<Arc<dyn Source>> {
    Router::new()
        .route("/beat/{check}", get(plain).post(plain))
        .route("/beat/{check}/{status}", get(with_status).post(with_status))
}

async fn plain(
    State(source): State<Arc<dyn Source>>,
    Path(check): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(&*source, &check, None, query, &headers, body).await
}

async fn with_status(
    State(source): State<Arc<dyn Source>>,
    Path((check, status)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(&*source, &check, Some(&status), query, &headers, body).await
}

async fn answer(
    source: &dyn Source,
    check: &str,
    status: Option<&str>,
    query: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    match take(source, check, status, query, headers, body).await {
        Ok(taken) => (StatusCode::OK, format!("ok: silent unless another beat comes before {}\n", taken.silent_at)),
        Err((status, told)) => (status, format!("{told}\n")),
    }
    .into_response()
}

async fn take(
    source: &dyn Source,
    check: &str,
    status: Option<&str>,
    query: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<BeatTaken, Refusal> {
    let check: CheckId = check.parse().map_err(|e| (StatusCode::NOT_FOUND, format!("{e}")))?;
    let mut beat = read_body(headers, body).await?;
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if let Some(token) = bearer {
        beat.token = Some(token.trim().parse().map_err(|e| bad(format!("the token: {e}")))?);
    }
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        set(&mut beat, &name, &value)?;
    }
    if let Some(status) = status {
        set(&mut beat, "status", status)?;
    }
    match tokio::time::timeout(ANSWER_WITHIN, source.beat(check, beat)).await {
        Ok(taken) => taken.map_err(|refused| (status_of(refused.code), refused.message)),
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "the agent did not answer in time".to_owned())),
    }
}

/// One parameter of the query.
fn set(beat: &mut Beat, name: &str, value: &str) -> Result<(), Refusal> {
    match name {
        "status" => {
            beat.status = match value {
                "ok" => BeatStatus::Ok,
                "fail" => BeatStatus::Fail,
                "start" => BeatStatus::Start,
                other => {
                    return Err(bad(format!("status `{}`: expected ok, fail or start", shorten(other, 40))));
                }
            }
        }
        "message" => beat.message = Some(text(value)?),
        "duration_ms" => {
            let read = value.parse().map_err(|_| bad("duration_ms: expected a whole number of ms".to_owned()))?;
            beat.duration_ms = Some(read);
        }
        "token" => beat.token = Some(value.parse().map_err(|e| bad(format!("the token: {e}")))?),
        other => {
            let other = shorten(other, 40);
            return Err(bad(format!("parameter `{other}`: expected status, message, duration_ms or token")));
        }
    }
    Ok(())
}

/// A beat as JSON, or a message as text, or nothing.
async fn read_body(headers: &HeaderMap, body: Body) -> Result<Beat, Refusal> {
    let too_large = || (StatusCode::PAYLOAD_TOO_LARGE, format!("a beat has at most {} bytes", Beat::BYTES_MAX));
    let read = tokio::time::timeout(BODY_WITHIN, axum::body::to_bytes(body, Beat::BYTES_MAX)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return Err(too_large()),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the beat did not come in time".to_owned())),
    };
    if bytes.is_empty() {
        return Ok(Beat::default());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        return decode(&bytes, Format::Json).map_err(|e| bad(e.to_string()));
    }
    Ok(Beat { message: Some(text(&String::from_utf8_lossy(&bytes))?), ..Beat::default() })
}

/// A message of whatever length, cut.
fn text(given: &str) -> Result<watchpost_model::BeatMessage, Refusal> {
    shorten(given.trim(), TEXT_CHARS_MAX).parse().map_err(|e: watchpost_model::Invalid| bad(e.to_string()))
}

fn bad(told: String) -> Refusal {
    (StatusCode::BAD_REQUEST, told)
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::UnknownCheck => StatusCode::NOT_FOUND,
        ErrorCode::NotAllowed => StatusCode::FORBIDDEN,
        ErrorCode::TooOften => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Conflict | ErrorCode::Refused | ErrorCode::ReadOnly => StatusCode::CONFLICT,
        ErrorCode::BadPayload | ErrorCode::UnknownVersion | ErrorCode::UnknownVerb => StatusCode::BAD_REQUEST,
    }
}
