//! How fresh a machine's view is, what may be answered from it, and when a change counts as known to all. Pure: moments, indexes and
//! reports come in, verdicts go out; no clock, no task, no message.
//!
//! Positive answers tolerate staleness; final refusals need [`Fresh`], and nothing but a young enough [`Age`] makes one.
//!
//! **Freshness is pulled.** A key store asks the leader for a read index, a frontend asks a key store, and each counts from when it *sent*
//! its question ([`Follower`]). An answer states how old the answerer's own view was, so ages add up along the chain, and it counts
//! only once everything up to its index is applied and active here.
//!
//! **The question is the lease.** Whoever answers one notes until when the asker may be fresh by that answer, before it leaves
//! ([`Holders`]); the next question reports how far the asker has come. So a key store knows everybody who may still refuse for good by
//! its word, reports to the leader how far *all* of them are, and after its start says nothing about anybody until those whom it
//! answered before must have expired.
//!
//! **An additive change** is acknowledged when everybody who may refuse for good uses it, or when whatever did not hear of it must
//! have expired ([`Unacknowledged`]). **A restrictive one** is final on a machine only as far as its cohort has come ([`Activation`]),
//! and a **deny entry** only while no doubt about its end is possible ([`deny`]).
//!
//! `model_tests` explores these rules together: every order of questions, delays, losses, restarts, elections, a recovery and a slow clock.

mod acknowledge;
mod activation;
mod age;
pub mod deny;
mod follower;
mod holders;
#[cfg(test)]
mod model_tests;

pub use acknowledge::{Standing, Unacknowledged};
pub use activation::{Activation, Cohort, Effect, Ladder};
pub use age::{Age, FRESH_MAX, Fresh, Serving, bound};
pub use follower::{Confirmation, Finality, Follower};
pub use holders::{Holders, TERM, Term, TooManyHolders};
