//! Every mistake that a settings file can hold is told, all at once, with its place; the samples read as what they show.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use replication::raft::group::Timers;

use super::file::DEV_FILE;
use super::folder::Folder;
use super::options::{Flags, SettingsFile, settings_of};
use super::ports::Ports;
use super::settings::{DevSettings, SETTINGS_FILE};
use crate::authn::KeySource;
use crate::edge::limits::ConnectionLimits;
use crate::edge::service::DataSettings;
use crate::policy::UnknownReasons;
use crate::settings::data_plane::DataPlaneSettings;
use crate::settings::file::SETTINGS_BYTES_MAX;
use crate::settings::form::Text as _;
use crate::settings::mistake::PROBLEMS_MAX;
use crate::settings::parts::UrlPath;
use crate::settings::reader::ReadBy;
use crate::wire::ErrorShape;

const FULL: &str = include_str!("../../../deploy/settings/full.toml");
const MINIMAL: &str = include_str!("../../../deploy/settings/minimal.toml");

fn mistakes(text: &str) -> Vec<String> {
    let problems = DevSettings::parse(text, ReadBy::Dev).expect_err(text);
    problems.told().iter().map(ToString::to_string).collect()
}

/// What follows the stamp, and what is said of it.
const TABLE: &[(&str, &[&str])] = &[
    ("colour = 1", &["colour: no such field"]),
    ("\"a b\\n\" = 1", &["\"a b\\n\": no such field"]),
    ("[data]\nprot = 1\n[data.limits]\nage = 1", &["data.limits.age: no such field", "data.prot: no such field"]),
    ("[frontend]\nport = 1", &["frontend: no such field"]),
    ("data = 1", &["data: a table is expected, not a whole number"]),
    ("[[data]]\nport = 1", &["data: a table is expected, not an array"]),
    ("data.port = \"8443\"", &["data.port: a whole number is expected, not a string"]),
    ("data.port = 8443.0", &["data.port: a whole number is expected, not a fraction"]),
    ("data.port = true", &["data.port: a whole number is expected, not a boolean"]),
    ("data.port = 2026-11-21", &["data.port: a whole number is expected, not a date"]),
    ("data.port.x = 1", &["data.port: a whole number is expected, not a table"]),
    ("data.port = 0", &["data.port: 0 is below 1"]),
    ("data.port = -1", &["data.port: -1 is below 1"]),
    ("data.port = 65536", &["data.port: 65536 is above 65535"]),
    ("data.port = 99999999999999999999", &["data.port: 99999999999999999999 is above 65535"]),
    ("data.limits.header_bytes_max = 12", &["data.limits.header_bytes_max: 12 is below 8192"]),
    ("health.limits.streams_max = 0x10000", &["health.limits.streams_max: 0x10000 is above 10000"]),
    ("admin.limits.age_max = \"500ms\"", &["admin.limits.age_max: 500ms is below 1s"]),
    ("admin.limits.age_max = \"25h\"", &["admin.limits.age_max: 25h is above 24h"]),
    ("admin.limits.age_max = 900", &["admin.limits.age_max: a time such as \"500ms\" is expected, not a whole number"]),
    (
        "data.body_time_max = \"soon\"",
        &["data.body_time_max: \"soon\" is no time: a whole number and ms, s, m or h are expected, such as \"500ms\""],
    ),
    (
        "data.body_time_max = \"2s\\n\\u001b[2J\"",
        &[
            "data.body_time_max: \"2s\\n\\u{1b}[2J\" is no time: a whole number and ms, s, m or h are expected, such as \"500ms\"",
        ],
    ),
    ("data.error_body = \"Status\"", &["data.error_body: \"Status\" is none of status, envelope"]),
    ("data.error_body = 1", &["data.error_body: a string is expected, not a whole number"]),
    ("data.unknown_reasons = \"\"", &["data.unknown_reasons: \"\" is none of unavailable, deny"]),
    ("data.in_progress_max = 0", &["data.in_progress_max: 0 is below 1"]),
    ("data.unsealed_max = 4294967296", &["data.unsealed_max: 4294967296 is above 1000000"]),
    ("data.audit_file = \"\"", &["data.audit_file: an empty path names no file"]),
    ("data.audit_file = \"a\\u0000b\"", &["data.audit_file: a path holds a NUL"]),
    ("data.info_paths = \"/a\"", &["data.info_paths: an array of strings is expected, not a string"]),
    (
        "data.info_paths = [\"/a\", 1, \"b\", \"/c?d\"]",
        &[
            "data.info_paths[1]: a string is expected, not a whole number",
            "data.info_paths[2]: \"b\" is no path of a URL: a slash and up to 512 bytes of visible ASCII without ? # % are expected",
            "data.info_paths[3]: \"/c?d\" is no path of a URL: a slash and up to 512 bytes of visible ASCII without ? # % are expected",
        ],
    ),
    (
        "data.info_paths = [\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]",
        &["data.info_paths: 17 are given; 16 is the most"],
    ),
    (
        "data.key_set.url = \"http://issuer.example/jwks\"",
        &["data.key_set.url: the key set's address must begin with https:// unless its host is this machine"],
    ),
    (
        "data.key_set = { file = \"a\", url = \"https://b.example\" }",
        &["data.key_set.url: it cannot be given beside file"],
    ),
    ("data.key_set.spool = \"a.spool\"", &["data.key_set.spool: it needs url"]),
    (
        "data.audit_file = \"root.key\"",
        &["data.audit_file: the file's name must end in .jsonl: a slip must not have a key written over"],
    ),
    (
        "data.key_set = { url = \"https://a.example\", spool = \"root.key\" }",
        &["data.key_set.spool: the file's name must end in .spool: a slip must not have a key written over"],
    ),
    ("admin.port = 8443", &["admin.port: 8443 is also data.port"]),
    ("data.port = 8445", &["health.port: 8445 is also data.port"]),
    (
        "[key_store.timers]\nheartbeat = \"2s\"\nelection_max = \"500ms\"",
        &[
            "key_store.timers.election_min: 500ms must be longer than heartbeat, which is 2s",
            "key_store.timers.election_max: 500ms must be longer than election_min, which is 500ms",
        ],
    ),
    (
        "data.port = 1\ndata.port = 2\ncolour = 3",
        &["line 3, column 6: this is not TOML: duplicate key", "colour: no such field"],
    ),
    (
        "data.port = \n[admin\nport = 0\n[health]\nport = 0",
        &[
            "line 2, column 13: this is not TOML: string values must be quoted, expected literal string",
            "line 3, column 7: this is not TOML: unclosed table, expected `]`",
            "health.port: 0 is below 1",
        ],
    ),
];

#[test]
fn each_mistake_is_told_with_its_place() {
    for (text, expected) in TABLE {
        assert_eq!(mistakes(&format!("dev = true\n{text}")), *expected, "{text}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "\
[data]
port = 0
colour = \"red\"
info_paths = [1]
[data.limits]
header_bytes_max = 12
age_max = \"0s\"
[admin]
port = \"x\"
[nothing]
";
    let problems = DevSettings::parse(text, ReadBy::Dev).expect_err("it holds nothing but mistakes");
    let said = "\
8 mistakes
  dev: `dev = true` is missing: files of `ekm dev` are stamped so
  data.port: 0 is below 1
  data.info_paths[0]: a string is expected, not a whole number
  data.limits.header_bytes_max: 12 is below 8192
  data.limits.age_max: 0ms is below 1s
  data.colour: no such field
  admin.port: a whole number is expected, not a string
  nothing: no such field";
    assert_eq!(problems.to_string(), said);
}

#[test]
fn a_wrong_value_is_repeated_on_one_line_and_not_without_end() {
    let text = format!("dev = true\ndata.error_body = \"\\u001b\\n{}\"", "x".repeat(10_000));
    let said = mistakes(&text).concat();
    assert!(said.starts_with("data.error_body: \"\\u{1b}\\nxxx") && said.len() < 200, "{said}");
}

#[test]
fn a_file_of_nothing_but_mistakes_is_refused_at_once() {
    let bytes = usize::try_from(SETTINGS_BYTES_MAX).expect("it fits in memory");
    let fields = (0..20_000).map(|field| format!("f{field} = 1")).collect::<Vec<_>>().join("\n");
    let said = DevSettings::parse(&fields, ReadBy::Dev).expect_err("it names unknown fields").to_string();
    assert!(said.starts_with("20001 mistakes\n") && said.ends_with("\n  and 19801 more"), "{said}");
    for part in ["[", "{", "a.", "[a.", "a={", "a=[", "=\n", "\"", "\u{feff}", "a=1\n", "[[a]]\n", "é", "\0", "[a]\nb="]
    {
        let text = part.repeat(bytes / part.len());
        for text in [text.clone(), text + "a=1"] {
            let problems = DevSettings::parse(&text, ReadBy::Dev).expect_err(part);
            assert!(problems.told().len() <= PROBLEMS_MAX, "{part}");
        }
    }
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_read_or_refused() {
    for cut in (0..FULL.len()).step_by(37).filter(|cut| FULL.is_char_boundary(*cut)) {
        // a number that is cut may be a number still
        if let Ok(read) = DevSettings::parse(&FULL[..cut], ReadBy::Dev) {
            assert_eq!(DevSettings::parse(&read.to_toml(), ReadBy::Dev), Ok(read), "cut at {cut}");
        }
    }
    for at in (0..FULL.len()).step_by(53) {
        for bit in 0..8 {
            let mut bytes = FULL.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if let Ok(read) = DevSettings::parse(&text, ReadBy::Dev) {
                assert_eq!(DevSettings::parse(&read.to_toml(), ReadBy::Dev), Ok(read), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn only_dev_takes_a_file_that_is_stamped_dev() {
    DevSettings::parse("dev = true", ReadBy::Dev).expect("the stamp is all it takes");
    let refused = |text, by| DevSettings::parse(text, by).expect_err(text).told()[0].to_string();
    let stamped = "dev: the file is stamped `dev = true`: `ekm dev` alone uses it, and only `ekm check --dev` takes it";
    let missing = "dev: `dev = true` is missing: files of `ekm dev` are stamped so";
    assert_eq!(refused("dev = true", ReadBy::Others), stamped);
    for by in [ReadBy::Dev, ReadBy::Others] {
        assert_eq!(refused("", by), missing);
        assert_eq!(refused("dev = false", by), missing);
        assert_eq!(refused("dev = 1", by), "dev: a boolean is expected, not a whole number");
    }
    let both = DevSettings::parse("dev = true\nx = 1", ReadBy::Others).expect_err("it is stamped");
    assert_eq!(both.told().len(), 2, "the stamp hides no other mistake: {both:?}");
}

#[test]
fn the_samples_read_as_the_defaults() {
    assert_eq!(DevSettings::parse(MINIMAL, ReadBy::Dev), Ok(DevSettings::default()));
    assert_eq!(DevSettings::parse(FULL, ReadBy::Dev), Ok(DevSettings::default()));
    // so the full one names every field, each with its comment, and no other
    assert_eq!(FULL, DevSettings::default().to_toml());
}

#[test]
fn every_line_of_the_full_sample_is_read() {
    let mut fields = 0;
    for (at, line) in FULL.lines().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
        let (name, _) = line.split_once(" = ").expect("it was looked for");
        let with = |other: &str| {
            FULL.lines().enumerate().map(|(n, line)| if n == at { other } else { line }).collect::<Vec<_>>().join("\n")
        };
        let renamed = mistakes(&with(&line.replacen(name, "renamed", 1)));
        assert!(renamed.iter().any(|said| said.ends_with("renamed: no such field")), "{line}: {renamed:?}");
        let wrong = mistakes(&with(&format!("{name} = 1.5")));
        assert!(
            matches!(wrong.as_slice(), [said] if said.contains(&format!("{name}: ")) && said.ends_with("not a fraction")),
            "{line}: {wrong:?}"
        );
        fields += 1;
    }
    let (own, limits, listeners) = (17, 12, 3);
    assert_eq!(fields, own + listeners * limits);
}

/// Settings that differ from the defaults in every field.
fn unusual() -> DevSettings {
    let secs = Duration::from_secs;
    let limits = |first: usize| ConnectionLimits {
        connections_max: first,
        handshake_timeout: secs(1),
        preface_timeout: secs(2),
        header_timeout: secs(3),
        header_bytes_max: 9000,
        uri_bytes_max: 300,
        streams_max: 7,
        pending_resets_max: 8,
        ping_interval: secs(4),
        ping_timeout: secs(6),
        age_max: secs(7),
        drain_max: Duration::from_millis(1001),
    };
    DevSettings {
        ports: Ports { data: 1, admin: 2, health: 3 },
        data: DataPlaneSettings {
            dialect: DataSettings {
                error_shape: ErrorShape::Envelope,
                info_paths: vec!["/a".to_owned(), "/\"b\\".to_owned()],
                body_time_max: Duration::from_millis(51),
            },
            unknown_reasons: UnknownReasons::Deny,
            in_progress_max: NonZeroUsize::MIN,
            unsealed_max: NonZeroU32::MIN,
            limits: limits(1),
        },
        audit_file: "/var/log/ü \"quoted\"\n\t'x'.jsonl".into(),
        key_set: KeySource::Url {
            url: "https://issuer.example/jwks".parse().expect("it is https"),
            spool: Some("other.spool".into()),
        },
        admin_limits: limits(2),
        health_limits: limits(3),
        look_every: secs(8),
        timers: Timers { heartbeat: secs(1), election_min: secs(2), election_max: secs(3) },
        disk_reserve_bytes: 16 * 1024 * 1024,
    }
}

#[test]
fn what_is_written_reads_as_it_was() {
    let text = unusual().to_toml();
    assert_eq!(DevSettings::parse(&text, ReadBy::Dev), Ok(unusual()), "{text}");
    // and differs from the defaults in every line that holds a field
    let default = DevSettings::default().to_toml();
    let same = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
    let key = |line: &str| line.split_once(" = ").map(|(name, _)| name.to_owned());
    let kept: Vec<&str> = same.filter(|line| default.lines().any(|other| other == *line)).collect();
    assert_eq!(kept.iter().filter_map(|line| key(line)).collect::<Vec<_>>(), ["dev"]);
    let file = DevSettings { key_set: KeySource::File("other.json".into()), ..unusual() };
    assert_eq!(DevSettings::parse(&file.to_toml(), ReadBy::Dev), Ok(file));
}

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let parent = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = Folder::take(&parent.path().join("ours")).expect("a new folder is ours");
    let flags = Flags {
        port: Some(9000),
        error_shape: Some(ErrorShape::Envelope),
        info_paths: vec![UrlPath::parse("/flag").expect("it is a path")],
    };
    let given = |flags: &Flags| settings_of(&folder, flags).expect("the settings are in order");
    let ports = |settings: &DevSettings| [settings.ports.data, settings.ports.admin, settings.ports.health];
    assert_eq!(given(&Flags::default()), (DevSettings::default(), SettingsFile::ToBeMade));
    let (first, file) = given(&flags);
    assert_eq!((ports(&first), file), ([9000, 9001, 9002], SettingsFile::ToBeMade));
    assert_eq!(first.data.dialect.info_paths, ["/flag"]);

    std::fs::write(folder.at(SETTINGS_FILE), unusual().to_toml()).expect("the folder is writable");
    assert_eq!(given(&Flags::default()), (unusual(), SettingsFile::IsThere));
    let (later, _) = given(&flags);
    assert_eq!(
        (ports(&later), later.data.dialect.info_paths.as_slice()),
        ([9000, 9001, 9002], &["/flag".to_owned()][..])
    );
    assert_eq!(later.data.in_progress_max, unusual().data.in_progress_max, "what no flag names is the file's");
    assert_eq!(ports(&given(&Flags { port: Some(0), ..Flags::default() }).0), [0, 0, 0]);

    std::fs::remove_file(folder.at(SETTINGS_FILE)).expect("it is there");
    std::os::unix::fs::symlink("nowhere", folder.at(SETTINGS_FILE)).expect("the folder is writable");
    assert!(settings_of(&folder, &flags).is_err(), "a link that leads nowhere is not taken for a first start");
}

#[test]
fn without_a_settings_file_the_ports_of_the_last_start_are_kept() {
    let parent = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = Folder::take(&parent.path().join("ours")).expect("a new folder is ours");
    let last = serde_json::json!({
        "data_url": "https://localhost:7001", "admin_url": "https://localhost:7002", "health_url": "http://127.0.0.1:7003",
        "metrics_url": "http://127.0.0.1:7003/metrics", "audience": "", "hostname": "", "ca_file": "", "key_path": "",
        "operator_cert_file": "", "operator_key_file": "", "cryptospace_path": "", "caller_email": "", "token_file": "",
        "jwks_file": "", "issuer_key_file": "", "pid": 1,
    });
    std::fs::write(folder.at(DEV_FILE), last.to_string()).expect("the folder is writable");
    let given = |flags: &Flags| settings_of(&folder, flags).expect("nothing is wrong").0.ports;
    assert_eq!(given(&Flags::default()), Ports { data: 7001, admin: 7002, health: 7003 });
    assert_eq!(given(&Flags { port: Some(7100), ..Flags::default() }).data, 7100);
}
