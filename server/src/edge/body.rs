//! Reads a request's body within a limit of bytes and of time. One that says that it is too long should not be read at all.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use crate::error::ServiceError;

/// Refuses a body that says that it is longer than `bytes_max`, without reading it.
///
/// # Errors
/// [`ServiceError::BodyTooLarge`].
pub fn check_length(body: &Body, bytes_max: usize) -> Result<(), ServiceError> {
    if body.size_hint().lower() > bytes_max as u64 { Err(ServiceError::BodyTooLarge(bytes_max)) } else { Ok(()) }
}

/// The whole body.
///
/// # Errors
/// [`ServiceError::BodyTooLarge`], [`ServiceError::BodyTooSlow`], or [`ServiceError::BodyBroken`] if the connection broke.
pub async fn read(body: &mut Body, bytes_max: usize, time_max: Duration) -> Result<Bytes, ServiceError> {
    match tokio::time::timeout(time_max, collect(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Fault::TooLarge)) => Err(ServiceError::BodyTooLarge(bytes_max)),
        Ok(Err(Fault::Broken)) => Err(ServiceError::BodyBroken),
        Err(_elapsed) => Err(ServiceError::BodyTooSlow(time_max)),
    }
}

/// Reads to its end, and drops, what nobody wants, within such limits.
pub async fn discard(mut body: Body, bytes_max: usize, time_max: Duration) {
    let read_out = async {
        let mut room = bytes_max;
        while let Ok(Some(piece)) = next(&mut body, room).await {
            room -= piece.len();
        }
    };
    // too long or too slow: then the connection breaks after all
    let _ = tokio::time::timeout(time_max, read_out).await;
}

enum Fault {
    TooLarge,
    Broken,
}

async fn collect(body: &mut Body, bytes_max: usize) -> Result<Bytes, Fault> {
    // nearly every body arrives as one piece, which is then taken as it is
    let Some(first) = next(body, bytes_max).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(body, bytes_max - first.len()).await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity((first.len() + second.len()) * 2);
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = next(body, bytes_max - whole.len()).await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The next piece of data, of at most `room` bytes; trailers are skipped.
async fn next(body: &mut Body, room: usize) -> Result<Option<Bytes>, Fault> {
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(|_| Fault::Broken)?.into_data() {
            return if piece.len() <= room { Ok(Some(piece)) } else { Err(Fault::TooLarge) };
        }
    }
    Ok(None)
}
