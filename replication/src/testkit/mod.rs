//! What tests plant and control.
