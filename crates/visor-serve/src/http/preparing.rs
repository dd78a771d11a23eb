//! What is done for a request before it is queued: pictures are fetched, words encoded, pictures
//! decoded.
//!
//! What takes memory or a processor for long is waited for in turn, by a bounded number of
//! requests, and always in the same order: a body's bytes, fetched pictures, pixels, a decoder. Who
//! has one of them never waits for an earlier one. Words alone wait for none but the first.

use super::door::Caller;
use super::state::{FETCHES, Served, Shared};
use crate::api::PictureSource;
use crate::engine::{Client, Gate, GateError, Share};
use crate::error::ApiError;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use visor::{Cancel, Error, Prepared, Question};

const MIB: u64 = 1 << 20;

/// A request that is being prepared.
pub(super) struct Preparing<'a> {
    pub(super) shared: &'a Shared,
    pub(super) served: &'a Served,
    pub(super) caller: &'a Caller,
    pub(super) cancel: &'a Cancel,
    pub(super) deadline: Instant,
}

/// A request that may be queued.
pub(super) struct Ready {
    pub(super) prepared: Prepared,
    /// Memory of its pixels.
    pub(super) pixels: Option<Share>,
    /// A short name of its first picture.
    pub(super) affinity: Option<String>,
}

impl Preparing<'_> {
    /// `body` is the memory of the body that the pictures came in. It is held, as that of fetched
    /// pictures is, until they are decoded: by the thread that works on them, even if nobody waits
    /// for it any more.
    pub(super) async fn run(
        &self,
        question: Question,
        pictures: Vec<PictureSource>,
        body: Share,
    ) -> Result<Ready, ApiError> {
        let (pictures, files) = self.files(pictures, body).await?;
        let affinity = pictures.first().map(|bytes| name(bytes));
        let question = pictures.into_iter().fold(question, Question::picture_bytes);
        let model = self.served.model.clone();
        let (planned, files) = self.work(move || (model.plan(question), files)).await?;
        let planned = planned.map_err(|error| self.refused(error))?;
        self.served.engine.expect_room(planned.kv_bytes())?;
        let model = self.served.model.clone();
        if planned.pixel_bytes() == 0 {
            // There is nothing to decode.
            let prepared = model.lay_out(planned).map_err(|error| self.refused(error))?;
            return Ok(Ready { prepared, pixels: None, affinity });
        }
        let pixels = self.pass(&self.shared.pixels, planned.pixel_bytes()).await?;
        let decoder = self.pass(&self.shared.decoders, 1).await?;
        let work = move || {
            let _held = (files, decoder);
            (model.lay_out(planned), pixels)
        };
        let (prepared, pixels) = self.work(work).await?;
        let prepared = prepared.map_err(|error| self.refused(error))?;
        Ok(Ready { prepared, pixels: Some(pixels), affinity })
    }

    /// The files of all pictures, and the memory that they take.
    async fn files(
        &self,
        pictures: Vec<PictureSource>,
        body: Share,
    ) -> Result<(Vec<Vec<u8>>, Vec<Share>), ApiError> {
        let is_remote = |picture: &&PictureSource| matches!(picture, PictureSource::Remote(_));
        let (mut held, remote) = (vec![body], pictures.iter().filter(is_remote).count() as u64);
        let fetcher = match &self.shared.options.remote {
            None if remote > 0 => return Err(fetches_none()),
            fetcher => fetcher.clone(),
        };
        if remote == 0 {
            let bytes = pictures.into_iter().filter_map(|picture| match picture {
                PictureSource::Bytes(bytes) => Some(bytes),
                PictureSource::Remote(_) => None,
            });
            return Ok((bytes.collect(), held));
        }
        held.push(self.pass(&self.shared.fetches, remote.min(FETCHES)).await?);
        let cancel = self.cancel.clone();
        let file = move |picture| match (picture, &fetcher) {
            (PictureSource::Bytes(bytes), _) => Ok(bytes),
            _ if cancel.is_cancelled() => Err(ApiError::closing()),
            (PictureSource::Remote(url), Some(fetcher)) => fetcher.fetch(&url),
            (PictureSource::Remote(_), None) => Err(fetches_none()),
        };
        let work = move || (pictures.into_iter().map(file).collect::<Result<_, _>>(), held);
        let (files, held) = self.work(work).await?;
        Ok((files?, held))
    }

    /// Waits in turn for a part of what there is only so much of.
    async fn pass(&self, gate: &Gate, amount: u64) -> Result<Share, ApiError> {
        let passed = timeout_at(self.deadline, gate.pass(Client(self.caller.client), amount)).await;
        match passed.map_err(|_| ApiError::timeout())? {
            Ok(share) => Ok(share),
            Err(GateError::TooMuch { asked, whole }) => Err(too_many_pixels(asked, whole)),
            Err(GateError::Full { .. }) => Err(self.served.engine.refuse().into()),
        }
    }

    /// Does what blocks a thread.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let done = timeout_at(self.deadline, spawn_blocking(work)).await;
        done.map_err(|_| ApiError::timeout())?.map_err(|_| {
            tracing::error!(request = %self.caller.id, "preparing a request panicked");
            ApiError::internal()
        })
    }

    /// What the client is told of an error. The log has what he is not told: of the server's own
    /// errors, none of which quotes a prompt.
    fn refused(&self, error: Error) -> ApiError {
        let said = error.to_string();
        let shown = ApiError::from(error);
        if shown.status == 500 {
            tracing::error!(request = %self.caller.id, error = said, "a request was not prepared");
        }
        shown
    }
}

fn fetches_none() -> ApiError {
    let message = "this server fetches no pictures; send them as data URLs";
    let error = ApiError::invalid("image_url.url", message);
    ApiError { code: "remote_images_off", ..error }
}

fn too_many_pixels(asked: u64, whole: u64) -> ApiError {
    let message = format!(
        "the pictures of this request become {} MiB of pixels, and there is room for {} MiB of all \
         requests: send fewer or smaller pictures, or ask for less detail",
        asked.div_ceil(MIB),
        whole / MIB
    );
    let error = ApiError::new(413, "too_many_pixels", message);
    ApiError { param: Some("messages".to_owned()), ..error }
}

/// A short name of a picture.
fn name(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
