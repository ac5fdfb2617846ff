//! The applied state of one group.
