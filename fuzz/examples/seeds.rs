//! Writes the seeds of every target anew, where a format has changed; what a crash once left there stays.
//!
//! `cargo run -p fuzz --features targets --example seeds`. With the argument `token` it first makes a new key set and one token
//! in `keys`, of a key whose private half is thrown away; run it again without, so that the seeds hold that token.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use fuzz::seeds;
use fuzz::tokens::good_claims;
use server::authn::danger_fixed_keys::sign_claims;
use server::authn::mint::IssuerKey;

fn new_token(folder: &Path) -> io::Result<()> {
    let key = IssuerKey::generate().expect("an RSA key is made");
    fs::write(folder.join("keys/jwks.json"), key.jwks() + "\n")?;
    fs::write(folder.join("keys/token.txt"), sign_claims(&key, &good_claims()) + "\n")
}

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if env::args().nth(1).as_deref() == Some("token") {
        return new_token(&folder);
    }
    for (target, inputs) in seeds::all() {
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        for (number, input) in inputs.iter().enumerate() {
            fs::write(corpus.join(seeds::file_name(number)), input)?;
        }
    }
    Ok(())
}
