//! How the replicas of a cluster reach each other: gRPC over mutual TLS, checked before anything is looked at.
//!
//! Carries what a group says as bytes, and knows nothing of Raft: who may speak is judged here (`identity`, `tls`, `header`),
//! what is said in [`crate::raft`]. Everything named tonic, prost or rustls is here.

pub(crate) mod accept;
mod carried;
pub mod connections;
pub(crate) mod dial;
pub mod header;
pub mod identity;
pub mod limits;
pub mod listener;
pub mod listening;
pub(crate) mod places;
mod receiving;
mod service;
mod shipping;
#[cfg(test)]
pub(crate) mod tests;
pub mod tls;
mod verify;

/// The messages, as `build.rs` makes them of `proto/peer.proto`.
mod wire {
    #![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications)]
    tonic::include_proto!("ekm.peer.v1");
}
