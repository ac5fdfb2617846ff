//! Between the words of a group and the messages on the wire: kinds, refusals, answers.
//!
//! Pure. Never takes an answer of a newer format, and never hands on a text that a terminal would obey.

use super::header::{self, HeaderError};
use super::limits::FORMAT;
use super::wire;
use crate::causes;
use crate::raft::answering::AnswerError;
use crate::raft::network::{AskError, Kind};

/// Longest text of a refusal that is kept, in characters.
const TEXT_MAX: usize = 512;

/// What a replica said when it refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    pub(super) reason: wire::Reason,
    text: String,
}

pub(super) fn to_wire(kind: Kind) -> wire::Kind {
    match kind {
        Kind::Hello => wire::Kind::Hello,
        Kind::PreVote => wire::Kind::PreVote,
        Kind::Vote => wire::Kind::Vote,
        Kind::Append => wire::Kind::Append,
        Kind::Transfer => wire::Kind::Transfer,
        Kind::ReadIndex => wire::Kind::ReadIndex,
        Kind::Propose => wire::Kind::Propose,
        Kind::Spread => wire::Kind::Spread,
        Kind::Deny => wire::Kind::Deny,
    }
}

pub(super) fn from_wire(kind: i32) -> Option<Kind> {
    match wire::Kind::try_from(kind) {
        Ok(wire::Kind::Hello) => Some(Kind::Hello),
        Ok(wire::Kind::PreVote) => Some(Kind::PreVote),
        Ok(wire::Kind::Vote) => Some(Kind::Vote),
        Ok(wire::Kind::Append) => Some(Kind::Append),
        Ok(wire::Kind::Transfer) => Some(Kind::Transfer),
        Ok(wire::Kind::ReadIndex) => Some(Kind::ReadIndex),
        Ok(wire::Kind::Propose) => Some(Kind::Propose),
        Ok(wire::Kind::Spread) => Some(Kind::Spread),
        Ok(wire::Kind::Deny) => Some(Kind::Deny),
        Ok(wire::Kind::Unspecified) | Err(_) => None,
    }
}

/// Why a header's fault is told under this word.
pub(super) fn header_reason(error: &HeaderError) -> wire::Reason {
    match error {
        HeaderError::Missing | HeaderError::Malformed { .. } => wire::Reason::Malformed,
        HeaderError::NewerFormat { .. } => wire::Reason::Format,
        HeaderError::OtherCluster { .. } => wire::Reason::Cluster,
        HeaderError::OtherGeneration { .. } => wire::Reason::Generation,
        HeaderError::NotItsCertificate { .. } => wire::Reason::Certificate,
        HeaderError::OtherAddressee { .. } => wire::Reason::Addressee,
        HeaderError::NoSuchGroup { .. } => wire::Reason::Group,
        HeaderError::OtherStoreHere { .. } | HeaderError::OtherStoreThere { .. } => wire::Reason::Incarnation,
    }
}

/// The word for what a group did not answer; `None` where it may yet happen, which is no refusal.
pub(super) fn answer_reason(error: &AnswerError) -> Option<wire::Reason> {
    match error {
        AnswerError::Malformed | AnswerError::Misshapen(_) => Some(wire::Reason::Malformed),
        AnswerError::NotItsName { .. } => Some(wire::Reason::Certificate),
        AnswerError::Snapshot(_)
        | AnswerError::Outvoted { .. }
        | AnswerError::NotMember { .. }
        | AnswerError::OtherCluster { .. } => Some(wire::Reason::Snapshot),
        AnswerError::Late { .. } | AnswerError::Stopped => None,
    }
}

pub(super) fn answered(body: Vec<u8>) -> wire::Reply {
    wire::Reply { format: FORMAT, body, refusal: None }
}

pub(super) fn refusal(reason: wire::Reason, error: &(dyn std::error::Error + 'static)) -> wire::Reply {
    let text = causes::in_one_line(error);
    wire::Reply { format: FORMAT, body: vec![], refusal: Some(wire::Refusal { reason: reason.into(), text }) }
}

/// The answer in a reply.
pub(super) fn read(reply: wire::Reply) -> Result<Vec<u8>, AskError> {
    header::format(reply.format).map_err(|_| AskError::Undecodable)?;
    let Some(wire::Refusal { reason, text }) = reply.refusal else { return Ok(reply.body) };
    let reason = wire::Reason::try_from(reason).unwrap_or(wire::Reason::Unspecified);
    let text = text.chars().filter(|one| !one.is_control()).take(TEXT_MAX).collect();
    Err(AskError::Refused(std::sync::Arc::new(Refused { reason, text })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_as_itself_and_no_other_number_does() {
        for kind in [
            Kind::Hello,
            Kind::PreVote,
            Kind::Vote,
            Kind::Append,
            Kind::Transfer,
            Kind::ReadIndex,
            Kind::Propose,
            Kind::Spread,
            Kind::Deny,
        ] {
            assert_eq!(from_wire(to_wire(kind).into()), Some(kind));
        }
        for unknown in [-1, 0, 10, i32::MAX] {
            assert_eq!(from_wire(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_answer_of_a_newer_format_is_not_read() {
        let newer = wire::Reply { format: FORMAT + 1, ..answered(vec![1]) };
        assert!(matches!(read(newer), Err(AskError::Undecodable)));
        assert_eq!(read(answered(vec![1])).ok(), Some(vec![1]));
    }

    #[test]
    fn a_refusal_is_bounded_text() {
        let hostile = wire::Refusal { reason: 99, text: format!("\u{1b}[2J{}", "x".repeat(9_999)) };
        let refused = read(wire::Reply { refusal: Some(hostile), ..answered(vec![1]) });
        let Err(AskError::Refused(cause)) = refused else { panic!("{refused:?}") };
        let text = cause.to_string();
        assert!(text.len() <= TEXT_MAX && text.starts_with("[2J"), "{text}");
    }
}
