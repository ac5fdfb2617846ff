//! An ext4 file system in a file, mounted through a loop device. Unmounted when it goes away; the device detaches itself then.
//!
//! Never touches a mount that it did not make.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::harness::asked;

/// Where file systems are made and mounted, so that whoever runs the tests can clear up after a test that was killed.
const FOLDER_ENV: &str = "EKM_MACHINE_FOLDER";
/// A file system may be busy for a moment after its last process has ended.
const UNMOUNT_TRIES: usize = 50;

/// A mounted file system of a fixed size.
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
    /// `loop7`.
    device: String,
}

/// A temporary folder for images and mounts.
pub(crate) fn folder() -> TempDir {
    let within = asked(FOLDER_ENV).map_or_else(std::env::temp_dir, PathBuf::from);
    TempDir::with_prefix_in("ekm-machine-", within).expect("a temporary folder can be made")
}

/// Runs a tool, which must succeed, and gives what it printed.
pub(crate) fn tool<A: AsRef<OsStr>>(name: &str, args: &[A]) -> String {
    let ended = Command::new(name).args(args).output().unwrap_or_else(|error| panic!("{name} cannot be run: {error}"));
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{name} ended with {}: {told}", ended.status);
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

impl Disk {
    /// A new file system of so many bytes, in `folder` under this name.
    pub(crate) fn new(folder: &Path, name: &str, bytes: u64) -> Self {
        let image = folder.join(format!("{name}.img"));
        File::create_new(&image).and_then(|file| file.set_len(bytes)).expect("an image can be made");
        // all at once rather than by a thread of the kernel later: what is written to the device is the test's own doing
        let at_once = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"].map(OsStr::new);
        tool("mkfs.ext4", &[&at_once[..], &[image.as_os_str()]].concat());
        Self::of(image)
    }

    /// Mounts an image; what its journal holds is replayed.
    pub(crate) fn of(image: PathBuf) -> Self {
        let mount = image.with_extension("mnt");
        std::fs::create_dir_all(&mount).expect("a place to mount at can be made");
        tool("mount", &[OsStr::new("-o"), OsStr::new("loop"), image.as_os_str(), mount.as_os_str()]);
        let source = tool("findmnt", &["-n", "-o", "SOURCE", &mount.display().to_string()]);
        let device = source.trim().strip_prefix("/dev/").expect("what is mounted is a device").to_owned();
        Self { image, mount, device }
    }

    /// The root of the file system.
    pub(crate) fn root(&self) -> &Path {
        &self.mount
    }

    /// Copies what has reached the device to another image, and nothing that only the page cache holds. Whoever writes must
    /// be stopped. The kernel may write by itself meanwhile: a copy that it wrote into is made again, because no power
    /// cut leaves such an image.
    pub(crate) fn copy(&self, to: &Path) {
        for _ in 0..UNMOUNT_TRIES {
            let before = self.written();
            tool("cp", &[OsStr::new("--sparse=always"), self.image.as_os_str(), to.as_os_str()]);
            let is_whole = before.is_some() && self.written() == before;
            if is_whole {
                return;
            }
        }
        panic!("{} is written to without an end, although its writer is stopped", self.image.display());
    }

    /// Sectors written so far; `None` while a write is under way.
    fn written(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/sys/block/{}/stat", self.device)).expect("a block device counts");
        let counts: Vec<u64> = text.split_whitespace().filter_map(|count| count.parse().ok()).collect();
        // Documentation/block/stat.rst: the seventh is sectors written, the ninth is what is in flight
        (counts[8] == 0).then_some(counts[6])
    }
}

impl Drop for Disk {
    #[allow(
        clippy::disallowed_methods,
        reason = "there is no event to await, and a value that goes away cannot await one"
    )]
    fn drop(&mut self) {
        for _ in 0..UNMOUNT_TRIES {
            let ended = Command::new("umount").arg(&self.mount).output().expect("umount can be run");
            if ended.status.success() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        // a second panic while one is under way would hide the first
        assert!(std::thread::panicking(), "{} is still busy", self.mount.display());
    }
}

#[test]
fn a_copy_holds_what_was_synced_and_not_what_only_the_page_cache_holds() {
    let folder = folder();
    let disk = Disk::new(folder.path(), "copied", 32 << 20);
    let write = |name: &str, text: &str| {
        let path = disk.root().join(name);
        std::fs::write(&path, text).expect("the file system is writable");
        path
    };
    let synced = write("synced", "kept");
    File::open(&synced).and_then(|file| file.sync_all()).expect("a file can be synced");
    File::open(disk.root()).and_then(|folder| folder.sync_all()).expect("a folder can be synced");
    write("unsynced", "lost");
    let copy = folder.path().join("copy.img");
    disk.copy(&copy);
    let copy = Disk::of(copy);
    assert_eq!(std::fs::read_to_string(copy.root().join("synced")).ok().as_deref(), Some("kept"));
    assert_ne!(std::fs::read_to_string(copy.root().join("unsynced")).ok().as_deref(), Some("lost"));
}

#[test]
fn a_file_system_is_unmounted_and_its_device_detached_when_it_goes_away() {
    let folder = folder();
    let disk = Disk::new(folder.path(), "gone", 8 << 20);
    let (mount, device) = (disk.root().to_owned(), disk.device.clone());
    let mounts = || std::fs::read_to_string("/proc/self/mounts").expect("the kernel lists mounts");
    assert!(mounts().contains(&mount.display().to_string()));
    drop(disk);
    assert!(!mounts().contains(&mount.display().to_string()));
    // another test may have got the device by now
    let backing = std::fs::read_to_string(format!("/sys/block/{device}/loop/backing_file")).unwrap_or_default();
    assert!(!backing.contains("gone.img"), "{backing}");
}
