//! `/v1/chat/completions`.

use super::door::Caller;
use super::preparing::{Preparing, Ready};
use super::respond;
use super::state::Shared;
use super::stream;
use crate::api::{ChatRequest, KnobHeader, Reply, Stages, Streaming, expect_length, parse, usage};
use crate::engine::{Client, EngineError, Share, Ticket, Update};
use crate::error::ApiError;
use axum::Extension;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::LengthLimitError;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout, timeout_at};
use visor::{Answer, Cancel, Event, Question, Thrift};

/// Names the first picture of a request, for balancers that send requests about it to one replica.
const AFFINITY: HeaderName = HeaderName::from_static("x-visor-affinity");

/// A request that is in the queue of its model.
pub(super) struct Asked {
    pub(super) reply: Reply,
    pub(super) ticket: Ticket,
    pub(super) streaming: Streaming,
    pub(super) begun: Instant,
    pub(super) deadline: Instant,
    /// Which of the served models answers.
    pub(super) served: usize,
    pub(super) thrift: Option<Thrift>,
    pub(super) seed: Option<u64>,
    affinity: Option<String>,
}

pub(super) async fn complete(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let begun = Instant::now();
    let deadline = begun + shared.options.limits.request_time;
    match answer(&shared, &caller, &headers, body, begun, deadline).await {
        Ok(response) => response,
        Err(error) => {
            // The message may quote the client; the code does not.
            tracing::debug!(request = %caller.id, status = error.status, code = error.code, "refused");
            respond::error(&error, &caller.id)
        }
    }
}

async fn answer(
    shared: &Arc<Shared>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    begun: Instant,
    deadline: Instant,
) -> Result<Response<Body>, ApiError> {
    if shared.is_closing() {
        return Err(ApiError::closing());
    }
    expect_json(headers)?;
    let knobs = knob_headers(headers)?;
    let (request, held) = received(shared, caller, headers, body, &knobs, deadline).await?;
    let mut asked = ask(shared, caller, request, held, begun, deadline).await?;
    let affinity = asked.affinity.take();
    let mut response = match asked.streaming {
        Streaming::Off => whole(shared, asked).await?,
        Streaming::Pieces | Streaming::PiecesAndUsage => stream::response(shared, caller, asked),
    };
    if let Some(value) = affinity.and_then(|value| HeaderValue::from_str(&value).ok()) {
        response.headers_mut().insert(AFFINITY, value);
    }
    Ok(response)
}

/// A body of another type is what a page in a browser can send without being asked.
fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    match kind {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => {
            let message = "expected the content type application/json";
            Err(ApiError::new(415, "unsupported_media_type", message))
        }
    }
}

fn knob_headers(headers: &HeaderMap) -> Result<Vec<(KnobHeader, String)>, ApiError> {
    let mut knobs = Vec::new();
    for which in KnobHeader::ALL {
        for value in headers.get_all(which.name()) {
            let text = value.to_str().ok().filter(|text| text.len() <= 64);
            let text =
                text.ok_or_else(|| ApiError::invalid(which.name(), "expected a short text"))?;
            knobs.push((which, text.to_owned()));
        }
    }
    Ok(knobs)
}

/// Reads and parses the body. The memory of all bodies is bounded: a request waits for its part, and
/// has it until its pictures are decoded.
async fn received(
    shared: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
    knobs: &[(KnobHeader, String)],
    deadline: Instant,
) -> Result<(ChatRequest, Share), ApiError> {
    let limits = &shared.options.limits;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.body) {
        return Err(ApiError::too_large(limits.body));
    }
    let most = announced.unwrap_or(limits.body).min(limits.bodies).max(1);
    let waiting = timeout_at(deadline, shared.bodies.pass(Client(caller.client), most)).await;
    // There is a place to wait for every connection.
    let held = waiting.map_err(|_| ApiError::timeout())?.map_err(|_| ApiError::too_large(most))?;
    let most = usize::try_from(limits.body).unwrap_or(usize::MAX);
    let read = timeout(limits.body_time, to_bytes(body, most)).await;
    let body: Bytes = match read {
        Err(_) => return Err(ApiError::new(408, "slow_body", "the body did not come in time")),
        Ok(Ok(body)) => body,
        Ok(Err(error)) if is_too_large(&error) => return Err(ApiError::too_large(limits.body)),
        Ok(Err(_)) => return Err(ApiError::new(400, "broken_body", "the body is not whole")),
    };
    Ok((parse(&body, knobs, &limits.request)?, held))
}

/// Whether a body went beyond its limit, and is not broken in another way.
fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.is::<LengthLimitError>())
}

/// Prepares a request and queues it.
async fn ask(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: ChatRequest,
    body: Share,
    begun: Instant,
    deadline: Instant,
) -> Result<Asked, ApiError> {
    let ChatRequest { model, messages, pictures, settings, mut knobs, streaming } = request;
    let (found, in_name) = shared.find(&model)?;
    expect_length(&messages, found.model.card().context)?;
    if in_name.is_none() && model.budget == knobs.budget {
        // What stands behind the `@` is a part of this model's own name.
        knobs.budget = None;
    }
    let served = shared.served().unwrap_or_default();
    let served = served.iter().position(|one| std::ptr::eq(one, found)).unwrap_or_default();
    let (thrift, seed) = (knobs.thrift, settings.sampling.seed());
    let cancel = Cancel::new();
    let question = knobs.apply(Question::conversation(messages).settings(settings));
    let question = question.cancel(cancel.clone());
    // Called off if the client leaves or the time is over.
    let guard = CallOff(Some(cancel.clone()));
    let preparing = Preparing { shared, served: found, caller, cancel: &cancel, deadline };
    let Ready { prepared, pixels, affinity } = preparing.run(question, pictures, body).await?;
    let ticket = found.engine.submit_with(Client(caller.client), prepared, pixels)?;
    guard.keep();
    let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let reply = Reply {
        id: format!("chatcmpl-{}", caller.id),
        model: model.whole,
        created: created.as_secs(),
    };
    Ok(Asked { reply, ticket, streaming, begun, deadline, served, thrift, seed, affinity })
}

/// Calls a request off, unless somebody else does from now on.
struct CallOff(Option<Cancel>);

impl CallOff {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.iter().for_each(Cancel::cancel);
    }
}

/// Waits for the whole answer.
async fn whole(shared: &Shared, mut asked: Asked) -> Result<Response<Body>, ApiError> {
    let mut queue = Duration::ZERO;
    loop {
        let next = timeout_at(asked.deadline, asked.ticket.next()).await;
        match next.map_err(|_| ApiError::timeout())? {
            None => return Err(ApiError::closing()),
            Some(Err(error)) => return Err(failed(&asked, &error)),
            Some(Ok(Update::Started { waited })) => queue = waited,
            Some(Ok(Update::Event(Event::Finished(answer)))) => {
                let usage = finished(shared, &asked, &answer, queue);
                return Ok(respond::json(200, &asked.reply.whole(&answer, &usage)));
            }
            Some(Ok(Update::Event(_))) => {}
        }
    }
}

/// An error of the engine; the log has what the client is not told.
pub(super) fn failed(asked: &Asked, error: &EngineError) -> ApiError {
    let shown = ApiError::from(error);
    if shown.status >= 500 {
        tracing::error!(answer = %asked.reply.id, %error, "a request failed");
    }
    shown
}

/// Counts a complete answer; what it took.
pub(super) fn finished(
    shared: &Shared,
    asked: &Asked,
    answer: &Answer,
    queue: Duration,
) -> serde_json::Value {
    let total = asked.begun.elapsed();
    let Some(served) = shared.served().and_then(|all| all.get(asked.served)) else {
        return serde_json::Value::Null;
    };
    shared.metrics.completed(&served.name, answer, queue, total);
    usage(answer, &served.model, &Stages { queue, total, thrift: asked.thrift, seed: asked.seed })
}
