//! Log, vote, committed index and applied state on disk.
