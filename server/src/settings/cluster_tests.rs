//! Settings of key stores, witnesses and frontends: every mistake is told, all at once, with its place; samples read as what they show.

use replication::ids::ReplicaId;

use super::frontend::FrontendSettings;
use super::key_store::{KeyStoreSettings, Role};
use crate::authn::KeySource;
use crate::crypto::LockPolicy;
use crate::settings::mistake::Problems;

const KEY_STORE: &str = include_str!("../../../deploy/settings/keystore.toml");
const KEY_STORE_FULL: &str = include_str!("../../../deploy/settings/keystore-full.toml");
const WITNESS: &str = include_str!("../../../deploy/settings/witness.toml");
const FRONTEND: &str = include_str!("../../../deploy/settings/frontend.toml");
const FRONTEND_FULL: &str = include_str!("../../../deploy/settings/frontend-full.toml");

fn told<T: std::fmt::Debug>(read: Result<T, Problems>, text: &str) -> Vec<String> {
    read.expect_err(text).told().iter().map(ToString::to_string).collect()
}

/// The sample with this line in place of the one that gives the same field; `""` in place of the value leaves it out.
fn with(sample: &str, table: &str, line: &str) -> String {
    let (name, value) = line.split_once(" = ").expect("a field and a value");
    let mut inside = String::new();
    let lines = sample.lines().filter_map(|old| {
        if let Some(opened) = old.strip_prefix('[') {
            opened.trim_end_matches(']').clone_into(&mut inside);
        }
        match old.split_once(" = ") {
            Some((field, _)) if inside == table && field == name => (!value.is_empty()).then_some(line),
            _ => Some(old),
        }
    });
    let changed = lines.collect::<Vec<_>>().join("\n");
    assert_ne!(changed.trim(), sample.trim(), "no such line: {table}.{name}");
    changed
}

/// A sample, a table of it, a line in place of its own, and what is said.
const TABLE: &[(&str, &str, &str, &[&str])] = &[
    (KEY_STORE, "", "data_dir = ", &["data_dir: it is missing, and has no default"]),
    (KEY_STORE, "", "data_dir = \"\"", &["data_dir: an empty path names no file"]),
    (KEY_STORE, "cluster", "lineage = ", &["cluster.lineage: it is missing, and has no default"]),
    (
        KEY_STORE,
        "cluster",
        "lineage = \"0123456789ABCDEF0123456789ABCDEF\"",
        &["cluster.lineage: the lineage id is 32 lower-case hexadecimal digits"],
    ),
    (KEY_STORE, "cluster", "replica = ", &["cluster.replica: it is missing, and has no default"]),
    (KEY_STORE, "cluster", "replica = 0", &["cluster.replica: 0 is below 1"]),
    (KEY_STORE, "cluster", "replica = \"1\"", &["cluster.replica: a whole number is expected, not a string"]),
    (
        KEY_STORE,
        "cluster",
        "site = \"Site A\"",
        &[
            "cluster.site: a site is 1 to 63 characters of a-z, 0-9 and '-', begins with a letter and does not end with '-'",
        ],
    ),
    (KEY_STORE, "cluster", "role = ", &["cluster.role: it is missing, and has no default"]),
    (KEY_STORE, "cluster", "role = \"voter\"", &["cluster.role: \"voter\" is none of data, witness"]),
    (
        KEY_STORE,
        "cluster",
        "role = \"witness\"",
        &[
            "feed: a witness has none: it holds no key and answers nobody but its peers",
            "admin: a witness has none: it holds no key and answers nobody but its peers",
            "root_key: a witness has none: it holds no key and answers nobody but its peers",
        ],
    ),
    (
        WITNESS,
        "cluster",
        "role = \"data\"",
        &[
            "feed.listen: it is missing, and has no default",
            "feed.frontends_authority: it is missing, and has no default",
            "admin.listen: it is missing, and has no default",
            "admin.certificate: it is missing, and has no default",
            "admin.key: it is missing, and has no default",
            "admin.operators_authority: it is missing, and has no default",
            "root_key.file: it is missing, and has no default",
        ],
    ),
    (
        KEY_STORE,
        "peers",
        "listen = \"localhost:9001\"",
        &[
            "peers.listen: \"localhost:9001\" is no address to listen on: an IP address and a port from 1 on are expected, such as \"127.0.0.1:8443\"",
        ],
    ),
    (
        KEY_STORE,
        "peers",
        "advertise = \"ekm-1.a.example\"",
        &[
            "peers.advertise: \"ekm-1.a.example\" is no place to connect to: a host and a port from 1 on are expected, such as \"ekm-1.example:9001\"",
        ],
    ),
    (KEY_STORE, "feed", "listen = \"0.0.0.0:9001\"", &["feed.listen: 0.0.0.0:9001 is also peers.listen"]),
    (KEY_STORE, "health", "listen = \"0.0.0.0:9003\"", &["health.listen: 0.0.0.0:9003 is also admin.listen"]),
    (KEY_STORE, "admin", "operators_authority = ", &["admin.operators_authority: it is missing, and has no default"]),
    (FRONTEND, "cluster", "name = ", &["cluster.name: it is missing, and has no default"]),
    (
        FRONTEND,
        "cluster",
        "name = \"1a\"",
        &[
            "cluster.name: a frontend is 1 to 63 characters of a-z, 0-9 and '-', begins with a letter and does not end with '-'",
        ],
    ),
    (FRONTEND, "feed", "key_stores = ", &["feed.key_stores: it is missing, and has no default"]),
    (FRONTEND, "feed", "key_stores = []", &["feed.key_stores: it is missing, and has no default"]),
    (FRONTEND, "feed", "key_stores = \"1@a:1\"", &["feed.key_stores: an array of strings is expected, not a string"]),
    (
        FRONTEND,
        "feed",
        "key_stores = [\"1@a:1\", \"2@b:1\", \"1@c:1\"]",
        &["feed.key_stores: replica 1 is named twice"],
    ),
    (
        FRONTEND,
        "feed",
        "key_stores = [\"1@a:1\", \"0@b:1\"]",
        &[
            "feed.key_stores[1]: \"0@b:1\" is no key store: the number of a replica and the address of its feed are expected, such as \"1@ekm-1.example:9002\"",
        ],
    ),
    (FRONTEND, "data", "hostname = ", &["data.hostname: it is missing, and has no default"]),
    (
        FRONTEND,
        "data",
        "hostname = \"ekm.example:443\"",
        &[
            "data.hostname: \"ekm.example:443\" is no host name: letters, digits, '-' and dots are expected, 253 at most",
        ],
    ),
    (FRONTEND, "data", "audit_file = ", &["data.audit_file: it is missing, and has no default"]),
    (
        FRONTEND,
        "data",
        "audit_file = \"peer-key.pem\"",
        &["data.audit_file: the file's name must end in .jsonl: a slip must not have a key written over"],
    ),
    (
        FRONTEND,
        "data.key_set",
        "url = ",
        &["data.key_set.file: it is missing, and so is url: one of the two is needed"],
    ),
    (
        FRONTEND,
        "data.key_set",
        "url = \"http://a.example\"",
        &["data.key_set.url: the key set's address must begin with https:// unless its host is this machine"],
    ),
    (FRONTEND, "health", "listen = \"0.0.0.0:8443\"", &["health.listen: 0.0.0.0:8443 is also data.listen"]),
    (FRONTEND_FULL, "data", "locked_memory = \"no\"", &["data.locked_memory: \"no\" is none of required, preferred"]),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (sample, table, line, expected) in TABLE {
        let text = with(sample, table, line);
        let said = if sample.contains("[peers]") {
            told(KeyStoreSettings::parse(&text), &text)
        } else {
            told(FrontendSettings::parse(&text), &text)
        };
        assert_eq!(said, *expected, "{table}: {line}");
    }
}

#[test]
fn an_empty_file_is_told_all_that_it_must_give() {
    let missing = |said: Vec<String>| -> Vec<String> {
        let field = |line: &String| line.split_once(": it is missing").map(|(field, _)| field.to_owned());
        said.iter().map(|line| field(line).expect("nothing else is wrong")).collect()
    };
    let cluster = ["cluster.lineage", "cluster.replica", "cluster.site", "cluster.role"];
    let peers = ["peers.listen", "peers.advertise", "peers.certificate", "peers.key", "peers.authority"];
    let key_store: Vec<&str> = ["data_dir"].into_iter().chain(cluster).chain(peers).chain(["health.listen"]).collect();
    assert_eq!(missing(told(KeyStoreSettings::parse(""), "")), key_store);
    let frontend = [
        "cluster.lineage",
        "cluster.name",
        "cluster.site",
        "feed.key_stores",
        "feed.certificate",
        "feed.key",
        "feed.authority",
        "data.listen",
        "data.certificate",
        "data.key",
        "data.hostname",
        "data.audit_file",
        "data.key_set.file",
        "health.listen",
    ];
    assert_eq!(missing(told(FrontendSettings::parse(""), "")), frontend);
    // where a line is no TOML, what it was meant to give is not called missing
    assert_eq!(
        told(FrontendSettings::parse("[data"), "[data"),
        ["line 1, column 6: this is not TOML: unclosed table, expected `]`"]
    );
}

#[test]
fn a_role_that_is_unknown_hides_no_mistake_in_what_stands_there() {
    let text = with(KEY_STORE, "cluster", "role = \"x\"").replace("0.0.0.0:9002", "9002");
    let said = told(KeyStoreSettings::parse(&text), &text);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].starts_with("feed.listen: \"9002\" is no address"), "{said:?}");
}

#[test]
fn a_file_that_is_stamped_dev_is_refused() {
    let stamped = "dev: the file is stamped `dev = true`: `ekm dev` alone uses it, and only `ekm check --dev` takes it";
    for (stamp, said) in
        [("dev = true", stamped), ("dev = false", "dev: no such field"), ("dev = 1", "dev: no such field")]
    {
        for text in [KEY_STORE, WITNESS] {
            let text = format!("{stamp}\n{text}");
            assert_eq!(told(KeyStoreSettings::parse(&text), &text), [said]);
        }
        let text = format!("{stamp}\n{FRONTEND}");
        assert_eq!(told(FrontendSettings::parse(&text), &text), [said]);
    }
}

#[test]
fn the_samples_are_read_as_what_they_show() {
    let key_store = KeyStoreSettings::parse(KEY_STORE).expect("the sample is in order");
    assert!(matches!(&key_store.role, Role::Data { root_key, .. } if root_key.as_os_str() == "root.key"));
    assert_eq!((key_store.replica, key_store.peers.advertise.as_str()), (ReplicaId(1), "ekm-1.a.example:9001"));
    assert_eq!(key_store.to_toml(), KEY_STORE_FULL, "the full sample is what is written");
    assert_eq!(KeyStoreSettings::parse(KEY_STORE_FULL), Ok(key_store));

    let witness = KeyStoreSettings::parse(WITNESS).expect("the sample is in order");
    assert_eq!(witness.role, Role::Witness);
    let written = witness.to_toml();
    assert!(
        !written.contains("[feed]") && !written.contains("[admin]") && !written.contains("[root_key]"),
        "{written}"
    );
    assert_eq!(KeyStoreSettings::parse(&written), Ok(witness));

    let frontend = FrontendSettings::parse(FRONTEND).expect("the sample is in order");
    assert_eq!(frontend.feed.key_stores.iter().map(|one| one.replica.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(frontend.data.locked_memory, LockPolicy::Require, "keys never reach swap unless somebody says so");
    assert_eq!(frontend.to_toml(), FRONTEND_FULL, "the full sample is what is written");
    assert_eq!(FrontendSettings::parse(FRONTEND_FULL), Ok(frontend));
}

#[test]
fn relative_paths_count_from_the_folder_of_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("k.toml"), KEY_STORE).expect("the folder is writable");
    let read = KeyStoreSettings::load(&at("k.toml")).expect("the sample is in order");
    assert_eq!(read.data_dir.to_str(), Some("/var/lib/ekm/keystore"), "an absolute path stays");
    assert_eq!((read.peers.credentials.key, read.peers.authority), (at("peer-key.pem"), at("peers-ca.pem")));
    let Role::Data { feed, admin, root_key } = read.role else { panic!("the sample is of a data replica") };
    assert_eq!((feed.frontends_authority, root_key), (at("frontends-ca.pem"), at("root.key")));
    assert_eq!((admin.credentials.certificate, admin.operators_authority), (at("admin.pem"), at("operators-ca.pem")));

    let text = FRONTEND.replace("url = \"https://www.googleapis.com/oauth2/v3/certs\"", "file = \"jwks.json\"");
    std::fs::write(at("f.toml"), text.replace("/var/log/ekm/", "")).expect("the folder is writable");
    let read = FrontendSettings::load(&at("f.toml")).expect("the sample is in order");
    assert_eq!((read.feed.credentials.certificate, read.feed.authority), (at("frontend.pem"), at("peers-ca.pem")));
    let data = read.data;
    assert_eq!((data.credentials.key, data.audit_file), (at("server-key.pem"), at("audit.jsonl")));
    assert_eq!(data.key_set, KeySource::File(at("jwks.json")));
}
