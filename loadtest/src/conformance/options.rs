//! From the command line to a target: an address, whom to trust, who signs, which keys. Reads files, sends nothing, and says of
//! everything that cannot be used what to do instead.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use http::Uri;
use rustls::ClientConfig;
use serde::Deserialize;
use thiserror::Error;

use super::Args;
use super::case::{Case, Group, Severity};
use super::cases;
use super::scene::{Facts, GOOGLE_ISSUER};
use super::sender::Address;
use super::trust::{self, TrustError};
use crate::dev;
use crate::issuer::{Issuer, IssuerError};

/// The issuer of `ekm dev`, where its description does not name one.
const DEV_ISSUER: &str = "https://ekm-dev.invalid";
const HTTPS_PORT: u16 = 443;
/// Appended to the key's path to make one that no key has.
const UNKNOWN_END: &str = "-of-nobody";

/// Why the command line cannot be used.
#[derive(Debug, Error)]
pub enum OptionError {
    /// An option is missing.
    #[error("{option} is missing: {says}, or give --dev the data folder of a running `ekm dev`")]
    Missing { option: &'static str, says: &'static str },
    /// `--url` is no address.
    #[error("{url:?} is no address: give --url https://HOST or https://HOST:PORT, without a path")]
    Url { url: String },
    /// `--resolve` is no address.
    #[error("{address:?} is no address: give --resolve an IP address, with or without a port")]
    Resolve { address: String },
    /// A key path is no path.
    #[error("{path:?} is no path of a key: give {option} what follows the host, as v0/keys/…, without a verb")]
    KeyPath { option: &'static str, path: String },
    /// The issuer's key cannot be used.
    #[error(
        "give --issuer-key a PEM file with the RSA key (2048 bits or more) whose public half the EKM trusts for the test"
    )]
    Issuer(#[source] IssuerError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The description of `ekm dev` cannot be read.
    #[error("cannot read {}: does `ekm dev` or a cluster run on that folder?", path.display())]
    DevUnreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    /// The description of `ekm dev` is another file.
    #[error("{} is not a description of a development server", path.display())]
    DevMalformed {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
    /// `--only` or `--skip` names nothing.
    #[error("no case and no group is called {name:?}; `loadtest conformance --list` names them all{nearest}")]
    NoSuchCase { name: String, nearest: String },
    /// Every case was left out.
    #[error("--only, --skip and --level leave no case to try")]
    NothingLeft,
    /// `--output` asks for a table of what was tried.
    #[error("--output markdown prints the table of cases: give --list too, or choose text, json or junit")]
    MarkdownWithoutList,
}

/// Everything a run needs.
pub struct Target {
    pub address: Address,
    pub tls: ClientConfig,
    pub facts: Facts,
    pub issuer: Issuer,
    /// As it was given.
    pub url: String,
}

/// What `dev.json` says, as far as it counts here.
#[derive(Deserialize)]
struct DevFile {
    data_url: String,
    audience: String,
    ca_file: PathBuf,
    key_path: String,
    caller_email: String,
    issuer_key_file: PathBuf,
    #[serde(default)]
    issuer: Option<String>,
}

/// Puts the target together: what the options say, and else what the development server says.
///
/// # Errors
/// See [`OptionError`].
pub fn target(args: &Args) -> Result<Target, OptionError> {
    let dev = args.dev.as_deref().map(read_dev).transpose()?;
    let dev = dev.as_ref();
    let missing = |option, says| OptionError::Missing { option, says };
    let either =
        |given: &Option<String>, other: fn(&DevFile) -> &String| given.clone().or_else(|| dev.map(other).cloned());

    let url = either(&args.url, |dev| &dev.data_url).ok_or(missing("--url", "it says where the EKM is"))?;
    let address = address(&url, args.resolve.as_deref())?;
    let key_path = either(&args.key_path, |dev| &dev.key_path);
    let key_path = key_path.ok_or(missing("--key-path", "it says which key is used, as v0/keys/…"))?;
    let key_path = path_of("--key-path", &key_path)?;
    let email = either(&args.email, |dev| &dev.caller_email);
    let email = email.ok_or(missing("--email", "it says whom the EKM lets use the key"))?;
    let issuer = issuer_of(args, dev)?;
    let dev_issuer = |dev: &DevFile| dev.issuer.clone().unwrap_or_else(|| DEV_ISSUER.to_owned());
    let optional = |option, path: &Option<String>| path.as_deref().map(|path| path_of(option, path)).transpose();
    let ca = args.ca.clone().or_else(|| dev.map(|dev| dev.ca_file.clone()));
    let facts = Facts {
        second_key_path: optional("--second-key-path", &args.second_key_path)?,
        disabled_key_path: optional("--disabled-key-path", &args.disabled_key_path)?,
        unknown_key_path: optional("--unknown-key-path", &args.unknown_key_path)?
            .unwrap_or_else(|| unknown_beside(&key_path)),
        // the port never belongs to it
        audience: either(&args.audience, |dev| &dev.audience).unwrap_or_else(|| format!("https://{}", address.host)),
        issuer: args.issuer.clone().or_else(|| dev.map(dev_issuer)).unwrap_or_else(|| GOOGLE_ISSUER.to_owned()),
        key_path,
        email,
    };
    Ok(Target { address, tls: trust::client_config(ca.as_deref())?, facts, issuer, url })
}

/// Who signs, whatever else is missing.
///
/// # Errors
/// If there is no key to sign with.
pub fn issuer(args: &Args) -> Result<Issuer, OptionError> {
    let dev = args.dev.as_deref().map(read_dev).transpose()?;
    issuer_of(args, dev.as_ref())
}

fn issuer_of(args: &Args, dev: Option<&DevFile>) -> Result<Issuer, OptionError> {
    let key = args.issuer_key.clone().or_else(|| dev.map(|dev| dev.issuer_key_file.clone()));
    let says = "it is the RSA key that tokens are signed with";
    let key = key.ok_or(OptionError::Missing { option: "--issuer-key", says })?;
    Issuer::load(&key, args.key_id.clone()).map_err(OptionError::Issuer)
}

/// The cases that are to be tried, in their order.
///
/// # Errors
/// If a name is unknown, or nothing is left.
pub fn chosen(args: &Args) -> Result<Vec<&'static Case>, OptionError> {
    for name in args.only.iter().chain(&args.skip) {
        let is_known = cases::all().any(|case| is_named(case, name));
        if !is_known {
            return Err(OptionError::NoSuchCase { name: name.clone(), nearest: nearest(name) });
        }
    }
    let wanted = |case: &&Case| {
        (args.only.is_empty() || args.only.iter().any(|name| is_named(case, name)))
            && !args.skip.iter().any(|name| is_named(case, name))
            && case.severity <= Severity::from(args.level)
    };
    let chosen: Vec<_> = cases::all().filter(wanted).collect();
    if chosen.is_empty() { Err(OptionError::NothingLeft) } else { Ok(chosen) }
}

fn is_named(case: &Case, name: &str) -> bool {
    case.name == name || case.group.name() == name
}

/// Names that share a word with the one that is not there.
fn nearest(name: &str) -> String {
    let words: Vec<&str> = name.split(['-', '_', ' ']).filter(|word| word.len() > 3).collect();
    let names = cases::all().map(|case| case.name).chain(Group::ALL.map(Group::name));
    let near: Vec<&str> = names.filter(|known| words.iter().any(|word| known.contains(word))).collect();
    if near.is_empty() { String::new() } else { format!("; perhaps {}", near.join(", ")) }
}

fn address(url: &str, resolve: Option<&str>) -> Result<Address, OptionError> {
    let refused = || OptionError::Url { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| refused())?;
    let is_plain = uri.scheme_str() == Some("https")
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let host = uri.host().filter(|host| is_plain && !host.is_empty()).ok_or_else(refused)?;
    let port = uri.port_u16().unwrap_or(HTTPS_PORT);
    let instead = resolve.map(|text| resolved(text, port)).transpose()?;
    Ok(Address { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port, instead })
}

fn resolved(text: &str, port: u16) -> Result<SocketAddr, OptionError> {
    let ip = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = ip.map(|ip| SocketAddr::new(ip, port)).or_else(|_| text.parse());
    address.map_err(|_| OptionError::Resolve { address: text.to_owned() })
}

fn path_of(option: &'static str, path: &str) -> Result<String, OptionError> {
    let plain = path.trim_start_matches('/');
    let is_path = !plain.is_empty()
        && !path.contains("://")
        && !plain.ends_with('/')
        && ![":wrap", ":unwrap"].iter().any(|verb| plain.ends_with(verb))
        && plain.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte));
    if is_path { Ok(plain.to_owned()) } else { Err(OptionError::KeyPath { option, path: path.to_owned() }) }
}

/// A path like the key's that no key has: where it ends in hex digits, other ones, so that it is well formed there.
fn unknown_beside(key_path: &str) -> String {
    let (folder, name) = key_path.rsplit_once('/').map_or(("", key_path), |(folder, name)| (folder, name));
    let is_hex = name.len() >= 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let other = if is_hex { "5".repeat(name.len()) } else { format!("{name}{UNKNOWN_END}") };
    if folder.is_empty() { other } else { format!("{folder}/{other}") }
}

fn read_dev(folder: &Path) -> Result<DevFile, OptionError> {
    let path = dev::description_file(folder);
    let text = fs::read(&path).map_err(|cause| OptionError::DevUnreadable { path: path.clone(), cause })?;
    let mut dev: DevFile = serde_json::from_slice(&text).map_err(|cause| OptionError::DevMalformed { path, cause })?;
    // `join` keeps an absolute name as it is
    dev.ca_file = folder.join(&dev.ca_file);
    dev.issuer_key_file = folder.join(&dev.issuer_key_file);
    Ok(dev)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_alone() {
        let read = |url: &str| address(url, None).map(|address| (address.host, address.port)).ok();
        assert_eq!(read("https://ekm.example"), Some(("ekm.example".to_owned(), 443)));
        assert_eq!(read("https://ekm.example:8443/"), Some(("ekm.example".to_owned(), 8443)));
        assert_eq!(read("https://[::1]:1"), Some(("::1".to_owned(), 1)));
        for wrong in
            ["", "ekm.example", "http://ekm.example", "https://", "https://h/v0/keys/k", "https://h?q", "https://u@h"]
        {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn another_address_may_have_a_port() {
        let read = |text: &str| address("https://ekm.example:8443", Some(text)).ok().and_then(|found| found.instead);
        assert_eq!(read("127.0.0.1"), Some(([127, 0, 0, 1], 8443).into()));
        assert_eq!(read("127.0.0.1:9"), Some(([127, 0, 0, 1], 9).into()));
        assert_eq!(read("[::1]").map(|address| address.port()), Some(8443));
        assert_eq!(read("ekm.example"), None);
    }

    #[test]
    fn key_paths_have_neither_host_nor_verb() {
        let read = |path: &str| path_of("--key-path", path).ok();
        assert_eq!(read("/v0/keys/a").as_deref(), Some("v0/keys/a"));
        for wrong in ["", "/", "https://h/v0/keys/a", "v0/keys/a:wrap", "v0/keys/a/", "v0/keys/ a", "v0/keys/a?b"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_unknown_path_looks_like_the_keys() {
        assert_eq!(unknown_beside("v0/keys/0123456789abcdef"), "v0/keys/5555555555555555");
        assert_eq!(unknown_beside("v0/keys/payroll"), "v0/keys/payroll-of-nobody");
        assert_eq!(unknown_beside("k"), "k-of-nobody");
    }
}
