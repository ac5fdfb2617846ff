//! Snapshot files as bytes, with both checksums put right if the input says so: reading is total, whatever is read is byte for
//! byte what writing makes of it, and a file that is cut or goes on after its end is refused.

use crate::parts::byte;
use replication::store::record;
use replication::store::testkit::{decode_snapshot as decode, encode_snapshot as encode};

/// Format and checksum of a record.
const RECORD_HEAD_LENGTH: usize = 5;
/// The IEEE polynomial of CRC-32, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 })
    })
}

/// See the top of this file.
pub fn run(input: &[u8]) {
    let (choice, file) = byte(input);
    let mut file = file.to_vec();
    if choice & 1 == 1 {
        put_checksums_right(&mut file);
    }
    let Ok((state, meta)) = decode(&file) else { return };
    let written = encode(&state, &meta).expect("what was read is short enough to be written");
    assert_eq!(written, file, "a snapshot has one spelling");
    let (again, same_meta) = decode(&written).expect("what was written is read");
    assert!(again == state && same_meta == meta, "a state is its file");
    for cut in [1, file.len() / 2, file.len()] {
        assert!(decode(&file[..file.len() - cut]).is_err(), "a file cut by {cut} bytes was read");
    }
    let mut longer = file;
    longer.push(choice);
    assert!(decode(&longer).is_err(), "a file with more after its end was read");
}

/// That of the head's record, and the one at the end, which the input leaves out.
fn put_checksums_right(file: &mut Vec<u8>) {
    if let Some((length, rest)) = file.split_first_chunk_mut::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).expect("a length fits in memory");
        if let Some(head) = rest.get_mut(..length)
            && let Some(body) = head.get(RECORD_HEAD_LENGTH..)
        {
            let sealed = record::seal(body);
            head.copy_from_slice(&sealed);
        }
    }
    let sum = crc32(file);
    file.extend_from_slice(&sum.to_le_bytes());
}
