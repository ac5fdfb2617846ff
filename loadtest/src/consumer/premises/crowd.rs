//! Others who take every place that a key manager has for calls in progress: granted callers whose bodies never end. They
//! hold places and do nothing else, and leave when the crowd is dropped.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::body::{Body, Frame};
use tokio::task::JoinSet;

/// More callers than places, so that a place which falls free is taken at once.
const SPARE: usize = 4;
/// The pause of one who found no place, or lost it.
const PAUSE: Duration = Duration::from_millis(5);

/// A crowd; it leaves when it is dropped.
#[derive(Debug)]
pub struct Crowd {
    _callers: JoinSet<()>,
}

impl Crowd {
    /// Sends as many callers as there are places.
    pub fn gather(http: &reqwest::Client, url: &str, authorization: &str, places: NonZeroUsize) -> Self {
        let mut callers = JoinSet::new();
        for _ in 0..places.get() + SPARE {
            callers.spawn(hold(http.clone(), url.to_owned(), authorization.to_owned()));
        }
        Self { _callers: callers }
    }
}

async fn hold(http: reqwest::Client, url: String, authorization: String) {
    loop {
        let request = http.post(&url).header(AUTHORIZATION, &authorization).header(CONTENT_TYPE, "application/json");
        // whatever ends it, refusal or time, the answer is the same: come again
        let _ = request.body(reqwest::Body::wrap(Endless::Begins)).send().await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// A body that begins well and never ends.
#[derive(Debug, PartialEq, Eq)]
enum Endless {
    Begins,
    Lasts,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if *self == Self::Lasts {
            return Poll::Pending;
        }
        *self = Self::Lasts;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(br#"{"plaintext":""#)))))
    }
}
