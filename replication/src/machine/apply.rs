//! Applies one entry.
