//! Ages, and what may be answered at which.
