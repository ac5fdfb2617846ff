//! A hardened process leaves no core dump and cannot be traced. In a process of its own, because it cannot be undone.

use rustix::process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit};

#[test]
fn a_hardened_process_leaves_no_core_dump() {
    server::crypto::harden_process().expect("a process may always restrict itself");
    assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    assert_eq!(dumpable_behavior().expect("readable"), DumpableBehavior::NotDumpable);
}
