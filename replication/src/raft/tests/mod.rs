//! What a group promises, held against damaged files, killed processes and slow or failing storage.

mod bench;
mod conformance;
mod crashes;
mod full_disk;
mod power;
mod proposals;
mod restarts;
mod shards;
mod snapshots;
