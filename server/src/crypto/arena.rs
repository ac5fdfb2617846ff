//! The key arena: the one region of memory that key bytes lie in. Locked, kept out of core dumps and of forked children.
//!
//! The only file with unsafe code. It must never hand out one slot twice, nor give a slot back that is not wiped.

use std::num::NonZeroU32;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use zeroize::Zeroize;

/// Length of one slot, in bytes: one AES-256 key.
pub(super) const SLOT_LENGTH: usize = 32;

/// What to do when the kernel refuses to lock the arena into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockPolicy {
    /// Refuse to start. For production.
    Require,
    /// Go on with a warning in the log: key bytes may reach swap. For `ekm dev`.
    Warn,
}

/// Whether key bytes can reach swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// They cannot.
    Locked,
    /// They can: locking was refused, and [`LockPolicy::Warn`] was asked for.
    Swappable,
}

/// Why there is no arena.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The address space or memory is exhausted.
    #[error("cannot map {bytes} bytes of key memory")]
    Map {
        /// Length of the arena.
        bytes: usize,
        /// What the kernel said.
        source: Errno,
    },
    /// The limit on locked memory is too low.
    #[error(
        "cannot lock {bytes} bytes of key memory (the limit is {}): set LimitMEMLOCK={bytes} or more in the service's unit",
        limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit} bytes"))
    )]
    Lock {
        /// Length of the arena, in whole pages.
        bytes: usize,
        /// `RLIMIT_MEMLOCK` of this process, in bytes.
        limit: Option<u64>,
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel does not know how to keep memory out of core dumps or of forked children.
    #[error("cannot keep key memory out of core dumps and forked children")]
    Advise {
        /// What the kernel said.
        source: Errno,
    },
}

/// Every slot holds key material. Nothing was evicted to make room: bounding the number of keys is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("all {capacity} key slots are in use")]
pub struct ArenaExhausted {
    /// How many slots there are.
    pub capacity: NonZeroU32,
}

/// A fixed number of 32-byte slots in locked memory.
pub struct Arena {
    base: NonNull<u8>,
    bytes: usize,
    capacity: NonZeroU32,
    protection: Protection,
    /// Slots that nobody holds; their bytes are zero.
    free: Mutex<Vec<u32>>,
}

// SAFETY: `base` is a private mapping that lives as long as the arena. Its bytes are reached only through a `Slot`, of which
// at most one exists for each index, because indexes come out of `free` and return to it under its lock.
unsafe impl Send for Arena {}
// SAFETY: as above; a shared arena gives access to `free` (a mutex) and to constants.
unsafe impl Sync for Arena {}

type Lock = fn(NonNull<u8>, usize) -> Result<(), Errno>;

impl Arena {
    /// Maps and locks memory for `capacity` keys.
    ///
    /// # Errors
    /// If the kernel refuses; of the lock, only under [`LockPolicy::Require`].
    pub fn new(capacity: NonZeroU32, policy: LockPolicy) -> Result<Arc<Self>, ArenaError> {
        Self::with_lock(capacity, policy, lock)
    }

    fn with_lock(capacity: NonZeroU32, policy: LockPolicy, lock: Lock) -> Result<Arc<Self>, ArenaError> {
        let slots = usize::try_from(capacity.get()).expect("addresses have at least 32 bits");
        let bytes = slots
            .checked_mul(SLOT_LENGTH)
            .and_then(|bytes| bytes.checked_next_multiple_of(rustix::param::page_size()))
            .ok_or(ArenaError::Map { bytes: usize::MAX, source: Errno::NOMEM })?;
        // made first, so that its drop unmaps when a later step fails
        let mut arena = Self {
            base: map(bytes)?,
            bytes,
            capacity,
            protection: Protection::Locked,
            free: Mutex::new((0..capacity.get()).rev().collect()),
        };
        keep_private(arena.base, bytes)?;
        if let Err(source) = lock(arena.base, bytes) {
            let limit = rustix::process::getrlimit(Resource::Memlock).current;
            let error = ArenaError::Lock { bytes, limit, source };
            match policy {
                LockPolicy::Require => return Err(error),
                LockPolicy::Warn => {
                    tracing::warn!(%error, "key material may be written to swap");
                    arena.protection = Protection::Swappable;
                }
            }
        }
        Ok(Arc::new(arena))
    }

    /// How many keys it can hold.
    pub fn capacity(&self) -> NonZeroU32 {
        self.capacity
    }

    /// How many more keys it can hold now.
    pub fn free_slots(&self) -> usize {
        self.free.lock().len()
    }

    /// Whether its bytes can reach swap.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// A slot of zeros.
    pub(super) fn take(self: &Arc<Self>) -> Result<Slot, ArenaExhausted> {
        let index = self.free.lock().pop().ok_or(ArenaExhausted { capacity: self.capacity })?;
        Ok(Slot { arena: Arc::clone(self), index })
    }

    fn slot_address(&self, index: u32) -> NonNull<[u8; SLOT_LENGTH]> {
        let offset = usize::try_from(index).expect("addresses have at least 32 bits") * SLOT_LENGTH;
        // SAFETY: an index is below the capacity, and the mapping holds that many slots
        unsafe { self.base.add(offset) }.cast()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: every slot holds a reference to the arena, so none is left; the mapping is ours, whole
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes) };
        debug_assert!(unmapped.is_ok(), "unmapping a whole mapping of our own cannot fail");
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena")
            .field("capacity", &self.capacity)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}

/// 32 bytes of the arena, held by one owner; wiped and given back when dropped.
pub(super) struct Slot {
    arena: Arc<Arena>,
    index: u32,
}

impl Slot {
    pub(super) fn bytes(&self) -> &[u8; SLOT_LENGTH] {
        // SAFETY: the address is in the mapping, which the arena keeps; this slot is the only one with its index, and a
        // mutable borrow of its bytes borrows the slot mutably
        unsafe { self.arena.slot_address(self.index).as_ref() }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; SLOT_LENGTH] {
        // SAFETY: as in `bytes`, with the slot borrowed mutably
        unsafe { self.arena.slot_address(self.index).as_mut() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        self.arena.free.lock().push(self.index);
    }
}

fn map(bytes: usize) -> Result<NonNull<u8>, ArenaError> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing
    let address = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }
        .map_err(|source| ArenaError::Map { bytes, source })?;
    Ok(NonNull::new(address.cast()).expect("the kernel maps nothing at address zero unless asked to"))
}

/// Out of core dumps and forked children. A child that touched the arena would die rather than find a key of zeros there, which
/// is why this is not `MADV_WIPEONFORK`.
fn keep_private(base: NonNull<u8>, bytes: usize) -> Result<(), ArenaError> {
    for advice in [Advice::LinuxDontDump, Advice::LinuxDontFork] {
        // SAFETY: the range is a whole mapping of our own, and neither advice changes what it holds
        unsafe { rustix::mm::madvise(base.as_ptr().cast(), bytes, advice) }
            .map_err(|source| ArenaError::Advise { source })?;
    }
    Ok(())
}

fn lock(base: NonNull<u8>, bytes: usize) -> Result<(), Errno> {
    // SAFETY: the range is a whole mapping of our own
    unsafe { rustix::mm::mlock(base.as_ptr().cast(), bytes) }
}

/// Makes this process leave no core dump and refuse to be traced by others of the same user. For good: call it first.
///
/// # Errors
/// If the kernel refuses; a process that holds keys must not go on then.
pub fn harden_process() -> Result<(), Errno> {
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

#[cfg(test)]
pub(super) mod tests {
    use std::mem::MaybeUninit;

    use aes_gcm_siv::aead::KeyInit;

    use super::*;

    pub(in super::super) fn arena(capacity: u32) -> Arc<Arena> {
        Arena::new(NonZeroU32::new(capacity).expect("a capacity"), LockPolicy::Warn).expect("a small arena")
    }

    /// The bytes of every slot that nobody holds.
    pub(in super::super) fn free_bytes(arena: &Arena) -> Vec<[u8; SLOT_LENGTH]> {
        let free = arena.free.lock();
        // SAFETY: while the lock is held, no `Slot` for a free index comes into being
        free.iter().map(|index| unsafe { *arena.slot_address(*index).as_ref() }).collect()
    }

    #[test]
    fn a_dropped_slot_is_wiped_and_used_again() {
        let arena = arena(1);
        let mut slot = arena.take().expect("a slot");
        slot.bytes_mut().fill(0xa5);
        let address = slot.bytes().as_ptr();
        assert_eq!(slot.bytes(), &[0xa5; SLOT_LENGTH]);
        drop(slot);
        assert_eq!(free_bytes(&arena), [[0; SLOT_LENGTH]]);
        assert_eq!(arena.take().expect("the same slot").bytes().as_ptr(), address);
    }

    #[test]
    fn an_exhausted_arena_refuses_until_a_slot_comes_back() {
        let arena = arena(3);
        let mut held: Vec<Slot> = (0..3).map(|_| arena.take().expect("a slot")).collect();
        assert_eq!(arena.take().err(), Some(ArenaExhausted { capacity: arena.capacity() }));
        held.pop();
        assert_eq!(arena.free_slots(), 1);
        assert!(arena.take().is_ok());
    }

    #[test]
    fn slots_do_not_overlap() {
        let arena = arena(200);
        let mut held: Vec<Slot> = (0..200).map(|_| arena.take().expect("a slot")).collect();
        for (mark, slot) in (0_u8..).zip(&mut held) {
            slot.bytes_mut().fill(mark);
        }
        for (mark, slot) in (0_u8..).zip(&held) {
            assert_eq!(slot.bytes(), &[mark; SLOT_LENGTH]);
        }
    }

    #[test]
    fn a_refused_lock_stops_production_and_warns_in_dev() {
        let refuse: Lock = |_, _| Err(Errno::NOMEM);
        let error = Arena::with_lock(NonZeroU32::MIN, LockPolicy::Require, refuse).expect_err("the lock is required");
        let page = rustix::param::page_size();
        assert!(matches!(error, ArenaError::Lock { bytes, .. } if bytes == page), "{error:?}");
        assert!(error.to_string().contains(&format!("LimitMEMLOCK={page}")), "{error}");

        let arena = Arena::with_lock(NonZeroU32::MIN, LockPolicy::Warn, refuse).expect("dev goes on");
        assert_eq!(arena.protection(), Protection::Swappable);
        assert!(arena.take().is_ok());
    }

    /// What lies where `value` was, once it is dropped.
    fn remains<T>(value: T) -> Vec<u8> {
        let mut place = Box::new(MaybeUninit::zeroed());
        place.write(value);
        // SAFETY: written just above, and not used as a value again
        unsafe { place.assume_init_drop() };
        let bytes = place.as_ptr().cast::<u8>();
        // SAFETY: the box still owns all these bytes, and each was written: as zero, as part of the value, or wiped
        (0..size_of::<T>()).map(|at| unsafe { bytes.add(at).read_volatile() }).collect()
    }

    #[test]
    fn the_cipher_and_its_parts_leave_nothing_behind() {
        let key = [0xa5; SLOT_LENGTH];
        let cipher = super::super::aead::Cipher::new(&key.into());
        let hash = polyval::Polyval::new(&[0xa5; 16].into());
        for left in [remains(cipher), remains(hash)] {
            assert!(left.iter().all(|byte| *byte == 0), "{left:02x?}");
        }
        // what is not wiped is seen by this test
        assert_eq!(remains(key), key);
    }

    #[test]
    fn the_kernel_keeps_the_arena_locked_undumped_and_out_of_children() {
        let arena = arena(1);
        assert_eq!(arena.protection(), Protection::Locked);
        let start = format!("{:x}-", arena.base.as_ptr().addr());
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("the kernel lists our mappings");
        let flags = smaps
            .lines()
            .skip_while(|line| !line.starts_with(&start))
            .find_map(|line| line.strip_prefix("VmFlags:"))
            .expect("the arena is a mapping of its own, with flags");
        let flags: Vec<&str> = flags.split_whitespace().collect();
        // proc(5): lo = locked, dd = not in core dumps, dc = not copied on fork
        for flag in ["lo", "dd", "dc"] {
            assert!(flags.contains(&flag), "{flag} is missing in {flags:?}");
        }
    }
}
