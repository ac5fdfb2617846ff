//! Tokens whose signature has been verified, by their hash: a token lives up to an hour and arrives on many calls.
//!
//! Never holds a token's bytes, and never answers whether a token is good *now*: times, issuer and audience are judged
//! on every call from the claims kept here. An entry counts under one set of keys only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest;
use moka::sync::Cache;
use replication::ids::Email;

/// Most tokens remembered.
pub const VERIFIED_TOKENS_MAX: u64 = 100_000;
/// How long one is remembered: no token is good for longer than an hour and two minutes.
const REMEMBERED_FOR: Duration = Duration::from_mins(62);

/// What a verified token said. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VerifiedClaims {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) email: Email,
    pub(super) issued_at: u64,
    pub(super) not_before: Option<u64>,
    pub(super) expires_at: u64,
}

/// A token's SHA-256 and the number of the key set that verified it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    sha256: [u8; 32],
    epoch: u64,
}

impl TokenKey {
    pub(super) fn new(token: &str, epoch: u64) -> Self {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        Self { sha256: hash.as_ref().try_into().expect("SHA-256 is 32 bytes"), epoch }
    }
}

/// The cache, and how often it helped.
#[derive(Debug)]
pub struct VerifiedTokens {
    tokens: Cache<TokenKey, Arc<VerifiedClaims>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        let tokens = Cache::builder().max_capacity(VERIFIED_TOKENS_MAX).time_to_live(REMEMBERED_FOR).build();
        Self { tokens, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }
}

impl VerifiedTokens {
    pub(super) fn find(&self, key: &TokenKey) -> Option<Arc<VerifiedClaims>> {
        let found = self.tokens.get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn remember(&self, key: TokenKey, claims: Arc<VerifiedClaims>) {
        self.tokens.insert(key, claims);
    }

    /// Tokens found, since the start.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Tokens not found and hence verified in full, since the start.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}
