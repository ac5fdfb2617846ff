//! Where a traced program can be killed, so that every call that writes, syncs or names a file is met once.
//!
//! strace counts for each thread by itself, so the N-th call of a kind is that of the thread which comes to its N-th first.
//! A control run says which call each injection meets; those that another thread's hide are met by looking at one file alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The calls that change what a disk holds, or make it durable.
pub(crate) const KINDS: &str = "write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir";

/// A call of the control run.
#[derive(Debug)]
struct Call {
    thread: u32,
    kind: String,
    /// Below the data directory; of a call with two names, the first. `None` for what is no file there.
    file: Option<PathBuf>,
}

/// Where a run is killed: at the call of this kind that is some thread's N-th, among those on one file if it is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    kind: String,
    file: Option<PathBuf>,
    serial: usize,
}

impl Place {
    /// What strace is to be told, for a run in this data directory.
    pub(crate) fn options(&self, folder: &Path) -> Vec<String> {
        let mut options = vec![
            format!("--trace={}", self.kind),
            format!("--inject={}:signal=SIGKILL:when={}", self.kind, self.serial),
        ];
        if let Some(file) = &self.file {
            options.push(format!("--trace-path={}", folder.join(file).display()));
        }
        options
    }
}

/// Where a run like this one is to be killed so that every call on a file is met, and how many cannot be.
pub(crate) struct Plan {
    pub(crate) calls: usize,
    pub(crate) places: Vec<Place>,
    pub(crate) unmet: usize,
    /// The files that were written, synced or named.
    pub(crate) files: BTreeSet<PathBuf>,
}

impl Plan {
    /// From the tracer's log of a control run in this data directory.
    pub(crate) fn of(log: &str, folder: &Path) -> Self {
        let calls: Vec<Call> = log.lines().filter_map(|line| parse(line, folder)).collect();
        // who was first to make so many calls: of a kind, and of a kind on a file
        let mut counts: BTreeMap<(u32, &str, Option<&Path>), usize> = BTreeMap::new();
        let mut taken: BTreeSet<Place> = BTreeSet::new();
        let mut places = Vec::new();
        let mut unmet = 0;
        for call in &calls {
            let mut candidates = Vec::new();
            for file in [None, call.file.as_deref()] {
                let count = counts.entry((call.thread, &call.kind, file)).or_default();
                if candidates.is_empty() || file.is_some() {
                    *count += 1;
                    candidates.push(Place { kind: call.kind.clone(), file: file.map(Path::to_owned), serial: *count });
                }
            }
            let met: Vec<Place> = candidates.into_iter().filter(|place| taken.insert(place.clone())).collect();
            if call.file.is_none() {
                continue;
            }
            match met.into_iter().next() {
                Some(place) => places.push(place),
                None => unmet += 1,
            }
        }
        let files = calls.iter().filter_map(|call| call.file.clone()).collect();
        let calls = calls.iter().filter(|call| call.file.is_some()).count();
        Self { calls, places, unmet, files }
    }
}

/// `29556 pwrite64(18</data/groups/0/log.redb>, …`; `None` for anything but the beginning of a call.
fn parse(line: &str, folder: &Path) -> Option<Call> {
    let (thread, rest) = line.split_once(' ')?;
    let (kind, args) = rest.trim_start().split_once('(')?;
    if !KINDS.split(',').any(|known| known == kind) {
        return None;
    }
    let shown = folder.display().to_string();
    // in angle brackets behind a descriptor, or in quotes
    let at = args.find(&format!("<{shown}")).or_else(|| args.find(&format!("\"{shown}")));
    let file = at.map(|at| {
        let name = &args[at + 1 + shown.len()..];
        let end = name.find(['>', '"']).unwrap_or(name.len());
        PathBuf::from(name[..end].trim_start_matches('/'))
    });
    Some(Call { thread: thread.parse().ok()?, kind: kind.to_owned(), file })
}

#[test]
fn a_plan_meets_every_call_that_strace_can_single_out() {
    let log = "\
7 pwrite64(3</d/log>, \"redb\"..., 320, 0) = 320
7 fsync(3</d/log>) = 0
8 pwrite64(3</d/log>, \"x\", 1, 0) = 1
8 pwrite64(4</d/state/db>, \"x\", 1, 0 <unfinished ...>
8 <... pwrite64 resumed>) = 1
9 write(5<socket:[1]>, \"x\", 1) = 1
9 write(6</d/token>, \"x\", 1) = 1
9 rename(\"/d/token.draft\", \"/d/token\") = 0
8 +++ exited with 0 +++
";
    let place =
        |kind: &str, file: Option<&str>, serial| Place { kind: kind.into(), file: file.map(Into::into), serial };
    let plan = Plan::of(log, Path::new("/d"));
    let wanted = [
        place("pwrite64", None, 1),
        place("fsync", None, 1),
        // thread 8's first is hidden by thread 7's, on the same file too; its second is the first second of all
        place("pwrite64", None, 2),
        // a socket was written first
        place("write", None, 2),
        place("rename", None, 1),
    ];
    assert_eq!((plan.calls, plan.places.as_slice(), plan.unmet), (6, &wanted[..], 1));
    let hidden = "1 fsync(3</d/a>) = 0\n2 fsync(4</d/b>) = 0\n";
    let plan = Plan::of(hidden, Path::new("/d"));
    assert_eq!(plan.places, [place("fsync", None, 1), place("fsync", Some("b"), 1)]);
    let options = plan.places[1].options(Path::new("/e"));
    assert_eq!(options, ["--trace=fsync", "--inject=fsync:signal=SIGKILL:when=1", "--trace-path=/e/b"]);
}
