//! How a frontend fares with many key versions: the time until it is ready, its memory, and what a request costs (promises P4, P5).
//!
//! `cargo run --release -p server --example many_versions -- 100 100000 1000000` plays a key store that holds so many versions, one a key, behind
//! the real feed, and starts the real `ekm frontend` beside it. Only the key store's Raft is left out: its state is put together here.
#![allow(clippy::print_stdout, reason = "it speaks to whoever measures")]

mod calls;
mod made;
mod premises;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use made::Made;
use premises::Premises;

/// Measure a frontend with many key versions.
#[derive(Debug, Parser)]
struct Args {
    /// The numbers of versions, each measured by itself.
    #[arg(default_values_t = [100, 100_000, 1_000_000], value_parser = clap::value_parser!(u32).range(100..=16_000_000))]
    versions: Vec<u32>,
    /// Wraps that are measured, over a hundred versions spread evenly among all.
    #[arg(long, default_value_t = 50_000)]
    wraps: u32,
    /// The binary of the server. Default: `ekm` of the same build.
    #[arg(long)]
    ekm: Option<PathBuf>,
    /// How long a frontend may take to be ready.
    #[arg(long, default_value_t = 300)]
    ready_within_seconds: u64,
}

/// What one number of versions came to.
struct Measured {
    versions: u32,
    ready: Duration,
    resident_bytes: u64,
    cpu_of_a_wrap: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let ekm = match args.ekm {
        Some(ekm) => ekm,
        // beside the examples' folder
        None => std::env::current_exe()?.parent().and_then(|folder| folder.parent()).ok_or("no folder")?.join("ekm"),
    };
    println!("{:>9}  {:>8}  {:>12}  {:>15}  {:>12}", "versions", "ready", "resident", "bytes a version", "CPU a wrap");
    let mut first: Option<Measured> = None;
    for versions in args.versions {
        let measured = measure(&ekm, versions, args.wraps, Duration::from_secs(args.ready_within_seconds)).await?;
        let beyond = first.as_ref().map(|first| {
            let more = i128::from(measured.resident_bytes) - i128::from(first.resident_bytes);
            more / i128::from(measured.versions.saturating_sub(first.versions).max(1))
        });
        println!(
            "{:>9}  {:>6.2} s  {:>8} MiB  {:>15}  {:>9.1} µs",
            measured.versions,
            measured.ready.as_secs_f64(),
            measured.resident_bytes / (1024 * 1024),
            beyond.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            measured.cpu_of_a_wrap.as_secs_f64() * 1e6,
        );
        first = first.or(Some(measured));
    }
    Ok(())
}

async fn measure(
    ekm: &std::path::Path,
    versions: u32,
    wraps: u32,
    ready_within: Duration,
) -> Result<Measured, Box<dyn Error>> {
    let made = Made::of(versions)?;
    let keys = made.some(100);
    let premises = Premises::open(made).await?;
    let mut frontend = premises.start(ekm)?;
    let ready = frontend.ready(ready_within).await?;
    let resident_bytes = frontend.resident_bytes()?;
    let client = calls::client(&premises)?;
    // sockets, buffers and the hundred keys are warm before it counts
    calls::wrap(&client, &premises, &keys, wraps / 10).await?;
    let before = frontend.cpu()?;
    calls::wrap(&client, &premises, &keys, wraps).await?;
    let spent = frontend.cpu()?.checked_sub(before).ok_or("processor time ran backwards")?;
    frontend.end()?;
    premises.close().await;
    Ok(Measured { versions, ready, resident_bytes, cpu_of_a_wrap: spent / wraps.max(1) })
}
