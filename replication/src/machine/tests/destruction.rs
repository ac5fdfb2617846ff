//! The end of versions: windows of committed time, and what is left once they have run out.

use crate::clock::ClusterTime;
use crate::codec;
use crate::ids::{GroupId, IdempotencyId, KeyVersionId, TenantId};
use crate::machine::apply::{DEV_WINDOW_MIN, TICK_MAX, WINDOW_MAX, WINDOW_MIN};
use crate::machine::command::{Action, Command, Genesis, Tick};
use crate::machine::lifecycle::{Event, VersionState};
use crate::machine::outcome::{Effect, Outcome, Refusal};
use crate::machine::rows::{Change, ClusterClock, KeyVersion, Meta};
use crate::machine::state::State;

use super::{Machine, SHARD};

const MINUTE: u64 = 60_000;

impl Machine {
    /// A shard with a version that is disabled.
    fn with_disabled() -> (Self, TenantId, KeyVersionId) {
        let mut machine = Self::shard();
        let (acme, version) = machine.with_key();
        machine.planned(&acme, Change::DisableVersion { version });
        (machine, acme, version)
    }

    fn schedule(&mut self, tenant: &TenantId, version: KeyVersionId, window_seconds: u64) {
        self.planned(tenant, Change::ScheduleDestroy { version, window_seconds });
    }

    fn tick(&mut self, millis: u64) -> Outcome {
        let entry = self.author.tick(self.state.cluster_clock(), millis);
        self.feed(&entry)
    }

    fn destroyed(&mut self, version: KeyVersionId) -> Outcome {
        let entry = self.author.destroy(version);
        self.feed(&entry)
    }

    fn row(&self, version: KeyVersionId) -> &KeyVersion {
        self.state.row::<KeyVersion>(&version).expect("the test made the version")
    }
}

#[test]
fn a_version_is_destroyed_once_its_window_of_committed_time_has_run_out_and_never_before() {
    let (mut machine, acme, version) = Machine::with_disabled();
    machine.schedule(&acme, version, 90);
    assert_eq!(machine.row(version).state, VersionState::DestroyScheduled);
    assert_eq!(machine.row(version).destroy_at, Some(ClusterTime(90_000)));
    let early = Outcome::Refused(Refusal::TooEarly { version });
    assert_eq!(machine.destroyed(version), early);
    assert_eq!(machine.tick(MINUTE), Outcome::Done(Effect::Ticked { now: ClusterTime(MINUTE) }));
    assert_eq!(machine.destroyed(version), early);
    machine.tick(29_999);
    assert_eq!(machine.destroyed(version), early, "a millisecond is left");
    machine.tick(1);
    let revision = machine.revision(&acme).next();
    assert_eq!(machine.destroyed(version), Outcome::Done(Effect::VersionDestroyed { revision }));

    let row = machine.row(version);
    assert_eq!((row.state, row.destroy_at), (VersionState::Destroyed, None));
    assert!(row.sealed.0.is_empty() && row.canary.is_empty(), "what sealed the material is gone");
    assert!(machine.state.destructions().is_empty());
    let again = Refusal::IllegalStep { version, state: VersionState::Destroyed, event: Event::Destroy };
    assert_eq!(machine.destroyed(version), Outcome::Refused(again));
    for (entry, event) in [
        (machine.author.restore(&acme, version), Event::Restore),
        (machine.author.enable(&acme, version), Event::Enable),
    ] {
        assert_eq!(machine.refusal(&entry), Refusal::IllegalStep { version, state: VersionState::Destroyed, event });
    }
}

#[test]
fn a_destroyed_version_leaves_no_byte_of_its_material_in_any_row() {
    let (mut machine, acme, version) = Machine::with_disabled();
    // the author's material: nothing else of a shard holds so many of these bytes in a row
    let held = |state: &State| {
        state.rows().any(|(_, value)| value.windows(32).any(|bytes| bytes == [2; 32] || bytes == [3; 32]))
    };
    assert!(held(&machine.state), "the search finds what is there");
    machine.schedule(&acme, version, 1);
    machine.tick(1_000);
    assert!(held(&machine.state), "until the last moment it can be restored");
    machine.destroyed(version);
    assert!(!held(&machine.state));
}

#[test]
fn a_destruction_is_called_off_until_the_last_moment_and_its_next_window_is_a_whole_one() {
    let (mut machine, acme, version) = Machine::with_disabled();
    machine.schedule(&acme, version, 60);
    machine.tick(MINUTE);
    let restore = machine.author.restore(&acme, version);
    machine.done(&restore);
    assert_eq!((machine.row(version).state, machine.row(version).destroy_at), (VersionState::Disabled, None));
    assert!(machine.state.destructions().is_empty());
    let refused = Refusal::IllegalStep { version, state: VersionState::Disabled, event: Event::Destroy };
    assert_eq!(machine.destroyed(version), Outcome::Refused(refused));

    machine.schedule(&acme, version, 60);
    assert_eq!(machine.row(version).destroy_at, Some(ClusterTime(2 * MINUTE)));
    assert_eq!(machine.destroyed(version), Outcome::Refused(Refusal::TooEarly { version }));
    let restore = machine.author.restore(&acme, version);
    machine.done(&restore);
    let enable = machine.author.enable(&acme, version);
    machine.done(&enable);
    let refused = Refusal::IllegalStep { version, state: VersionState::Enabled, event: Event::Destroy };
    assert_eq!(machine.destroyed(version), Outcome::Refused(refused));
}

#[test]
fn what_is_scheduled_can_be_restored_and_nothing_else_and_only_what_is_disabled_is_scheduled() {
    let mut machine = Machine::shard();
    let (acme, version) = machine.with_key();
    let schedule = |version| Change::ScheduleDestroy { version, window_seconds: 60 };
    let refusal = machine.plan_refused(&acme, schedule(version));
    assert!(refusal.to_string().ends_with("disable it first"), "{refusal}");
    machine.planned(&acme, Change::DisableVersion { version });
    machine.schedule(&acme, version, 60);
    let refusal = machine.plan_refused(&acme, schedule(version));
    assert!(refusal.to_string().ends_with("is destroy_scheduled already"), "{refusal}");
    let enable = machine.author.enable(&acme, version);
    let refusal = machine.refusal(&enable);
    assert!(refusal.to_string().ends_with("restore it first"), "{refusal}");
    let refusal = machine.plan_refused(&acme, Change::DisableVersion { version });
    assert!(matches!(refusal, Refusal::IllegalStep { .. }), "{refusal}");
}

#[test]
fn a_tick_counts_once_from_where_the_time_stands_and_never_for_long() {
    let (mut machine, acme, version) = Machine::with_disabled();
    machine.schedule(&acme, version, 600);
    let clock = machine.state.cluster_clock();
    assert_eq!(clock, ClusterClock { now: ClusterTime(0), windows: 1 });
    let tick = machine.author.tick(clock, MINUTE);
    machine.done(&tick);
    assert_eq!(machine.refusal(&tick), Refusal::BadTick, "the same entry again");
    let rival = machine.author.tick(clock, MINUTE);
    assert_eq!(machine.refusal(&rival), Refusal::BadTick, "another that counted the same minute");
    let max = u64::try_from(TICK_MAX.as_millis()).expect("two minutes");
    for (millis, counts) in [(0, false), (max + 1, false), (u64::MAX, false), (max, true), (1, true)] {
        let before = machine.state.cluster_time();
        let is_counted = matches!(machine.tick(millis), Outcome::Done(_));
        assert_eq!((is_counted, machine.state.cluster_time() != before), (counts, counts), "{millis} ms");
    }
    for from in [0, MINUTE, u64::MAX] {
        let elsewhere = machine.author.tick(ClusterClock { now: ClusterTime(from), windows: 1 }, 1);
        assert_eq!(machine.refusal(&elsewhere), Refusal::BadTick, "from {from}");
    }
}

#[test]
fn a_tick_that_began_before_a_window_does_not_count_for_it() {
    let (mut machine, acme, first) = Machine::with_disabled();
    let second = KeyVersionId::from_bytes([2; 16]);
    let entry = machine.author.create_key(&acme, &super::name("k2"), None, second);
    machine.done(&entry);
    machine.planned(&acme, Change::DisableVersion { version: second });
    machine.schedule(&acme, first, 600);
    // somebody counts from here on, and asks for the count after the second window began
    let counted = machine.author.tick(machine.state.cluster_clock(), MINUTE);
    machine.schedule(&acme, second, 60);
    assert_eq!(machine.refusal(&counted), Refusal::BadTick);
    assert_eq!(machine.destroyed(second), Outcome::Refused(Refusal::TooEarly { version: second }));
    let counted = machine.author.tick(machine.state.cluster_clock(), MINUTE);
    machine.done(&counted);
    assert!(matches!(machine.destroyed(second), Outcome::Done(_)));
    assert_eq!(machine.row(first).state, VersionState::DestroyScheduled, "the other window goes on");
}

#[test]
fn windows_are_a_week_to_a_year_and_in_a_dev_cluster_from_a_second_on() {
    let (mut machine, acme, version) = Machine::with_disabled();
    let change = |window_seconds| Change::ScheduleDestroy { version, window_seconds };
    for window in [0, WINDOW_MAX.as_secs() + 1, u64::MAX] {
        let refusal = machine.plan_refused(&acme, change(window));
        assert!(matches!(refusal, Refusal::BadWindow { least_seconds: 1, .. }), "{window}: {refusal:?}");
    }
    for window in [DEV_WINDOW_MIN.as_secs(), WINDOW_MAX.as_secs()] {
        machine.schedule(&acme, version, window);
        let restore = machine.author.restore(&acme, version);
        machine.done(&restore);
    }

    let mut machine = Machine::for_production();
    let (acme, version) = machine.with_key();
    machine.planned(&acme, Change::DisableVersion { version });
    let refusal = machine.plan_refused(&acme, change_of(version, WINDOW_MIN.as_secs() - 1));
    let text = "a destruction window of 604799 s is not between 604800 s and 31536000 s";
    assert_eq!(refusal.to_string(), text);
    machine.schedule(&acme, version, WINDOW_MIN.as_secs());
}

const fn change_of(version: KeyVersionId, window_seconds: u64) -> Change {
    Change::ScheduleDestroy { version, window_seconds }
}

#[test]
fn time_and_destruction_are_nothing_that_people_ask_for_and_group_0_has_none() {
    let (mut machine, acme, version) = Machine::with_disabled();
    machine.schedule(&acme, version, 1);
    let (id, request) =
        machine.author.request(crate::machine::request::AdminOperation::RestoreVersion { tenant: acme, version });
    let ClusterClock { now, windows } = machine.state.cluster_clock();
    let tick = || Action::Tick(Tick { from: now, windows, millis: 1_000 });
    for action in [tick(), Action::DestroyVersion(crate::machine::command::DestroyVersion { version })] {
        let entry = machine.author.carries_out(SHARD, (id, request.clone()), action);
        assert_eq!(machine.refusal(&entry), Refusal::NotWhatWasAsked);
    }
    let mut system = Machine::of(GroupId::SYSTEM);
    let entry = system.author.automatic(GroupId::SYSTEM, tick());
    assert_eq!(system.refusal(&entry), Refusal::WrongGroup);
}

impl Machine {
    /// A shard whose genesis is not stamped as dev.
    fn for_production() -> Self {
        let mut machine = Self { author: crate::testkit::Author::default(), state: State::empty(), index: 0 };
        let signed = codec::decode_entry(&machine.author.genesis(SHARD)).expect("the author writes decodable entries");
        let command = codec::decode_command(&signed.command).expect("the author writes decodable commands");
        let Action::Genesis(genesis) = command.action else { panic!("the author wrote a genesis entry") };
        let genesis = Genesis { meta: Meta { dev: false, ..genesis.meta }, ..genesis };
        let idempotency_id = IdempotencyId::from_bytes(machine.author.draw());
        let command = Command { idempotency_id, action: Action::Genesis(genesis), ..command };
        let entry = machine.author.entry(SHARD, &command);
        machine.done(&entry);
        machine
    }
}
