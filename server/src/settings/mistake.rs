//! What can be wrong in a settings file, and the collector of all of it.
//!
//! Never stops at the first mistake: whoever repairs a file repairs it once.

use std::fmt;
use std::path::PathBuf;

use replication::ids::IdError;

use crate::authn::KeySetUrlError;

/// What is wrong in one place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each variant says what its error says, and no more")]
pub enum Mistake {
    #[error("this is not TOML: {problem}")]
    Syntax { problem: String },
    #[error("no such field")]
    Unknown,
    #[error("{expected} is expected, not {found}")]
    WrongType { expected: &'static str, found: &'static str },
    #[error("{value} is below {least}")]
    Below { value: String, least: String },
    #[error("{value} is above {most}")]
    Above { value: String, most: String },
    #[error("\"{value}\" is no time: a whole number and ms, s, m or h are expected, such as \"500ms\"")]
    NotATime { value: String },
    #[error("\"{value}\" is none of {known}")]
    NotAChoice { value: String, known: String },
    #[error("it is missing, and has no default")]
    Missing,
    #[error("it is missing, and so is {other}: one of the two is needed")]
    MissingBoth { other: &'static str },
    #[error("{value} is named twice")]
    Repeated { value: String },
    #[error("a witness has none: it holds no key and answers nobody but its peers")]
    NotOfAWitness,
    #[error(
        "\"{value}\" is no address to listen on: an IP address and a port from 1 on are expected, such as \"127.0.0.1:8443\""
    )]
    NotAnAddress { value: String },
    #[error(
        "\"{value}\" is no place to connect to: a host and a port from 1 on are expected, such as \"ekm-1.example:9001\""
    )]
    NotAHostPort { value: String },
    #[error("\"{value}\" is no host name: letters, digits, '-' and dots are expected, 253 at most")]
    NotAHostName { value: String },
    #[error(
        "\"{value}\" is no key store: the number of a replica and the address of its feed are expected, such as \"1@ekm-1.example:9002\""
    )]
    NotAKeyStore { value: String },
    #[error(transparent)]
    Id(#[from] IdError),
    #[error("an empty path names no file")]
    NoPath,
    #[error("the file's name must end in {ending}: a slip must not have a key written over")]
    OtherEnding { ending: &'static str },
    #[error("a path holds a NUL")]
    Nul,
    #[error("{count} are given; {most} is the most")]
    TooMany { count: usize, most: usize },
    #[error(
        "\"{value}\" is no path of a URL: a slash and up to {bytes_max} bytes of visible ASCII without ? # % are expected"
    )]
    NotAUrlPath { value: String, bytes_max: usize },
    #[error(transparent)]
    KeySetUrl(#[from] KeySetUrlError),
    #[error("it cannot be given beside {other}")]
    Beside { other: &'static str },
    #[error("it needs {other}")]
    Needs { other: &'static str },
    #[error("{value} is also {other}")]
    Twice { value: String, other: &'static str },
    #[error("{value} must be longer than {other}, which is {than}")]
    NotLonger { value: String, other: &'static str, than: String },
    #[error("`dev = true` is missing: files of `ekm dev` are stamped so")]
    NotStamped,
    #[error("the file is stamped `dev = true`: `ekm dev` alone uses it, and only `ekm check --dev` takes it")]
    StampedDev,
}

/// A mistake and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the field, such as `data.limits.age_max`, or a line and column of what is no TOML.
    pub place: String,
    /// What is wrong.
    pub mistake: Mistake,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.mistake)
    }
}

/// Mistakes that are told of one file; the rest is counted.
pub const PROBLEMS_MAX: usize = 200;

/// All that is wrong in one text. At least one, if it is an error.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems {
    told: Vec<Problem>,
    /// Those beyond [`PROBLEMS_MAX`].
    untold: usize,
}

impl Problems {
    /// Notes one more.
    pub fn add(&mut self, place: String, mistake: Mistake) {
        if self.told.len() < PROBLEMS_MAX {
            self.told.push(Problem { place, mistake });
        } else {
            self.untold += 1;
        }
    }

    /// Whether nothing is wrong.
    pub const fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// What is wrong, up to [`PROBLEMS_MAX`].
    pub fn told(&self) -> &[Problem] {
        &self.told
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told.len() + self.untold {
            1 => write!(f, "1 mistake")?,
            count => write!(f, "{count} mistakes")?,
        }
        self.told.iter().try_for_each(|problem| write!(f, "\n  {problem}"))?;
        if self.untold > 0 { write!(f, "\n  and {} more", self.untold) } else { Ok(()) }
    }
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there, or cannot be read.
    #[error("cannot read the settings file {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder, a pipe or a device.
    #[error("{} is no file", .0.display())]
    NotAFile(PathBuf),
    /// Longer than any settings are.
    #[error("{} is longer than {bytes_max} bytes: these are no settings", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The most it may be.
        bytes_max: u64,
    },
    /// TOML is UTF-8.
    #[error("{} is not UTF-8: its line {line} holds other bytes", path.display())]
    NotUtf8 {
        /// Which.
        path: PathBuf,
        /// The first line with such bytes, from 1.
        line: usize,
    },
    /// It could be settings of several things, or of none.
    #[error(
        "nobody can tell what {} is for: settings of a key store have the table peers, those of a frontend the table data and \
         not peers, and those of `ekm dev` begin with dev = true", .0.display()
    )]
    OfNoKind(PathBuf),
    /// It was read, and is wrong.
    #[error("{} has {problems}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// All that is wrong.
        problems: Problems,
    },
}
