//! Compiles the protocol between replicas, without protoc.

use std::error::Error;

const PROTOCOL: &str = "proto/peer.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTOCOL}");
    let described = protox::compile([PROTOCOL], ["proto"])?;
    Ok(tonic_prost_build::configure().build_transport(false).compile_fds(described)?)
}
