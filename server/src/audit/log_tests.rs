//! The log over a file that takes little, nothing, or fails, as a script says.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::*;

/// What the file does with the next write; without an instruction it takes everything.
#[derive(Clone, Copy)]
enum Next {
    Take(usize),
    Fail(ErrorKind),
}

#[derive(Clone, Default)]
struct Disk {
    script: Arc<Mutex<VecDeque<Next>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Once set, every write fails.
    is_full: Arc<AtomicBool>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(ErrorKind::StorageFull.into());
        }
        let count = match self.script.lock().pop_front() {
            None => bytes.len(),
            Some(Next::Take(count)) => count.min(bytes.len()),
            Some(Next::Fail(kind)) => return Err(kind.into()),
        };
        self.bytes.lock().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().clone()).expect("lines are texts")
    }
}

fn log(script: &[Next]) -> (Disk, AuditLog) {
    let disk = Disk::default();
    disk.script.lock().extend(script);
    (disk.clone(), AuditLog::over(Box::new(disk)))
}

#[test]
fn a_line_is_in_the_file_when_append_returns() {
    let (disk, log) = log(&[Next::Take(1), Next::Fail(ErrorKind::Interrupted), Next::Take(2)]);
    log.append(b"one\n");
    assert_eq!(disk.text(), "one\n");
    log.append(b"two\n");
    assert_eq!(disk.text(), "one\ntwo\n");
    assert_eq!(log.standing(), Standing { records: 2, ..Standing::default() });
}

#[test]
fn a_write_that_broke_off_is_completed_and_not_repeated() {
    for fault in [Next::Fail(ErrorKind::StorageFull), Next::Take(0)] {
        let (disk, log) = log(&[Next::Take(2), fault, fault]);
        log.append(b"one\n");
        assert_eq!((disk.text().as_str(), log.standing().unwritten_bytes), ("on", 2));
        log.append(b"two\n");
        assert_eq!((disk.text().as_str(), log.standing().unwritten_bytes), ("on", 6));
        log.write_out();
        assert_eq!(disk.text(), "one\ntwo\n");
        assert_eq!(log.standing(), Standing { records: 2, write_errors: 2, ..Standing::default() });
    }
}

#[test]
fn a_full_disk_holds_a_bounded_remainder_and_then_counts_what_is_lost() {
    let (disk, log) = log(&[]);
    disk.is_full.store(true, Ordering::SeqCst);
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let room = UNWRITTEN_BYTES_MAX / 1024;
    for _ in 0..room {
        log.append(&line);
    }
    assert_eq!(log.standing().lost, 0);
    log.append(&line);
    log.append(b"lost\n");
    log.write_out();
    let full = log.standing();
    assert_eq!((full.records, full.unwritten_bytes, full.lost), (room, UNWRITTEN_BYTES_MAX, 2));

    disk.is_full.store(false, Ordering::SeqCst);
    log.append(b"after\n");
    let text = disk.text();
    assert!(
        text.starts_with("xxx") && text.ends_with("x\n{\"lost_records\":2}\nafter\n"),
        "{}",
        &text[text.len() - 99..]
    );
    assert_eq!(text.lines().count() as u64, room + 2);
    let after = log.standing();
    assert_eq!((after.records, after.unwritten_bytes, after.lost), (room + 1, 0, 2));
}

#[test]
fn a_gap_is_told_in_the_file_also_when_nothing_comes_after_it() {
    let (disk, log) = log(&[]);
    disk.is_full.store(true, Ordering::SeqCst);
    log.append(&vec![b'\n'; usize::try_from(UNWRITTEN_BYTES_MAX).expect("it fits")]);
    log.append(b"lost\n");
    disk.is_full.store(false, Ordering::SeqCst);
    log.write_out();
    assert!(disk.text().ends_with("\n{\"lost_records\":1}\n"));
    log.write_out();
    assert_eq!(disk.text().matches("lost_records").count(), 1, "told twice");
}

#[test]
fn a_torn_line_on_a_full_disk_is_ended_before_anything_else_is_written() {
    let (disk, log) = log(&[]);
    disk.bytes.lock().extend_from_slice(b"to");
    disk.is_full.store(true, Ordering::SeqCst);
    log.end_torn_line();
    log.append(b"new\n");
    disk.is_full.store(false, Ordering::SeqCst);
    log.write_out();
    assert_eq!(disk.text(), "to\nnew\n");
    assert_eq!(log.standing().records, 1);
}

#[test]
fn many_threads_lose_and_tear_no_line() {
    let (disk, log) = log(&[Next::Take(3), Next::Fail(ErrorKind::StorageFull), Next::Take(1), Next::Take(0)]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..200 {
                    log.append(format!("{thread} {number}\n").as_bytes());
                }
            });
        }
    });
    log.write_out();
    let text = disk.text();
    for thread in 0..8 {
        let prefix = format!("{thread} ");
        let numbers: Vec<usize> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(|number| number.parse().expect("a whole line"))
            .collect();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    }
    assert_eq!(text.lines().count(), 1600);
}

#[test]
fn the_first_failure_since_all_was_well_is_told_and_then_fewer_and_fewer() {
    let (count, is_told) = (AtomicU64::new(0), AtomicBool::new(false));
    let told = |failures: usize| (0..failures).filter(|_| is_due(&count, &is_told)).count();
    assert_eq!(told(100), 7, "the 1st, 2nd, 4th … 64th");
    is_told.store(false, Ordering::Relaxed);
    assert_eq!((told(1), told(20)), (1, 0), "the 101st begins another outage");
}

#[test]
fn a_second_outage_is_told_as_the_first_was() {
    let (disk, log) = log(&[]);
    let stand = || [&log.is_told, &log.is_loss_told].map(|told| told.load(Ordering::Relaxed));
    let filling = vec![b'\n'; usize::try_from(UNWRITTEN_BYTES_MAX).expect("it fits")];
    for outage in 1..=3 {
        disk.is_full.store(true, Ordering::SeqCst);
        log.append(&filling);
        log.append(b"lost\n");
        assert_eq!(stand(), [true, true], "outage {outage}");
        // neither counts nor failures stand at a power of two when the next one begins
        for _ in 0..4 {
            log.append(b"lost\n");
        }
        disk.is_full.store(false, Ordering::SeqCst);
        log.write_out();
        assert_eq!(stand(), [false, false], "the end of outage {outage}");
    }
}

#[test]
fn a_file_that_cannot_be_synced_is_tried_again_and_its_end_is_told_once() {
    let (_, log) = log(&[]);
    for outage in 1..=2 {
        for _ in 0..5 {
            assert!(!log.take_dirty() || log.is_sync_told.load(Ordering::Relaxed));
            log.sync_failed(&ErrorKind::StorageFull.into());
        }
        assert!(log.take_dirty() && log.is_sync_told.load(Ordering::Relaxed), "outage {outage}");
        log.synced();
        assert!(!log.is_sync_told.load(Ordering::Relaxed));
    }
    assert_eq!(log.standing().sync_errors, 10);
}
