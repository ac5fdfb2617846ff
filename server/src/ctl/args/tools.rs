//! Commands that need no cluster: completions, manual pages, schemas.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A completion script for your shell.
///
/// Prints it; your shell reads it at its start. For bash put it where bash-completion looks, for zsh into a folder of `fpath` under the
/// name `_ekmctl`, for fish into `~/.config/fish/completions`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ekmctl completions bash > ekmctl.bash
  ekmctl completions zsh > _ekmctl
  ekmctl completions fish > ekmctl.fish")]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: ShellArg,
}

/// A shell that has completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellArg {
    /// GNU bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}

/// Manual pages, one for each command.
///
/// Writes `ekmctl.1`, `ekmctl-key-create.1` and so on into a folder that exists; what has these names there is replaced.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  mkdir man1 && ekmctl man man1\n  ls man1/ekmctl-key-show.1")]
pub struct ManArgs {
    /// The folder.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// The JSON schemas of what `--output json` prints.
///
/// JSON Schema 2020-12, for programs that read the output of `ekmctl`. With words, the schema of that command; without, those of all, by command. They change only with the release,
/// and only by additions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ekmctl schema key show\n  ekmctl schema")]
pub struct SchemaArgs {
    /// The words of a command, for example `key list`.
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}
