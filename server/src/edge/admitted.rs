//! A request that was let in: within the machine's limit of requests, with its body whole and its deadline set.
//!
//! Made by the edge alone, once the caller is proven. Holds bytes as they came; reads none of them.

use bytes::Bytes;
use http::Uri;
use replication::clock::Moment;

use crate::wire::RequestId;

use super::admission::Permit;
use super::deadline::Deadline;
use super::path::{Named, shown};

/// When a request arrived, and under which id it is known.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Its id.
    pub request: RequestId,
    /// When its head had been parsed.
    pub at: Moment,
}

/// A request within its limits. The place it takes is given back when it is dropped.
pub struct Admitted {
    pub(super) _permit: Permit,
    pub(super) arrival: Arrival,
    pub(super) deadline: Deadline,
    pub(super) named: Named,
    pub(super) uri: Uri,
    pub(super) body: Bytes,
}

impl Admitted {
    /// When it arrived.
    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// The moment from which its answer is of no use any more.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// What its path names.
    pub fn named(&self) -> &Named {
        &self.named
    }

    /// Its path as records show it.
    pub fn path(&self) -> &str {
        shown(self.uri.path())
    }

    /// Its body, whole.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
