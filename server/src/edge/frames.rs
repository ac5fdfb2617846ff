//! A client that writes HTTP/2 frames by hand (RFC 9113), for tests of what no decent client sends. Compiled into tests only.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Static table entries of HPACK: GET, /, https; and a literal `:authority: h` that is not indexed.
const GET_ROOT: &[u8] = &[0x82, 0x84, 0x87, 0x01, 1, b'h'];

/// One frame as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code that ends a stream or a connection.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(*self.payload[at..].first_chunk().expect("such a frame holds an error code"))
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("the tests' frames are short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A whole request: GET /.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, GET_ROOT)
}

/// The beginning of a head that is never finished.
pub(crate) fn begun(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM, stream, GET_ROOT)
}

pub(crate) fn cancel(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

pub(crate) fn ping(flags: u8) -> Vec<u8> {
    frame(PING, flags, 0, b"flooding")
}

/// A header field that is not indexed, of this many bytes and a few more.
pub(crate) fn field(bytes: u8) -> Vec<u8> {
    [&[0, 1, b'x', bytes.min(126)][..], &vec![b'v'; usize::from(bytes.min(126))]].concat()
}

/// The beginning of a connection.
pub(crate) async fn greet(stream: &mut (impl AsyncWrite + Unpin)) {
    let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&greeting).await.expect("a greeting fits the socket's buffer");
}

/// The next frame; `None` once the peer has closed or cut the connection.
pub(crate) async fn next(stream: &mut (impl AsyncRead + Unpin)) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).expect("a frame fits in memory")];
    stream.read_exact(&mut payload).await.ok()?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Every frame until the peer has closed.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(frame) = next(stream).await {
        frames.push(frame);
    }
    frames
}

/// The next frame of a kind.
pub(crate) async fn until(stream: &mut (impl AsyncRead + Unpin), kind: u8) -> Option<Frame> {
    loop {
        let frame = next(stream).await?;
        if frame.kind == kind {
            return Some(frame);
        }
    }
}
