//! The slots of a directory: 32 bytes each, a file's own or a piece of its long name.

use super::boot::SLOT;

/// Bits of a slot's attributes.
pub mod attributes {
    /// The file is not to be written.
    pub const READ_ONLY: u8 = 0x01;
    /// Not a file: the volume's label.
    pub const LABEL: u8 = 0x08;
    /// A directory.
    pub const DIRECTORY: u8 = 0x10;
    /// Changed since it was last archived: what writers set.
    pub const ARCHIVE: u8 = 0x20;
    /// All four of these: a piece of a long name.
    pub const LONG: u8 = 0x0f;
}

/// The first byte of a slot that is free, with slots in use behind it.
pub const DELETED: u8 = 0xe5;

/// UTF-16 units in a piece of a long name.
pub const PIECE: usize = 13;

/// A moment as FAT has it, in steps of two seconds, from 1980 to 2107, in no particular time zone;
/// UTC here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Year since 1980, month and day, in 7, 4 and 5 bits.
    pub date: u16,
    /// Hours, minutes and half the seconds, in 5, 6 and 5 bits.
    pub time: u16,
}

impl Stamp {
    /// 1980-01-01: what images have that must not depend on the clock.
    pub const FIRST: Self = Self {
        date: 1 << 5 | 1,
        time: 0,
    };

    /// Seconds since 1970, rounded down; the nearest moment there is if it has no other.
    pub fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let (year, month, day) = civil(days);
        let second = seconds.rem_euclid(86_400) as u32;
        let last = Self {
            date: 127 << 9 | 12 << 5 | 31,
            time: 23 << 11 | 59 << 5 | 29,
        };
        match year {
            ..1980 => Self::FIRST,
            2108.. => last,
            _ => Self {
                date: (year as u16 - 1980) << 9 | month << 5 | day,
                time: ((second / 3600) << 11 | (second / 60 % 60) << 5 | (second % 60 / 2)) as u16,
            },
        }
    }

    /// Seconds since 1970; `None` for what is no day or no time.
    pub fn unix(self) -> Option<i64> {
        let (year, month, day) = (self.date >> 9, self.date >> 5 & 0xf, self.date & 0x1f);
        let (hour, minute, half) = (self.time >> 11, self.time >> 5 & 0x3f, self.time & 0x1f);
        if !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || half > 29 {
            return None;
        }
        let days = days_from_civil(i64::from(year) + 1980, month.into(), day.into());
        if civil(days) != (i64::from(year) + 1980, month, day) {
            return None;
        }
        let seconds = u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(half) * 2;
        Some(days * 86_400 + i64::from(seconds))
    }
}

/// Year, month and day of a number of days since 1970. Source: Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: i64) -> (i64, u16, u16) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month as u16, day as u16)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A slot that is a file's, a directory's or the label's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its short name, as it stands there, with 05 for a first E5.
    pub short: [u8; 11],
    /// See [`attributes`].
    pub attributes: u8,
    /// 08: the short name before the dot is in lower case, 10: that behind it is.
    pub lower: u8,
    /// When it was last written.
    pub modified: Stamp,
    /// Its first cluster, 0 for none.
    pub cluster: u32,
    /// Bytes in the file.
    pub size: u32,
}

impl Record {
    /// Reads a slot.
    pub fn decode(slot: &[u8; SLOT as usize], wide: bool) -> Self {
        let u16_at = |at: usize| u16::from_le_bytes([slot[at], slot[at + 1]]);
        let high = if wide { u32::from(u16_at(20)) } else { 0 };
        Self {
            short: std::array::from_fn(|at| slot[at]),
            attributes: slot[11],
            lower: slot[12],
            modified: Stamp {
                date: u16_at(24),
                time: u16_at(22),
            },
            cluster: high << 16 | u32::from(u16_at(26)),
            size: u32::from_le_bytes([slot[28], slot[29], slot[30], slot[31]]),
        }
    }

    /// A slot of a new file, created when it was last written.
    pub fn encode(&self) -> [u8; SLOT as usize] {
        let mut slot = [0; SLOT as usize];
        let mut put = |at: usize, bytes: &[u8]| slot[at..at + bytes.len()].copy_from_slice(bytes);
        let (date, time) = (
            self.modified.date.to_le_bytes(),
            self.modified.time.to_le_bytes(),
        );
        put(0, &self.short);
        put(11, &[self.attributes, self.lower]);
        put(14, &time);
        put(16, &date);
        put(18, &date);
        put(20, &((self.cluster >> 16) as u16).to_le_bytes());
        put(22, &time);
        put(24, &date);
        put(26, &(self.cluster as u16).to_le_bytes());
        put(28, &self.size.to_le_bytes());
        slot
    }

    /// Whether it is a directory's.
    pub fn is_directory(&self) -> bool {
        self.attributes & attributes::DIRECTORY != 0
    }

    /// Whether it is the label's.
    pub fn is_label(&self) -> bool {
        self.attributes & attributes::LABEL != 0
    }
}

/// A slot that holds a piece of a long name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// 1 for the name's first piece, which is the last before the file's own slot.
    pub order: u8,
    /// The name's last piece, which comes first.
    pub last: bool,
    /// The short name's [`checksum`].
    pub sum: u8,
    /// UTF-16, ended with 0 and then filled with FFFF if it is short of 13.
    pub units: [u16; PIECE],
    /// Whether the fields that should be 0 are.
    pub proper: bool,
}

const UNITS_AT: [usize; PIECE] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
const LAST: u8 = 0x40;

impl Piece {
    /// Reads a slot whose attributes are [`attributes::LONG`].
    pub fn decode(slot: &[u8; SLOT as usize]) -> Self {
        Self {
            order: slot[0] & !LAST,
            last: slot[0] & LAST != 0,
            sum: slot[13],
            units: UNITS_AT.map(|at| u16::from_le_bytes([slot[at], slot[at + 1]])),
            proper: slot[12] == 0 && slot[26..28] == [0, 0],
        }
    }

    /// The slot.
    pub fn encode(&self) -> [u8; SLOT as usize] {
        let mut slot = [0; SLOT as usize];
        slot[0] = self.order | if self.last { LAST } else { 0 };
        slot[11] = attributes::LONG;
        slot[13] = self.sum;
        for (at, unit) in UNITS_AT.into_iter().zip(self.units) {
            slot[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        slot
    }
}

/// The sum of a short name that ties the pieces of a long name to it.
pub fn checksum(short: &[u8; 11]) -> u8 {
    short
        .iter()
        .fold(0u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// The slots of a new entry: the pieces of its long name, if it needs one, then its own.
pub fn slots(record: &Record, long: Option<&str>) -> Vec<[u8; SLOT as usize]> {
    let mut out = Vec::new();
    if let Some(name) = long {
        let units: Vec<u16> = name.encode_utf16().collect();
        let count = units.len().div_ceil(PIECE);
        for at in (0..count).rev() {
            let part = &units[at * PIECE..units.len().min((at + 1) * PIECE)];
            let mut piece = [0xffff; PIECE];
            piece[..part.len()].copy_from_slice(part);
            if let Some(end) = piece.get_mut(part.len()) {
                *end = 0;
            }
            out.push(
                Piece {
                    order: at as u8 + 1,
                    last: at + 1 == count,
                    sum: checksum(&record.short),
                    units: piece,
                    proper: true,
                }
                .encode(),
            );
        }
    }
    out.push(record.encode());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps() {
        assert_eq!(Stamp::from_unix(0), Stamp::FIRST);
        assert_eq!(Stamp::FIRST.unix(), Some(315_532_800));
        assert_eq!(Stamp::from_unix(i64::MAX / 2).unix(), Some(4_354_819_198));
        for seconds in (315_532_800..4_354_819_200).step_by(7_777_778) {
            assert_eq!(
                Stamp::from_unix(seconds).unix(),
                Some(seconds & !1),
                "{seconds}"
            );
        }
        let leap = Stamp::from_unix(1_709_208_001);
        assert_eq!((leap.date >> 5 & 0xf, leap.date & 0x1f), (2, 29));
        for bad in [
            (0, 0),
            (13 << 5 | 1, 0),
            (2 << 5 | 30, 0),
            (1 << 5 | 1, 24 << 11),
        ] {
            let (date, time) = bad;
            assert_eq!(Stamp { date, time }.unix(), None, "{bad:?}");
        }
    }

    #[test]
    fn a_long_entry_in_bytes() {
        let record = Record {
            short: *b"TEN-CH~1TXT",
            attributes: attributes::ARCHIVE,
            lower: 0,
            modified: Stamp::from_unix(1_000_000_000),
            cluster: 0x0012_3456,
            size: 7,
        };
        let slots = slots(&record, Some("ten-characters.txt"));
        assert_eq!(slots.len(), 3);
        assert_eq!(slots[0][..7], *b"\x42s\0.\0t\0");
        assert_eq!(slots[0][7..11], *b"x\0t\0");
        assert_eq!(slots[0][14..18], *b"\0\0\xff\xff");
        assert_eq!(slots[1][..5], *b"\x01t\0e\0");
        assert_eq!(slots[1][13], checksum(b"TEN-CH~1TXT"));
        assert_eq!(slots[2][..12], *b"TEN-CH~1TXT\x20");
        assert_eq!(slots[2][20..22], [0x12, 0]);
        assert_eq!(slots[2][26..], [0x56, 0x34, 7, 0, 0, 0]);
        assert_eq!(Record::decode(&slots[2], true), record);
        assert!(Piece::decode(&slots[0]).last);
        assert_eq!(Piece::decode(&slots[1]).order, 1);
    }
}
