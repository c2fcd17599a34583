//! xenstore's messages as bytes: what client and server both say.
//!
//! A message is a header of four little-endian words (type, request, transaction, length) and a
//! payload of at most [`PAYLOAD_MAX`] bytes. Source: xen/include/public/io/xs_wire.h (4.20).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// The longest payload. Whoever sends more is cut off.
pub const PAYLOAD_MAX: usize = 4096;
/// The longest absolute path.
pub const ABS_PATH_MAX: usize = 3072;
/// The length of a header.
pub const HEADER_LEN: usize = 16;

const TYPE: Range<usize> = 0..4;
const REQ_ID: Range<usize> = 4..8;
const TX_ID: Range<usize> = 8..12;
const LEN: Range<usize> = 12..16;

/// What a message is about; replies carry the type of their request, or [`Kind::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)] // the header's names
pub enum Kind {
    Control = 0,
    Directory = 1,
    Read = 2,
    GetPerms = 3,
    Watch = 4,
    Unwatch = 5,
    TransactionStart = 6,
    TransactionEnd = 7,
    Introduce = 8,
    Release = 9,
    GetDomainPath = 10,
    Write = 11,
    Mkdir = 12,
    Rm = 13,
    SetPerms = 14,
    WatchEvent = 15,
    Error = 16,
    IsDomainIntroduced = 17,
    Resume = 18,
    SetTarget = 19,
    ResetWatches = 21,
    DirectoryPart = 22,
}

impl Kind {
    /// The type with this number.
    pub fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Control,
            1 => Self::Directory,
            2 => Self::Read,
            3 => Self::GetPerms,
            4 => Self::Watch,
            5 => Self::Unwatch,
            6 => Self::TransactionStart,
            7 => Self::TransactionEnd,
            8 => Self::Introduce,
            9 => Self::Release,
            10 => Self::GetDomainPath,
            11 => Self::Write,
            12 => Self::Mkdir,
            13 => Self::Rm,
            14 => Self::SetPerms,
            15 => Self::WatchEvent,
            16 => Self::Error,
            17 => Self::IsDomainIntroduced,
            18 => Self::Resume,
            19 => Self::SetTarget,
            21 => Self::ResetWatches,
            22 => Self::DirectoryPart,
            _ => return None,
        })
    }
}

/// An error as xenstore names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // POSIX's names
pub enum Errno {
    EINVAL,
    EACCES,
    EEXIST,
    EISDIR,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EIO,
    ENOTEMPTY,
    ENOSYS,
    EROFS,
    EBUSY,
    EAGAIN,
    EISCONN,
    E2BIG,
    EPERM,
    /// A name that the header does not list.
    Unknown,
}

const ERRORS: [(&str, Errno); 16] = [
    ("EINVAL", Errno::EINVAL),
    ("EACCES", Errno::EACCES),
    ("EEXIST", Errno::EEXIST),
    ("EISDIR", Errno::EISDIR),
    ("ENOENT", Errno::ENOENT),
    ("ENOMEM", Errno::ENOMEM),
    ("ENOSPC", Errno::ENOSPC),
    ("EIO", Errno::EIO),
    ("ENOTEMPTY", Errno::ENOTEMPTY),
    ("ENOSYS", Errno::ENOSYS),
    ("EROFS", Errno::EROFS),
    ("EBUSY", Errno::EBUSY),
    ("EAGAIN", Errno::EAGAIN),
    ("EISCONN", Errno::EISCONN),
    ("E2BIG", Errno::E2BIG),
    ("EPERM", Errno::EPERM),
];

impl Errno {
    /// The error that the payload of an [`Kind::Error`] message names, with or without its NUL.
    pub fn from_payload(payload: &[u8]) -> Self {
        let name = payload.strip_suffix(b"\0").unwrap_or(payload);
        ERRORS
            .iter()
            .find(|(known, _)| known.as_bytes() == name)
            .map_or(Self::Unknown, |&(_, errno)| errno)
    }

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        ERRORS
            .iter()
            .find(|&&(_, errno)| errno == self)
            .map_or("an unknown error", |(name, _)| name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The fixed part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// See [`Kind`].
    pub kind: u32,
    /// Chosen by the client, echoed by the server.
    pub req_id: u32,
    /// The transaction, 0 for none.
    pub tx_id: u32,
    /// Bytes of payload.
    pub len: u32,
}

impl Header {
    /// As bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        for (range, word) in [
            (TYPE, self.kind),
            (REQ_ID, self.req_id),
            (TX_ID, self.tx_id),
            (LEN, self.len),
        ] {
            bytes[range].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From bytes.
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Self {
        let word = |range: Range<usize>| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[range]);
            u32::from_le_bytes(word)
        };
        Self {
            kind: word(TYPE),
            req_id: word(REQ_ID),
            tx_id: word(TX_ID),
            len: word(LEN),
        }
    }
}

/// Why a message was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// Its payload would be longer than [`PAYLOAD_MAX`].
    TooLong,
    /// No memory to queue it.
    OutOfMemory,
}

/// Appends a message to `out`, its payload being `parts` one after the other. On an error nothing
/// is appended.
pub fn encode(
    out: &mut VecDeque<u8>,
    kind: Kind,
    req_id: u32,
    tx_id: u32,
    parts: &[&[u8]],
) -> Result<(), EncodeError> {
    let len = parts
        .iter()
        .try_fold(0usize, |sum, part| sum.checked_add(part.len()))
        .filter(|&len| len <= PAYLOAD_MAX)
        .ok_or(EncodeError::TooLong)?;
    out.try_reserve(HEADER_LEN + len)
        .map_err(|_| EncodeError::OutOfMemory)?;
    let header = Header {
        kind: kind as u32,
        req_id,
        tx_id,
        len: len as u32,
    };
    out.extend(header.encode());
    for part in parts {
        out.extend(*part);
    }
    Ok(())
}

/// A message as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is about.
    pub kind: Kind,
    /// The request that it is, or answers.
    pub req_id: u32,
    /// The transaction, 0 for none.
    pub tx_id: u32,
    /// At most [`PAYLOAD_MAX`] bytes.
    pub payload: &'a [u8],
}

/// Why a stream of messages cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A type that does not exist.
    UnknownType(u32),
    /// A payload longer than [`PAYLOAD_MAX`].
    TooLong(u32),
}

/// Cuts a stream of bytes, in chunks of any size, into messages.
///
/// It has room for the longest message from the start, and never allocates after that.
#[derive(Debug)]
pub struct Decoder {
    header: [u8; HEADER_LEN],
    header_len: usize,
    payload: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a message.
    pub fn new() -> Self {
        Self {
            header: [0; HEADER_LEN],
            header_len: 0,
            payload: Vec::with_capacity(PAYLOAD_MAX),
        }
    }

    /// Takes bytes off the front of `input`, and stops after the first message that is complete.
    /// `None`: `input` is used up. After an error the stream has no known boundaries any more, and
    /// every call fails.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message<'_>>, DecodeError> {
        if self.header_len < HEADER_LEN {
            let taken = take(input, HEADER_LEN - self.header_len);
            self.header[self.header_len..][..taken.len()].copy_from_slice(taken);
            self.header_len += taken.len();
            if self.header_len < HEADER_LEN {
                return Ok(None);
            }
            self.payload.clear();
        }
        let header = Header::decode(&self.header);
        let kind = Kind::from_u32(header.kind).ok_or(DecodeError::UnknownType(header.kind))?;
        let len = header.len as usize;
        if len > PAYLOAD_MAX {
            return Err(DecodeError::TooLong(header.len));
        }
        self.payload
            .extend_from_slice(take(input, len - self.payload.len()));
        if self.payload.len() < len {
            return Ok(None);
        }
        self.header_len = 0;
        Ok(Some(Message {
            kind,
            req_id: header.req_id,
            tx_id: header.tx_id,
            payload: &self.payload,
        }))
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

/// The strings of a payload, each of which a NUL ends. `None` if the last one has none.
pub fn strings(payload: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let text = match payload {
        [] => None,
        [text @ .., 0] => Some(text),
        _ => return None,
    };
    Some(text.into_iter().flat_map(|text| text.split(|&b| b == 0)))
}

/// A payload that is exactly two strings: the path and the token of a watch or of its event.
pub fn two_strings(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut strings = strings(payload)?;
    let pair = (strings.next()?, strings.next()?);
    strings.next().is_none().then_some(pair)
}

/// A decimal number, with or without a NUL behind it.
pub fn number(payload: &[u8]) -> Option<u32> {
    let digits = payload.strip_suffix(b"\0").unwrap_or(payload);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::vec;

    use super::*;

    #[test]
    fn golden_bytes() {
        let mut out = VecDeque::new();
        encode(&mut out, Kind::Read, 0x01020304, 7, &[b"device", b"\0"]).unwrap();
        let bytes: Vec<u8> = out.into();
        assert_eq!(
            bytes,
            b"\x02\0\0\0\x04\x03\x02\x01\x07\0\0\0\x07\0\0\0device\0"
        );
        let mut input = &bytes[..];
        let mut decoder = Decoder::new();
        let message = decoder.next(&mut input).unwrap().unwrap();
        assert_eq!(message.kind, Kind::Read);
        assert_eq!((message.req_id, message.tx_id), (0x01020304, 7));
        assert_eq!(message.payload, b"device\0");
        assert!(input.is_empty());
    }

    #[test]
    fn kinds_have_the_headers_numbers() {
        let known: Vec<u32> = (0..64).filter(|&n| Kind::from_u32(n).is_some()).collect();
        let listed: Vec<u32> = (0..=22).filter(|&n| n != 20).collect();
        assert_eq!(known, listed);
        for n in known {
            assert_eq!(Kind::from_u32(n).unwrap() as u32, n);
        }
        assert_eq!(Kind::from_u32(0xffff), None);
    }

    #[test]
    fn errors_have_names() {
        for (name, errno) in ERRORS {
            assert_eq!(Errno::from_payload(name.as_bytes()), errno);
            assert_eq!(errno.name(), name);
        }
        assert_eq!(Errno::from_payload(b"EAGAIN\0"), Errno::EAGAIN);
        for other in [&b""[..], b"\0", b"EAGAIN\0\0", b"eagain", b"\xff\xfe"] {
            assert_eq!(Errno::from_payload(other), Errno::Unknown);
        }
    }

    #[test]
    fn too_long_is_refused_both_ways() {
        let mut out = VecDeque::from(vec![9]);
        let value = [b'x'; PAYLOAD_MAX];
        let write =
            |out: &mut VecDeque<u8>, value: &[u8]| encode(out, Kind::Write, 1, 0, &[b"p\0", value]);
        assert_eq!(
            write(&mut out, &value[1..]),
            Err(EncodeError::TooLong),
            "4097 bytes"
        );
        assert_eq!(out, [9]);
        write(&mut out, &value[2..]).unwrap();
        assert_eq!(out.len(), 1 + HEADER_LEN + PAYLOAD_MAX);

        let header = Header {
            kind: Kind::Read as u32,
            req_id: 0,
            tx_id: 0,
            len: PAYLOAD_MAX as u32 + 1,
        };
        let mut decoder = Decoder::new();
        let verdict = decoder.next(&mut &header.encode()[..]);
        assert_eq!(verdict, Err(DecodeError::TooLong(4097)));
    }

    #[test]
    fn an_unknown_type_is_an_error() {
        let header = Header {
            kind: 20,
            req_id: 0,
            tx_id: 0,
            len: 0,
        };
        let mut decoder = Decoder::new();
        for _ in 0..2 {
            let verdict = decoder.next(&mut &header.encode()[..]);
            assert_eq!(verdict, Err(DecodeError::UnknownType(20)));
        }
    }

    #[test]
    fn payloads_of_strings() {
        let list = |payload| strings(payload).map(|s| s.collect::<Vec<_>>());
        assert_eq!(list(b""), Some(vec![]));
        assert_eq!(list(b"\0"), Some(vec![&b""[..]]));
        assert_eq!(list(b"0\x00vif\0"), Some(vec![&b"0"[..], b"vif"]));
        assert_eq!(list(b"0\x00vif"), None);
        assert_eq!(
            two_strings(b"path\0token\0"),
            Some((&b"path"[..], &b"token"[..]))
        );
        for bad in [&b""[..], b"\0", b"path\0", b"path\0token", b"a\0b\0c\0"] {
            assert_eq!(two_strings(bad), None, "{bad:?}");
        }
        assert_eq!((number(b"17\0"), number(b"0")), (Some(17), Some(0)));
        for bad in [
            &b""[..],
            b"\0",
            b"+1",
            b"-1",
            b"4294967296",
            b"1 ",
            b"1\0\0",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    type Owned = (u32, u32, u32, Vec<u8>);

    fn message() -> impl Strategy<Value = Owned> {
        let kind = (0u32..23).prop_filter("a type", |&n| Kind::from_u32(n).is_some());
        let payload = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..40),
            1 => prop::collection::vec(any::<u8>(), PAYLOAD_MAX - 1..=PAYLOAD_MAX),
        ];
        (kind, any::<u32>(), any::<u32>(), payload)
    }

    proptest! {
        #[test]
        fn any_chunks_give_the_same_messages(
            messages in prop::collection::vec(message(), 0..6),
            cuts in prop::collection::vec(1usize..200, 1..20),
        ) {
            let mut out = VecDeque::new();
            for (kind, req_id, tx_id, payload) in &messages {
                let kind = Kind::from_u32(*kind).unwrap();
                encode(&mut out, kind, *req_id, *tx_id, &[payload]).unwrap();
            }
            let bytes: Vec<u8> = out.into();
            let mut decoder = Decoder::new();
            let mut seen: Vec<Owned> = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (mut chunk, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                while let Some(m) = decoder.next(&mut chunk).unwrap() {
                    seen.push((m.kind as u32, m.req_id, m.tx_id, m.payload.to_vec()));
                }
                prop_assert!(chunk.is_empty());
            }
            prop_assert_eq!(seen, messages);
        }

        #[test]
        fn garbage_is_an_error_or_bounded(bytes in prop::collection::vec(any::<u8>(), 0..5000)) {
            let mut decoder = Decoder::new();
            let mut input = &bytes[..];
            while let Ok(Some(message)) = decoder.next(&mut input) {
                prop_assert!(message.payload.len() <= PAYLOAD_MAX);
            }
        }
    }
}
