//! The Raft group, its type configuration and its host.
