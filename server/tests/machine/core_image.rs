//! An image of a busy server's memory, as a debugger or a crash would leave it, searched for the key material that the server
//! was made to use, and for material that it was made to import. The arena is left out of dumps by the kernel; this finds copies
//! of keys that lie anywhere else.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use replication::raft::group::SnapshotLimits;
use server::crypto::{Draw, Entropy, EntropyError, SystemEntropy};
use server::dev::Chosen;
use tokio::sync::mpsc::Receiver;

use super::cases::said;
use super::disk::{folder, tool};
use super::google::Protocol;
use super::harness::{Dev, Process, ekmctl, soon};
use super::imports::Importer;
use super::ledger::{Ledger, STEADY};
use super::rng::Rng;
use super::scene::{Scene, ensure_tenants};
use super::search::Search;
use super::serve::{block_on, server, serves};
use super::worker::Event;

/// What is wrapped once, long before the image is taken.
const PLAINTEXT: &[u8; 32] = b"customer \xd9\xe1\xf7 finished plaintext!";
/// Answers between two images.
const EVENTS_BEFORE: usize = 60;
/// Images that may not all show a key. A thread that is stopped in the midst of a cipher has its round keys on the stack and in
/// registers, which is chance, and at rest a matter of the health probe alone; a copy that stays behind is in all of them.
const IMAGES_AT_WORK: usize = 3;
const IMAGES_AT_REST: usize = 2;
const PAGE: usize = 4096;
/// Tasks that wrap.
const WRAPPERS: usize = 4;

/// The only thing that the server makes keys of: root key, tenant keys and key material. Reckoned where it is drawn: a copy
/// that the test itself keeps in the server's memory would be found.
struct Reckoned;

impl Reckoned {
    fn byte(at: usize) -> u8 {
        u8::try_from(at % 256).expect("a remainder of 256").wrapping_mul(0x6b).wrapping_add(0xd1).rotate_left(3)
    }
}

impl Entropy for Reckoned {
    fn fill(&self, draw: Draw, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if draw != Draw::Material {
            return SystemEntropy.fill(draw, bytes);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = Self::byte(at);
        }
        Ok(())
    }
}

/// What is imported, reckoned for the same reason.
fn imported() -> [u8; 32] {
    std::array::from_fn(|at| Reckoned::byte(at).wrapping_mul(0x2d).rotate_left(5) ^ 0x5c)
}

/// Imports [`imported`] and has the server use it.
async fn import(scene: &Scene) {
    let tenant = STEADY.parse().expect("a legal tenant name");
    let importer = Importer { admin: &scene.admin, tenant, folder: &scene.dev.folder };
    let material = importer.wrapped(&imported()).await;
    let made = importer.ask(importer.key("bought", &material)).await.expect("the material is imported");
    let path = made.path.expect("what was imported has a path");
    let grant = ["grant", "all", "--tenant", STEADY, "--key", "bought", "--caller", server::dev::CALLER];
    let granted = ekmctl(&scene.dev.folder, &grant).await;
    assert_eq!(granted.code, Some(0), "{}", granted.err);
    let wrapped = scene.google.settled_wrap(&path, &STANDARD.encode(PLAINTEXT)).await.expect("an answer");
    assert_eq!(wrapped.status, 200, "{wrapped:?}");
}

#[test]
fn an_image_of_a_busy_server_holds_no_key_material() {
    let chosen = Chosen { entropy: Arc::new(Reckoned), snapshots: SnapshotLimits::default() };
    if !serves(chosen) {
        block_on(search_images());
    }
}

/// What of a server's memory an image holds.
enum Extent {
    /// What the kernel writes when a process crashes.
    Dumped,
    /// All of it, the arena too.
    All,
}

/// Takes an image. The process stands still meanwhile, and goes on.
fn image(pid: u32, extent: &Extent, to: &Path) -> Vec<u8> {
    let excluded = match extent {
        Extent::Dumped => "set dump-excluded-mappings off",
        Extent::All => "set dump-excluded-mappings on",
    };
    let generate = format!("generate-core-file {}", to.display());
    let commands = ["set auto-load off", "set auto-solib-add off", excluded, &generate];
    let mut args = vec!["-nx".to_owned(), "-batch".to_owned(), "-p".to_owned(), pid.to_string()];
    args.extend(commands.iter().flat_map(|command| ["-ex".to_owned(), (*command).to_owned()]));
    tool("gdb", &args);
    let bytes = written_pages(to).expect("the debugger has written an image");
    std::fs::remove_file(to).expect("an image can be removed");
    bytes
}

/// The pages of an image that are not zero, in their order: most of it is address space that nobody has touched.
fn written_pages(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut pages = Vec::new();
    let mut page = [0; PAGE];
    loop {
        let mut length = 0;
        while length < PAGE {
            match file.read(&mut page[length..])? {
                0 => break,
                read => length += read,
            }
        }
        if page[..length] != [0; PAGE][..length] {
            pages.extend_from_slice(&page[..length]);
        }
        if length < PAGE {
            return Ok(pages);
        }
    }
}

/// An image beside the tasks that go on working and telling.
async fn image_of(
    scene: &Scene,
    extent: Extent,
    to: PathBuf,
    told: &mut Receiver<Event>,
    ledger: &mut Ledger,
) -> Vec<u8> {
    let pid = scene.dev.process.pid();
    let mut taking = tokio::task::spawn_blocking(move || image(pid, &extent, &to));
    loop {
        tokio::select! {
            taken = &mut taking => return taken.expect("an image is taken"),
            Some(event) = told.recv() => ledger.take(event),
        }
    }
}

/// A server of this test's own randomness that has wrapped and unwrapped [`PLAINTEXT`] once.
async fn start(data: &Path) -> Scene {
    let name = "core_image::an_image_of_a_busy_server_holds_no_key_material";
    let scene = Scene::of(Dev::of(Process::start(&mut server(name, data)), data).await, Protocol::Http2);
    let path = &scene.dev.file.key_path;
    let wrapped = scene.google.settled_wrap(path, &STANDARD.encode(PLAINTEXT)).await.expect("an answer");
    let unwrapped = scene.google.settled_unwrap(path, wrapped.text("wrappedBlob")).await.expect("an answer");
    assert_eq!(unwrapped.text("plaintext"), STANDARD.encode(PLAINTEXT));
    scene
}

async fn search_images() {
    let folder = folder();
    let scene = start(&folder.path().join("ekm-dev")).await;
    let key = Search::new(&std::array::from_fn::<u8, 32, _>(Reckoned::byte));
    let path = Search::new(scene.dev.file.key_path.as_bytes());
    let mut ledger = Ledger::default();
    ensure_tenants(&scene.admin, &mut ledger).await;
    import(&scene).await;
    let brought = Search::new(&imported());
    let (mut tasks, mut told) = scene.work(&ledger, "i", WRAPPERS, &mut Rng::new(7));
    let token = std::fs::read_to_string(&scene.dev.file.token_file).expect("the token file is there");
    let token = token.rsplit_once('.').expect("a token has three parts").1;
    let at = |name: &str| folder.path().join(name);
    let (mut busy, mut rest, mut brought_in) = (Vec::new(), Vec::new(), Vec::new());
    for serial in 0..IMAGES_AT_WORK {
        for _ in 0..EVENTS_BEFORE {
            ledger.take(soon("work to be done", told.recv()).await.expect("the server goes on"));
        }
        let image = image_of(&scene, Extent::Dumped, at(&format!("busy-{serial}")), &mut told, &mut ledger).await;
        assert!(!path.find("image", &image).is_empty(), "the search finds what is known to be in memory");
        busy.push(key.find("busy", &image).len());
        brought_in.push(brought.find("busy", &image).len());
    }
    tasks.abort_all();
    while let Some(event) = told.recv().await {
        ledger.take(event);
    }
    while tasks.join_next().await.is_some() {}
    for serial in 0..IMAGES_AT_REST {
        let image = image_of(&scene, Extent::Dumped, at(&format!("rest-{serial}")), &mut told, &mut ledger).await;
        rest.push(key.find("rest", &image).len());
        brought_in.push(brought.find("rest", &image).len());
        // for the record: a customer's bytes and tokens are not wiped from the buffers of TLS and HTTP
        let plaintext = Search::new(PLAINTEXT).find("rest", &image).len();
        let token = Search::new(token.as_bytes()).find("rest", &image).len();
        said(&format!(
            "{} bytes of memory; spellings of a finished request's plaintext {plaintext}, token {token}",
            image.len()
        ));
    }
    let whole = image_of(&scene, Extent::All, at("whole"), &mut told, &mut ledger).await;
    for search in [&key, &brought] {
        let found = search.find("whole", &whole);
        assert!(!found.is_empty(), "the arena holds the keys, and an image that has the arena shows them");
    }
    said(&format!(
        "spellings of key material in images at work {busy:?}, at rest {rest:?}, of imported material {brought_in:?}; {}",
        ledger.summary()
    ));
    assert!(busy.contains(&0) && rest.contains(&0), "a copy of a key stays behind: at work {busy:?}, at rest {rest:?}");
    // it is used once, before the first image, so that no thread is found in the midst of it
    assert!(brought_in.iter().all(|found| *found == 0), "imported material stays behind: {brought_in:?}");
}
