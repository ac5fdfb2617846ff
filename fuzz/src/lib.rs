//! Fuzz targets: what each asserts, how an input is cut up, the world they act in, and their seeds.
//!
//! Deterministic, but for the one key of `claims`, the nonces of `blob` and the padding of `import`: the same input gives the
//! same verdict. Nothing here knows a fuzzing engine; that is the driver's business (`bin/fuzz.rs`). Empty without the feature `targets`.

#[cfg(feature = "targets")]
pub mod parts;
#[cfg(feature = "targets")]
pub mod seeds;
#[cfg(feature = "targets")]
pub mod targets;
#[cfg(feature = "targets")]
pub mod tokens;
#[cfg(feature = "targets")]
pub mod world;
