//! Directories: records of 32 bytes.

use alloc::string::String;

use super::boot::Kind;
use super::name::{self, LongName};
use crate::date;

/// Bytes in a record.
pub(super) const RECORD: usize = 32;

/// Most bytes that a directory may have: 65,536 records.
pub(super) const MAX_BYTES: u32 = 65_536 * RECORD as u32;

const LONG: u8 = 0x0f;
const VOLUME: u8 = 0x08;
const DIRECTORY: u8 = 0x10;

/// What a record comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing as yet.
    More,
    /// The directory ends here.
    End,
    /// A file or a directory.
    Found,
}

/// Reads records one after the other.
pub(super) struct Records {
    long: LongName,
    ocaml: bool,
    /// The name of the last one was taken.
    stale: bool,
}

impl Records {
    pub(super) fn new(ocaml: bool) -> Self {
        Self {
            long: LongName::new(ocaml),
            ocaml,
            stale: false,
        }
    }

    /// Begins with another directory.
    pub(super) fn clear(&mut self) {
        self.stale = false;
        self.long.clear();
    }

    pub(super) fn push(&mut self, record: &[u8; RECORD]) -> Step {
        if self.stale {
            self.clear();
        }
        let attributes = record[11];
        match record[0] {
            0 => return Step::End,
            0xe5 => {
                self.long.clear();
                return Step::More;
            }
            _ if attributes & 0x3f == LONG => {
                self.long.push(record);
                return Step::More;
            }
            _ => {}
        }
        self.stale = true;
        let dots = record[..11] == *b".          " || record[..11] == *b"..         ";
        if attributes & VOLUME != 0 || dots {
            return Step::More;
        }
        Step::Found
    }

    /// Adds the name of the record that was found last to `out`, which has room for it: at most
    /// [`MAX_NAME`] bytes. The short name stands for a long one that no path can name.
    pub(super) fn name(&self, record: &[u8; RECORD], out: &mut String) {
        let mut short = [0; 11];
        short.copy_from_slice(&record[..11]);
        let start = out.len();
        if let Some(units) = self.long.finish(&short) {
            if !self.ocaml || !bytewise(units, out) {
                out.extend(name::long(units));
            }
            let name = &out[start..];
            if !matches!(name, "" | "." | "..") && !name.contains('/') {
                return;
            }
            out.truncate(start);
        }
        name::short(&short, record[12], out);
    }
}

fn word(record: &[u8; RECORD], at: usize) -> u32 {
    u16::from_le_bytes([record[at], record[at + 1]]).into()
}

pub(super) fn is_directory(record: &[u8; RECORD]) -> bool {
    record[11] & DIRECTORY != 0
}

pub(super) fn size(record: &[u8; RECORD]) -> u32 {
    word(record, 28) | word(record, 30) << 16
}

/// The first cluster.
pub(super) fn cluster(record: &[u8; RECORD], kind: Kind) -> u32 {
    let high = match kind {
        // Other systems keep other things there.
        Kind::Fat12 | Kind::Fat16 => 0,
        Kind::Fat32 => word(record, 20) & 0x0fff,
    };
    word(record, 26) | high << 16
}

/// When it was last written, as it stands there: date and time.
pub(super) fn modified(record: &[u8; RECORD]) -> u32 {
    word(record, 24) << 16 | word(record, 22)
}

/// Most bytes that a name takes in UTF-8.
pub(super) const MAX_NAME: usize = name::MAX_UNITS * 3;

/// ocaml-fat makes a UTF-16 unit of each byte of a name in UTF-8. Undoes that, if it is that.
fn bytewise(units: &[u16], out: &mut String) -> bool {
    let mut bytes = [0; name::MAX_UNITS];
    let mut ascii = true;
    for (byte, unit) in bytes.iter_mut().zip(units) {
        let Ok(low) = u8::try_from(*unit) else {
            return false;
        };
        ascii &= low.is_ascii();
        *byte = low;
    }
    match core::str::from_utf8(&bytes[..units.len()]) {
        Ok(name) if !ascii => {
            out.push_str(name);
            true
        }
        _ => false,
    }
}

/// Seconds since 1970 for a date and a time as FAT has them, which are taken for UTC. `None` for
/// what is no date, as is common: zero, for one.
pub(super) fn unix_time(stamp: u32) -> Option<u64> {
    let bits = |from: u32, count: u32| stamp >> from & ((1 << count) - 1);
    let (hour, minute, second) = (bits(11, 5), bits(5, 6), bits(0, 5) * 2);
    let (year, month, day) = (1980 + bits(25, 7), bits(21, 4), bits(16, 5));
    if hour > 23 || minute > 59 || second > 59 || !(1..=12).contains(&month) {
        return None;
    }
    let second = u64::from(hour * 3600 + minute * 60 + second);
    date::unix(u64::from(year), u64::from(month), u64::from(day), second)
}
