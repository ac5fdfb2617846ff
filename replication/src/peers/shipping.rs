//! Sending a snapshot: announced, then in parts, each with the digest of everything up to its end.
//!
//! Holds two parts in memory. Ends when the other side answers, when the file cannot be read, or when nothing moves for as long as a
//! part may take; dropped, it breaks the stream, which the other side takes for a refusal.

use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;

use super::connections::Wire;
use super::limits::{CHUNK_BYTES, PART_WAIT_MAX};
use super::wire;
use crate::raft::network::{AskError, Shipment};

/// Parts that wait for the connection.
const PARTS_WAITING_MAX: usize = 2;

pub(super) async fn ship(mut wire: Wire, header: wire::Header, shipment: Shipment) -> Result<Vec<u8>, AskError> {
    let (parts, stream) = mpsc::channel(PARTS_WAITING_MAX);
    let sending = wire.clone();
    let calling = pin!(wire.client.snapshot(ReceiverStream::new(stream)));
    let feeding = pin!(feed(parts, header, shipment));
    match select(calling, feeding).await {
        Either::Left((reply, _)) => sending.heard(reply),
        Either::Right((Ok(()), calling)) => sending.heard(calling.await),
        Either::Right((Err(error), _)) => Err(error),
    }
}

/// Sends the file. An end of the other side is none of ours: its answer says why.
async fn feed(
    parts: mpsc::Sender<wire::Part>,
    header: wire::Header,
    Shipment { body, path }: Shipment,
) -> Result<(), AskError> {
    let unread = |error| AskError::Unreachable(Arc::new(error));
    let mut file = File::open(&path).await.map_err(unread)?;
    let bytes = file.metadata().await.map_err(unread)?.len();
    let announcement = wire::Announcement { header: Some(header), bytes, body };
    if !send(&parts, wire::part::Part::Announcement(announcement)).await? {
        return Ok(());
    }
    let (mut offset, mut digest) = (0, Sha256::new());
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await.map_err(unread)?;
        if read == 0 {
            return Ok(());
        }
        digest.update(&chunk);
        let chunk = wire::Chunk { offset, bytes: chunk, digest: digest.clone().finalize().to_vec() };
        offset += read as u64;
        if !send(&parts, wire::part::Part::Chunk(chunk)).await? {
            return Ok(());
        }
    }
}

/// Whether the other side still takes parts.
async fn send(parts: &mpsc::Sender<wire::Part>, part: wire::part::Part) -> Result<bool, AskError> {
    let sent = timeout(PART_WAIT_MAX, parts.send(wire::Part { part: Some(part) })).await;
    sent.map(|sent| sent.is_ok()).map_err(|_| AskError::Late { within: PART_WAIT_MAX })
}
