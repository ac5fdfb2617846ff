//! What must hold after every entry.
