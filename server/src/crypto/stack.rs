//! Key bytes that a cipher or a hash leaves on the stack: round keys that were spilled, moved or passed on lie in dead frames,
//! where no destructor reaches them, until something else happens to lie there. What runs through here has them overwritten.
//!
//! It must never replace the wiping of what a value itself holds.

use std::hint::black_box;

/// More than a use of a key takes, in bytes: a cipher's, of which half is not enough where the compiler does not optimise, and
/// RSA's, which stays below 8 KiB of it.
const USED_MAX: usize = 16 * 1024;

/// Runs `work` and overwrites the stack that it used. What it returns must hold no key bytes.
#[inline(never)]
pub(super) fn leaving_nothing<R>(work: impl FnOnce() -> R) -> R {
    let result = apart(work);
    overwrite();
    result
}

/// In a frame of its own, below which everything of `work` lies.
#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// In a frame that begins where that of [`apart`] began.
#[inline(never)]
fn overwrite() {
    black_box(&mut [0_u8; USED_MAX]);
}
