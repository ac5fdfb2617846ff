//! The driver: hands the inputs that libFuzzer makes up to the target that the argument `--target=NAME` names. One binary holds
//! all targets, so that the code under attack is linked once. Without that argument it names the targets, one a line, and ends.
//! Must never be in a release.
#![no_main]

use std::env::args;
use std::process::exit;
use std::sync::LazyLock;

use fuzz::targets::{TARGETS, Target, named};
use libfuzzer_sys::fuzz_target;

/// Wrong usage.
const USAGE: i32 = 64;

static CHOSEN: LazyLock<Target> = LazyLock::new(chosen);

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "the only thing it says before libFuzzer speaks")]
fn chosen() -> Target {
    // libFuzzer reads the arguments too, and leaves those with two dashes alone
    let Some(name) = args().find_map(|one| one.strip_prefix("--target=").map(ToOwned::to_owned)) else {
        for target in TARGETS {
            println!("{}", target.name);
        }
        exit(0);
    };
    named(&name).unwrap_or_else(|| {
        eprintln!("--target={name}: there is no such target");
        exit(USAGE);
    })
}

fuzz_target!(
    init: {
        LazyLock::force(&CHOSEN);
    },
    |input: &[u8]| {
        (CHOSEN.run)(input);
    }
);
