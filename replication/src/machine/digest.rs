//! The digest of a state.
