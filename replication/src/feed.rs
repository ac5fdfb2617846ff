//! From an applied state to the directory.
