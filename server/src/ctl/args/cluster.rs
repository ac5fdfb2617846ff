//! Commands on the cluster as a whole: how it begins, who belongs to it, and how it stands.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::ctl::people::FirstPersonArg;

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Draw the lineage of a new cluster.
    ///
    /// A cluster's keys are bound to its lineage for ever. It goes into the settings of every replica and frontend, and into the
    /// certificates of replicas and frontends. Asks no server.
    #[command(after_help = "Examples:\n  ekmctl cluster lineage")]
    Lineage,
    Init(ClusterInitArgs),
    Join(ClusterJoinArgs),
    /// Show which replicas the cluster has, and how its groups stand.
    ///
    /// Shows who leads each group, who votes, who learns, and how far each is behind, as the replica that is asked sees it: only a leader
    /// knows who is behind. Answers also before there is a cluster, and without a quorum.
    #[command(after_help = "Examples:\n  ekmctl cluster status\n  ekmctl cluster status --output json")]
    Status,
}

/// Found the cluster, on its first replica, once.
///
/// Connect to the admin URL of the first `ekm keystore`, with any certificate that its operators' authority signed. Names the people
/// whose signatures count from the first entry on, at least two of them security officers, and whose tokens are believed. Makes the root
/// key if its file is not there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ekmctl --url https://ekm-1.a.example:9003 --ca servers-ca.pem --cert ann.pem --cert-key ann-key.pem cluster init \\
      --person ann:operator:ann.pem --person bea:security_officer:bea.pem --person cleo:security_officer:cleo.pem \\
      --issuer https://accounts.google.com --audience https://ekm.example")]
pub struct ClusterInitArgs {
    /// A person: their name, their roles (separated by commas), and their certificate or public key, PEM. Give it for each.
    #[arg(long = "person", required = true, value_name = "NAME:ROLES:FILE")]
    pub people: Vec<FirstPersonArg>,
    /// The issuer of callers' tokens, exactly as they name it. Give it several times for several.
    #[arg(long = "issuer", required = true, value_name = "ISS")]
    pub issuers: Vec<String>,
    /// What callers' tokens are for, exactly as they name it. Give it several times for several.
    #[arg(long = "audience", required = true, value_name = "AUD")]
    pub audiences: Vec<String>,
}

/// Take a replica into the cluster.
///
/// Reads the file replica.json that an `ekm keystore` writes into its data folder when it starts first. Takes a security officer who reaches
/// all tenants, and any data replica that serves. The replica is replicated to at once, and votes when it has caught up. Copy the root key
/// to a data replica before it is to serve.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  ekmctl cluster join replica.json\n  ekmctl cluster join replica.json --learner")]
pub struct ClusterJoinArgs {
    /// The file that the replica wrote.
    #[arg(value_name = "REPLICA.json")]
    pub file: PathBuf,
    /// It is never to vote.
    #[arg(long)]
    pub learner: bool,
}
