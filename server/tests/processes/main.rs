//! The real binaries as processes of their own: started, used, stopped, killed, and misused. Everything happens on loopback and
//! in temporary folders, and a test ends only processes that it started. Waits are bounded, and nothing asserts how long
//! something took.

mod bad_calls;
mod bad_folder;
mod bad_input;
mod certificates;
mod cluster;
mod confirm;
mod core_dumps;
mod ctl;
mod doctor;
mod examples;
mod exits;
mod frontend;
mod google;
mod halted;
mod harness;
mod imports;
mod kill_nine;
mod ledger;
mod planted;
mod rng;
mod scene;
mod schemas;
mod search;
mod settings;
mod shards;
mod shutdown;
mod site;
mod socket;
mod stand_in;
mod tools;
mod words;
mod worker;
