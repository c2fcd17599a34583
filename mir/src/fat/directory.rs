//! A directory's bytes, read: which files they name, and what is odd about them.

use std::collections::HashMap;

use super::boot::SLOT;
use super::name;
use super::problem::What;
use super::record::{DELETED, PIECE, Piece, Record, attributes, checksum};

/// A file or folder that a directory names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its long name; the short one if it has no other.
    pub name: String,
    /// Whether it has a long name.
    pub long: bool,
    /// Its own slot.
    pub record: Record,
    /// The slot at which its long name begins.
    pub first: usize,
    /// The number of its own slot.
    pub at: usize,
}

/// What a directory holds.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Files and folders, in their order; without `.`, `..` and the label.
    pub entries: Vec<Entry>,
    /// `.` and `..` with the numbers of their slots.
    pub dots: Vec<(usize, Record)>,
    /// The volume's label and its slot.
    pub label: Option<(usize, Record)>,
    /// Slots up to the mark behind the last one in use.
    pub used: usize,
    /// What is wrong, with the number of the slot.
    pub odd: Vec<(usize, What)>,
}

/// The start of `.`'s and of `..`'s slot.
pub const DOT: [u8; 11] = *b".          ";
/// See [`DOT`].
pub const DOT_DOT: [u8; 11] = *b"..         ";

impl Directory {
    /// Reads a directory; `wide` as on FAT32.
    pub fn parse(bytes: &[u8], wide: bool) -> Self {
        let mut out = Self::default();
        let mut long = Long::None;
        for (at, slot) in bytes.as_chunks::<{ SLOT as usize }>().0.iter().enumerate() {
            if slot[0] == 0 {
                break;
            }
            out.used = at + 1;
            if slot[0] == DELETED {
                out.drop_long(&mut long);
            } else if slot[11] & 0x3f == attributes::LONG {
                let piece = Piece::decode(slot);
                if !piece.proper {
                    out.odd.push((at, What::Piece));
                }
                let next = long.with(at, piece);
                if let Err(what) = &next {
                    out.odd.push((at, what.clone()));
                }
                long = next.unwrap_or(Long::None);
            } else {
                let record = Record::decode(slot, wide);
                if record.short == DOT || record.short == DOT_DOT {
                    out.drop_long(&mut long);
                    out.dots.push((at, record));
                } else if record.is_label() {
                    out.drop_long(&mut long);
                    if record.cluster != 0 || record.size != 0 {
                        out.odd.push((at, What::FullLabel));
                    }
                    out.label.get_or_insert((at, record));
                } else {
                    out.file(at, record, std::mem::replace(&mut long, Long::None));
                }
            }
        }
        out.drop_long(&mut long);
        let mut behind = bytes
            .as_chunks::<{ SLOT as usize }>()
            .0
            .iter()
            .skip(out.used);
        if let Some(at) = behind.position(|slot| ![0, DELETED].contains(&slot[0])) {
            out.odd.push((out.used + at, What::Behind));
        }
        out.find_twins();
        out
    }

    fn drop_long(&mut self, long: &mut Long) {
        if let Long::Some { first, .. } = std::mem::replace(long, Long::None) {
            self.odd.push((first, What::Orphan));
        }
    }

    fn file(&mut self, at: usize, record: Record, long: Long) {
        let (first, found) = match long {
            Long::None => (at, None),
            Long::Some {
                first,
                wants,
                sum,
                units,
            } => match sum == checksum(&record.short) {
                _ if wants != 0 => (at, self.note(first, What::Order)),
                false => (at, self.note(at, What::Sum)),
                true => (first, Some(units)),
            },
        };
        let units = found.map(|units: Vec<u16>| {
            let end = units.iter().position(|unit| *unit == 0);
            units[..end.unwrap_or(units.len())].to_vec()
        });
        let name = match &units {
            Some(units) => {
                let name = String::from_utf16(units);
                let why = match &name {
                    Err(_) => Some(What::Utf16),
                    Ok(name) => name::check(name).err().map(What::Name),
                };
                if let Some(what) = why {
                    self.odd.push((at, what));
                }
                name.unwrap_or_else(|_| String::from_utf16_lossy(units))
            }
            None => name::decode(&record.short, record.lower),
        };
        if !is_proper(&record.short) {
            self.odd.push((at, What::ShortName));
        }
        self.entries.push(Entry {
            name,
            long: units.is_some(),
            record,
            first,
            at,
        });
    }

    fn note<T>(&mut self, at: usize, what: What) -> Option<T> {
        self.odd.push((at, what));
        None
    }

    fn find_twins(&mut self) {
        let mut longs = HashMap::new();
        let mut shorts = HashMap::new();
        for entry in &self.entries {
            let long = longs.insert(name::fold(&entry.name), ()).is_some();
            let short = shorts.insert(entry.record.short, ()).is_some();
            if long {
                self.odd.push((entry.at, What::Twice(entry.name.clone())));
            } else if short {
                let name = name::decode(&entry.record.short, 0);
                self.odd.push((entry.at, What::Twice(name)));
            }
        }
        self.odd.sort_by_key(|(at, _)| *at);
    }
}

/// Whether a short name has only characters that one may have.
fn is_proper(short: &[u8; 11]) -> bool {
    let bad = |byte: &u8| {
        let control = *byte < b' ' && !(*byte == 0x05 && byte == &short[0]);
        control || *byte == 0x7f || b"\"*+,./:;<=>?[\\]|".contains(byte)
    };
    short[0] != b' ' && !short.iter().any(bad)
}

/// The pieces of a long name so far.
enum Long {
    None,
    Some {
        first: usize,
        /// How many pieces are still to come.
        wants: u8,
        sum: u8,
        units: Vec<u16>,
    },
}

impl Long {
    fn with(&mut self, at: usize, piece: Piece) -> Result<Self, What> {
        let old = std::mem::replace(self, Self::None);
        match old {
            Self::Some { .. } if piece.last => Err(What::Orphan),
            Self::None if !piece.last => Err(What::Orphan),
            Self::None if !(1..=20).contains(&piece.order) => Err(What::Order),
            Self::None => Ok(Self::Some {
                first: at,
                wants: piece.order - 1,
                sum: piece.sum,
                units: piece.units.to_vec(),
            }),
            Self::Some {
                first,
                wants,
                sum,
                units,
            } => {
                if piece.order == 0 || piece.order != wants || piece.sum != sum {
                    return Err(What::Order);
                }
                let units = [&piece.units as &[u16], &units].concat();
                debug_assert!(units.len() <= 20 * PIECE);
                Ok(Self::Some {
                    first,
                    wants: wants - 1,
                    sum,
                    units,
                })
            }
        }
    }
}
