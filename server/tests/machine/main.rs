//! The real binary on real machinery: a file system of its own that loses power or fills up, a tracer that kills at a chosen
//! system call, a debugger that takes an image of its memory. Needs root and the tools that `deploy/ci/machine-tests` looks
//! for, so only the feature `machine-tests` builds it. Leaves no mount, no loop device and no process behind.

#[path = "../processes/google.rs"]
#[allow(dead_code, reason = "shared with the tests of processes, which use all of it")]
mod google;
#[path = "../processes/harness.rs"]
#[allow(dead_code, reason = "as above")]
mod harness;
#[path = "../processes/imports.rs"]
#[allow(dead_code, reason = "as above")]
mod imports;
#[path = "../processes/ledger.rs"]
#[allow(dead_code, reason = "as above")]
mod ledger;
#[path = "../processes/rng.rs"]
#[allow(dead_code, reason = "as above")]
mod rng;
#[path = "../processes/scene.rs"]
#[allow(dead_code, reason = "as above")]
mod scene;
#[path = "../processes/search.rs"]
#[allow(dead_code, reason = "as above")]
mod search;
#[path = "../processes/worker.rs"]
#[allow(dead_code, reason = "as above")]
mod worker;

mod calls;
mod cases;
mod core_image;
mod disk;
mod failing_sync;
mod full_disk;
mod kill_at_call;
mod power_cut;
mod serve;
mod tracer;
