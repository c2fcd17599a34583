//! The end of a file that carries a pack, such as an executable with its site behind it.

use core::fmt;

use twox_hash::XxHash3_64;

use super::record::{put_u64, u64_at};

/// The last bytes of the file: what is before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Where the pack begins, from the start of the file.
    pub offset: u64,
    /// Bytes from there to the trailer: the pack, and what else was put in.
    pub total: u64,
    /// Length of the pack in bytes; 0 if there is none.
    pub length: u64,
    /// Where the words begin that are read before the command line's, from the start of the file.
    pub words: u64,
    /// Their length in bytes.
    pub words_length: u64,
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
    pub const LEN: usize = 56;

    /// Its bytes: magic, the fields, and xxh3 of these.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&MAGIC);
        put_u64(&mut out, 8, self.offset);
        put_u64(&mut out, 16, self.total);
        put_u64(&mut out, 24, self.length);
        put_u64(&mut out, 32, self.words);
        put_u64(&mut out, 40, self.words_length);
        let hash = XxHash3_64::oneshot(&out[..48]);
        put_u64(&mut out, 48, hash);
        out
    }

    /// Reads the last bytes of a file that has `file_len` bytes. What comes out lies within it.
    pub fn decode(from: &[u8; Self::LEN], file_len: u64) -> Result<Self, TrailerError> {
        if from[..8] != MAGIC {
            return Err(TrailerError::None);
        }
        let trailer = Self {
            offset: u64_at(from, 8),
            total: u64_at(from, 16),
            length: u64_at(from, 24),
            words: u64_at(from, 32),
            words_length: u64_at(from, 40),
        };
        let whole = XxHash3_64::oneshot(&from[..48]) == u64_at(from, 48);
        if whole && trailer.fits(file_len) == Some(true) {
            Ok(trailer)
        } else {
            Err(TrailerError::Damaged)
        }
    }

    /// Whether everything lies where it can; `None` where that is beyond all numbers.
    fn fits(&self, file_len: u64) -> Option<bool> {
        let end = self.offset.checked_add(self.total)?;
        let pack_end = self.offset.checked_add(self.length)?;
        let words_end = self.words.checked_add(self.words_length)?;
        let words = self.words_length == 0 || self.words >= pack_end && words_end <= end;
        Some(words && pack_end <= end && end.checked_add(Self::LEN as u64)? == file_len)
    }
}
