//! The end of a file that carries a pack, such as an executable with its site behind it.

use core::fmt;

use twox_hash::XxHash3_64;

use super::record::{put_u64, u64_at};

/// The last bytes of the file: where in it the pack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Where the pack begins, from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Why the end of a file is not a trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailerError {
    /// The file carries no pack.
    None,
    /// It carried one, and was altered since.
    Damaged,
}

impl fmt::Display for TrailerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "the file carries no pack",
            Self::Damaged => "the file is damaged: its trailer does not fit it",
        })
    }
}

impl core::error::Error for TrailerError {}

const MAGIC: [u8; 8] = *b"MIRTRAIL";

impl Trailer {
    /// Length of a trailer in bytes.
    pub const LEN: usize = 32;

    /// Its bytes: magic, offset, length, and xxh3 of these three.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&MAGIC);
        put_u64(&mut out, 8, self.offset);
        put_u64(&mut out, 16, self.length);
        let hash = XxHash3_64::oneshot(&out[..24]);
        put_u64(&mut out, 24, hash);
        out
    }

    /// Reads the last bytes of a file that has `file_len` bytes. What comes out lies within it.
    pub fn decode(from: &[u8; Self::LEN], file_len: u64) -> Result<Self, TrailerError> {
        if from[..8] != MAGIC {
            return Err(TrailerError::None);
        }
        let trailer = Self {
            offset: u64_at(from, 8),
            length: u64_at(from, 16),
        };
        let end = trailer.offset.checked_add(trailer.length);
        let end = end.and_then(|e| e.checked_add(Self::LEN as u64));
        if XxHash3_64::oneshot(&from[..24]) != u64_at(from, 24) || end != Some(file_len) {
            return Err(TrailerError::Damaged);
        }
        Ok(trailer)
    }
}
