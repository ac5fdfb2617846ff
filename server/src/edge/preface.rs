//! The HTTP/2 preface, read before hyper is asked, because hyper has no timer for it. It must never change the bytes:
//! what was read is replayed as it came.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n` (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// A stream whose first bytes have been read already, and are handed out again.
pub(super) struct Opened<S> {
    stream: S,
    first: [u8; PREFACE_BYTES],
    replayed: usize,
}

/// Waits until as many bytes as a preface has have arrived. Whether they are one is for the HTTP/2 parser to say.
///
/// # Errors
/// The stream's own, and `UnexpectedEof` if it ends before.
pub(super) async fn read<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<Opened<S>> {
    let mut first = [0; PREFACE_BYTES];
    stream.read_exact(&mut first).await?;
    Ok(Opened { stream, first, replayed: 0 })
}

impl<S: AsyncRead + Unpin> AsyncRead for Opened<S> {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.replayed == PREFACE_BYTES {
            return Pin::new(&mut self.stream).poll_read(task, into);
        }
        let end = PREFACE_BYTES.min(self.replayed + into.remaining());
        into.put_slice(&self.first[self.replayed..end]);
        self.replayed = end;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Opened<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(task, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_is_read_again_whatever_the_size_of_the_reads() {
        let sent: Vec<u8> = (0..60).collect();
        for size in [1, 5, 24, 25, 64] {
            let mut opened = read(sent.as_slice()).await.expect("sixty bytes hold a preface");
            let mut seen = Vec::new();
            let mut part = vec![0; size];
            loop {
                let count = opened.read(&mut part).await.expect("a slice reads without errors");
                if count == 0 {
                    break;
                }
                seen.extend_from_slice(&part[..count]);
            }
            assert_eq!(seen, sent, "in reads of {size}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_the_preface_is_an_error() {
        let ended = read(&b"PRI * HTTP"[..]).await.map(|_| ()).map_err(|error| error.kind());
        assert_eq!(ended, Err(io::ErrorKind::UnexpectedEof));
    }
}
