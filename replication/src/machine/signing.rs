//! Who signs what.
