//! Compiles the protocols between replicas, and from key stores to frontends, without protoc.

use std::error::Error;

const PROTOCOLS: [&str; 2] = ["proto/peer.proto", "proto/feed.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for protocol in PROTOCOLS {
        println!("cargo::rerun-if-changed={protocol}");
    }
    let described = protox::compile(PROTOCOLS, ["proto"])?;
    Ok(tonic_prost_build::configure().build_transport(false).compile_fds(described)?)
}
