//! An answer piece by piece, as server-sent events.

use super::chat::{Asked, failed, finished};
use super::door::Caller;
use super::state::Shared;
use crate::api::Streaming;
use crate::engine::Update;
use crate::error::ApiError;
use axum::body::Body;
use axum::http::Response;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Piece, KeepAlive, Sse};
use futures_core::Stream;
use serde_json::Value;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout_at;
use visor::Event;

/// Pieces that may wait for a client who reads slowly.
const WAITING: usize = 16;

/// Streams an answer. The client's leaving is seen at once, and the request is then called off.
pub(super) fn response(shared: &Arc<Shared>, caller: &Caller, asked: Asked) -> Response<Body> {
    let (pieces, receiver) = channel(WAITING);
    let keep_alive = KeepAlive::new().interval(shared.options.limits.keep_alive);
    let (shared, id) = (shared.clone(), caller.id.clone());
    tokio::spawn(async move {
        let Asked { begun, deadline, .. } = asked;
        let sent = tokio::select! {
            () = pieces.closed() => Err(Cut::Left),
            // A client who does not read is given up, too.
            sent = timeout_at(deadline + Duration::from_secs(1), send(&shared, asked, &pieces)) => {
                sent.unwrap_or(Err(Cut::Late))
            }
        };
        let (outcome, told) = match sent {
            Ok(()) => ("finished", None),
            Err(Cut::Left) => ("left", None),
            Err(Cut::Late) => ("timed_out", Some(ApiError::timeout())),
            Err(Cut::Failed(error)) => ("failed", Some(error)),
        };
        shared.metrics.streamed(outcome);
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        tracing::info!(request = %id, outcome, ms, "streamed");
        if let Some(error) = told {
            let _ = pieces.send(error.body(&id).to_string()).await;
        }
    });
    Sse::new(Pieces(receiver)).keep_alive(keep_alive).into_response()
}

/// Why a stream ended before its end.
enum Cut {
    /// The client is gone.
    Left,
    /// The time was over.
    Late,
    /// What the client is told.
    Failed(ApiError),
}

/// Sends everything up to the end of the stream.
async fn send(shared: &Shared, mut asked: Asked, pieces: &Sender<String>) -> Result<(), Cut> {
    let mut queue = Duration::ZERO;
    let put = |piece| put(pieces, asked.streaming, piece);
    put(asked.reply.first_piece()).await?;
    loop {
        let next = timeout_at(asked.deadline, asked.ticket.next()).await;
        match next.map_err(|_| Cut::Late)? {
            None => return Err(Cut::Failed(ApiError::closing())),
            Some(Err(error)) => return Err(Cut::Failed(failed(&asked, &error))),
            Some(Ok(Update::Started { waited })) => queue = waited,
            Some(Ok(Update::Event(Event::Token { text, .. }))) if !text.is_empty() => {
                put(asked.reply.text_piece(&text)).await?;
            }
            Some(Ok(Update::Event(Event::Finished(answer)))) => {
                let usage = finished(shared, &asked, &answer, queue);
                put(asked.reply.last_piece(answer.finish_reason)).await?;
                if asked.streaming == Streaming::PiecesAndUsage {
                    put(asked.reply.usage_piece(&usage)).await?;
                }
                let done = pieces.send("[DONE]".to_owned()).await;
                return done.map_err(|_| Cut::Left);
            }
            Some(Ok(Update::Event(_))) => {}
        }
    }
}

/// Where the last piece has `usage`, all have it.
async fn put(pieces: &Sender<String>, streaming: Streaming, mut piece: Value) -> Result<(), Cut> {
    if streaming == Streaming::PiecesAndUsage && piece.get("usage").is_none() {
        piece["usage"] = Value::Null;
    }
    pieces.send(piece.to_string()).await.map_err(|_| Cut::Left)
}

/// The pieces as they come.
struct Pieces(Receiver<String>);

impl Stream for Pieces {
    type Item = Result<Piece, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|piece| piece.map(|data| Ok(Piece::default().data(data))))
    }
}
