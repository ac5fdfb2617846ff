//! Damage to a whole data directory: bits flipped in every file of it, and every file cut short. Each damage is found before use, or is harmless.
//!
//! The directory was used: it has snapshots, purged logs, keys, grants, a disabled version, and blobs wrapped before. Starts
//! are the product's, up to the first good probe. `EKM_FLIPS=10000` asks for as many flips, and for every length of every
//! small file, drawn from `EKM_FLIPS_SEED` on; some are tried in the everyday command. The file `ekm-dev.toml` is one that people edit: damage
//! that leaves settings within their ranges cannot be told from an edit, and is one.

mod damage;
mod judge;
mod pairs;
mod site;
mod start;

use std::collections::BTreeMap;

use futures::StreamExt as _;

use damage::{Damage, Rng};
use judge::{Verdict, judge};
use site::{Kept, Site, change, scratch};
use start::Bench;

/// Flips of the everyday command.
const FLIPS: u64 = 150;
/// Of them in every file.
const FLIPS_IN_EACH: usize = 3;
/// From so many flips on, everything that is cheap is tried in full.
const FLIPS_FULL: u64 = 10_000;
/// Files up to here are cut at every length.
const SMALL_BYTES: usize = 128;
/// Files that are refused whatever else they hold, if the first byte is another.
const FIRST_BYTE_MATTERS: [&str; 8] = [
    "log.redb",
    "root.key",
    "replica-key.der",
    "EKM-DEV",
    "server.pem",
    "operator-key.pem",
    "officer-1-key.pem",
    "officer-2-key.pem",
];
/// What is made anew with a loss: see the test of it.
const ISSUER_KEY: &str = "issuer/issuer-key.pem";
/// Starts at once: most of one is waiting.
const AT_ONCE: usize = 4;

/// What whoever runs the tests asks of them.
#[allow(clippy::disallowed_methods, reason = "a run of tests has no settings, and cargo passes no flags of ours")]
fn asked(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().expect("what is asked for is a number"))
}

fn flips() -> u64 {
    asked("EKM_FLIPS", FLIPS)
}

/// Where the draws begin: several runs with different ones add up.
fn seed() -> u64 {
    asked("EKM_FLIPS_SEED", 0)
}

/// Judges every damage; gives how often each came to what, by the kind of file.
fn judged(bench: &Bench, site: &Site, damages: Vec<Damage>) -> BTreeMap<(String, Verdict), usize> {
    let judging = futures::stream::iter(damages)
        .map(|damage| async move { (Box::pin(judge(bench, site, &damage)).await, damage) });
    let judging = judging.buffer_unordered(AT_ONCE).inspect(|(verdict, damage)| {
        if let Err(fault) = verdict {
            tell(&format!("{damage}: {fault}"));
        }
    });
    let all: Vec<_> = bench.runtimes.control.block_on(judging.collect());
    let mut counts = BTreeMap::new();
    let mut faults = Vec::new();
    tell(&format!("{} damages were judged", all.len()));
    for (verdict, damage) in all {
        match verdict {
            Ok(verdict) => *counts.entry((kind(&damage.file), verdict)).or_default() += 1,
            Err(fault) => faults.push(format!("{damage}\n    {fault}")),
        }
    }
    assert!(faults.is_empty(), "{} were neither found nor harmless:\n{}", faults.len(), faults.join("\n"));
    counts
}

/// Whoever asks for thousands wants to see what they come to.
#[allow(clippy::print_stdout, reason = "a test speaks through its output, which cargo keeps unless it is asked for")]
fn tell(text: &str) {
    println!("{text}");
}

/// A file without the numbers in its name.
fn kind(file: &str) -> String {
    let (folder, name) = file.rsplit_once('/').map_or(("", file), |(folder, name)| (folder, name));
    match folder.rsplit('/').next() {
        Some("snapshots") => "snapshot".to_owned(),
        Some("state") => "mirror".to_owned(),
        _ => name.to_owned(),
    }
}

fn made(bench: &Bench) -> Site {
    bench.runtimes.control.block_on(Site::make(bench))
}

/// How often damage to a kind of file came to this.
fn count(counts: &BTreeMap<(String, Verdict), usize>, kind: &str, verdict: Verdict) -> usize {
    counts.get(&(kind.to_owned(), verdict)).copied().unwrap_or_default()
}

#[test]
fn flipped_bits_of_a_data_directory_are_found_before_use_or_harmless() {
    let bench = Bench::new();
    let site = made(&bench);
    // some in every file, then wherever the seed says
    let mut rng = Rng::new(seed());
    let in_each = site.files.iter().cycle().take(FLIPS_IN_EACH * site.files.len());
    let mut damages: Vec<_> = in_each.map(|file| Damage::drawn_in(file, &mut rng)).collect();
    damages.extend((damages.len() as u64..flips()).map(|count| Damage::drawn(&site, seed() + count)));
    // a first byte matters wherever the bytes behind it, which are other ones in each run, do
    let first = |file: &&Kept| FIRST_BYTE_MATTERS.contains(&&*kind(&file.name));
    damages.extend(site.files.iter().filter(first).map(|file| Damage::flip(&file.name, 0, 7)));
    let counts = judged(&bench, &site, damages);
    tell(&format!("{counts:?}"));
    for kind in FIRST_BYTE_MATTERS {
        assert!(count(&counts, kind, Verdict::Refused) > 0, "no flip of {kind} was found");
    }
    assert!(count(&counts, "snapshot", Verdict::Harmless) > 0, "one snapshot stands in for the other");
    if flips() >= FLIPS_FULL {
        assert!(count(&counts, "mirror", Verdict::Rebuilt) > 0, "no mirror was thrown away");
    }
    for file in &site.files {
        assert!(counts.keys().any(|(known, _)| *known == kind(&file.name)), "{} was never damaged", file.name);
    }
}

#[test]
fn shortened_files_of_a_data_directory_are_found_before_use_or_harmless() {
    let bench = Bench::new();
    let site = made(&bench);
    let mut damages: Vec<_> = (0..flips() / 5).map(|count| Damage::drawn_cut(&site, seed() + count)).collect();
    // every length of the small files, or one in many of them
    let apart = if flips() >= FLIPS_FULL { 1 } else { 17 };
    for file in site.files.iter().filter(|file| file.bytes.len() <= SMALL_BYTES) {
        let first = Rng::new(file.bytes.len() as u64).below(apart);
        damages.extend((first..file.bytes.len()).step_by(apart).map(|length| Damage::cut(&file.name, length)));
    }
    // and what a file that was made and never written is
    damages.extend(site.files.iter().map(|file| Damage::cut(&file.name, 0)));
    let counts = judged(&bench, &site, damages);
    tell(&format!("{counts:?}"));
    assert!(count(&counts, "log.redb", Verdict::Refused) > 0, "no cut of a log was found");
}

#[test]
fn every_missing_file_of_a_data_directory_is_missed_before_anything_is_made_in_its_place_or_is_made_anew() {
    let bench = Bench::new();
    let site = made(&bench);
    let files = site.files.iter().filter(|file| file.name != ISSUER_KEY);
    let counts = judged(&bench, &site, files.map(|file| Damage::gone(&file.name)).collect());
    tell(&format!("{counts:?}"));
    for kind in [
        "log.redb",
        "root.key",
        "replica-key.der",
        "ca-key.pem",
        "operator-key.pem",
        "officer-1-key.pem",
        "officer-2-key.pem",
        "server-key.pem",
    ] {
        assert!(count(&counts, kind, Verdict::Refused) > 0, "{kind} was not missed");
    }
    for kind in ["server.pem", "officer-1.pem", "ca.pem", "jwks.json", "token", "dev.json", "audit.jsonl", "snapshot"] {
        assert!(count(&counts, kind, Verdict::Harmless) > 0, "{kind} is made anew, or another stands in for it");
    }
}

#[test]
fn without_its_key_the_issuer_gets_another_and_only_its_tokens_are_lost() {
    let bench = Bench::new();
    let site = made(&bench);
    let folder = scratch();
    let data = folder.path().join("data");
    site.lay_out(&data);
    std::fs::remove_file(data.join(ISSUER_KEY)).expect("it was laid out");
    bench.runtimes.control.block_on(async {
        let started = bench.start(&data).await.expect("the issuer of dev is made anew");
        let token = std::fs::read_to_string(data.join("token")).expect("the start wrote it");
        site.compare_by(&token, &started).await.expect("nothing but the tokens is another");
        let told = site.compare(&started).await.expect_err("the old token is worth nothing");
        assert!(told.contains("401"), "{told}");
        started.stop().await;
    });
}

/// The tests above could not fail if a changed directory looked like the control.
#[test]
fn a_directory_that_changed_does_not_pass_for_the_control() {
    let bench = Bench::new();
    let site = made(&bench);
    let folder = scratch();
    let data = folder.path().join("data");
    bench.runtimes.control.block_on(async {
        site.lay_out(&data);
        change(&data).await;
        let started = bench.start(&data).await.expect("a change is no damage");
        let told = site.compare(&started).await.expect_err("there is one tenant more");
        assert!(told.starts_with("the state is "), "{told}");
        started.stop().await;
    });
}
