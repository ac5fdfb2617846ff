//! The admin API: what an operator may ask over mTLS, and how it is carried out.
//!
//! A request is signed by its operator and stands in the log as it came. This listener's word counts for nothing:
//! every replica verifies the signature again when it applies the entry.

mod across;
mod asked;
mod callers;
pub mod client;
pub mod cluster;
mod deny_entries;
mod explain;
mod failure;
mod handlers;
mod openapi;
mod pages;
mod people;
mod person;
mod queries;
pub mod routes;
mod standing;
pub mod switching;
pub mod wire;
#[cfg(test)]
mod world_tests;
