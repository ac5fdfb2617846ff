//! The admin API: what an operator may ask over mTLS, and how it is carried out.
//!
//! A request is signed by its operator and stands in the log as it came. This listener's word counts for nothing:
//! every replica verifies the signature again when it applies the entry.

pub mod client;
mod operator;
mod queries;
pub mod routes;
pub mod wire;
