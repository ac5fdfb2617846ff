//! Every seed of every target, and every input that once crashed one, is replayed with the everyday tests; no fuzzing engine and
//! no special compiler is needed.

use std::fs;
use std::path::PathBuf;

use fuzz::seeds;
use fuzz::targets::TARGETS;

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn every_target_holds_for_every_committed_input() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let folder = corpus(target.name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut replayed = 0;
        for file in files {
            let path = file.expect("an entry of the repository can be read").path();
            let input = fs::read(&path).expect("a seed can be read");
            if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
                broken.push(path);
            }
            replayed += 1;
        }
        assert!(replayed > 0, "{} is empty", folder.display());
    }
    assert!(broken.is_empty(), "what their targets assert does not hold for {broken:#?}");
}

#[test]
fn committed_seeds_are_those_of_this_release() {
    let made = seeds::all();
    assert!(made.iter().map(|(name, _)| *name).eq(TARGETS.map(|target| target.name)));
    for (target, inputs) in made {
        for (number, input) in inputs.iter().enumerate() {
            let path = corpus(target).join(seeds::file_name(number));
            let committed = fs::read(&path).unwrap_or_default();
            assert!(
                committed == *input,
                "{} is not what this code makes: run `cargo run -p fuzz --features targets --example seeds`",
                path.display()
            );
        }
    }
}
