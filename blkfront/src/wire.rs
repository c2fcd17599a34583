//! The records on the ring, as bytes: both directions of each, so that both ends of the wire read
//! one definition.
//!
//! Layouts are those of Xen's [`public/io/blkif.h`] for x86-64. Decoding never fails: what a number
//! means, and whether it may be believed, is for the reader of the record. Sectors are of 512 bytes
//! here, whatever the device's are.
//!
//! [`public/io/blkif.h`]: https://xenbits.xen.org/gitweb/?p=xen.git;a=blob;f=xen/include/public/io/blkif.h;hb=RELEASE-4.19.0

use core::ops::Range;

use minios::ring::request::{Protocol, Record};

/// Bytes of a slot on the ring.
pub const SLOT: usize = 112;

/// Bytes of a response, at the start of its slot.
pub const RESPONSE: usize = 16;

/// The protocol's unit, in which all sectors are numbered.
pub const SECTOR: usize = 512;

/// Segments that find room in a request's own slot.
pub const DIRECT: usize = 11;

/// Bytes of a segment's description.
pub const SEGMENT: usize = 8;

/// Segments that find room in a page of their own.
pub const INDIRECT: usize = minios::PAGE_SIZE / SEGMENT;

/// The most pages of segments that an indirect request can name.
pub const INDIRECT_PAGES: usize = 8;

/// The ring. Its requests are bytes, for what they are depends on their first one.
#[derive(Debug)]
pub struct BlkRing;

impl Protocol for BlkRing {
    const SLOT: usize = SLOT;
    type Request = [u8; SLOT];
    type Response = Response;
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// Sectors into pages.
    Read = 0,
    /// Pages into sectors.
    Write = 1,
    /// What was written before and answered is on the medium when this is answered.
    Flush = 3,
    /// A read or write whose segments lie in pages of their own.
    Indirect = 6,
}

impl Operation {
    /// From its number.
    pub fn parse(number: u8) -> Option<Self> {
        use Operation::*;
        [Read, Write, Flush, Indirect]
            .into_iter()
            .find(|&operation| operation as u8 == number)
    }
}

/// A response's verdict: done.
pub const STATUS_OKAY: i16 = 0;
/// A response's verdict: it could not be done.
pub const STATUS_ERROR: i16 = -1;
/// A response's verdict: no such operation here.
pub const STATUS_UNSUPPORTED: i16 = -2;

/// A piece of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The page's grant.
    pub grant: u32,
    /// Its first sector in the page, 0 to 7.
    pub first: u8,
    /// Its last one.
    pub last: u8,
}

mod segment {
    use core::ops::Range;
    pub(super) const GRANT: Range<usize> = 0..4;
    pub(super) const FIRST: usize = 4;
    pub(super) const LAST: usize = 5;
}

impl Segment {
    /// As bytes; the last two are padding.
    pub fn encode(&self) -> [u8; SEGMENT] {
        use segment::*;
        let mut bytes = [0; SEGMENT];
        bytes[GRANT].copy_from_slice(&self.grant.to_le_bytes());
        bytes[FIRST] = self.first;
        bytes[LAST] = self.last;
        bytes
    }

    /// From a copy of its bytes.
    pub fn decode(bytes: &[u8; SEGMENT]) -> Self {
        use segment::*;
        Segment {
            grant: u32_at(bytes, GRANT),
            first: bytes[FIRST],
            last: bytes[LAST],
        }
    }
}

/// A request with its segments, or without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of its [`Operation`].
    pub operation: u8,
    /// How many segments there are.
    pub count: u8,
    /// The device's number, as far as 16 bits hold it.
    pub handle: u16,
    /// Echoed in the response.
    pub id: u64,
    /// Where on the device it begins.
    pub sector: u64,
    /// Its segments.
    pub segments: [Segment; DIRECT],
}

mod request {
    use core::ops::Range;
    pub(super) const OPERATION: usize = 0;
    pub(super) const COUNT: usize = 1;
    pub(super) const HANDLE: Range<usize> = 2..4;
    pub(super) const ID: Range<usize> = 8..16;
    pub(super) const SECTOR: Range<usize> = 16..24;
    pub(super) const SEGMENTS: Range<usize> = 24..112;
}

impl Request {
    /// As the slot's bytes.
    pub fn encode(&self) -> [u8; SLOT] {
        use request::*;
        let mut slot = [0; SLOT];
        slot[OPERATION] = self.operation;
        slot[COUNT] = self.count;
        slot[HANDLE].copy_from_slice(&self.handle.to_le_bytes());
        slot[ID].copy_from_slice(&self.id.to_le_bytes());
        slot[SECTOR].copy_from_slice(&self.sector.to_le_bytes());
        let (bytes, _) = slot[SEGMENTS].as_chunks_mut::<SEGMENT>();
        for (bytes, segment) in bytes.iter_mut().zip(&self.segments) {
            *bytes = segment.encode();
        }
        slot
    }

    /// From a copy of the slot.
    pub fn decode(slot: &[u8; SLOT]) -> Self {
        use request::*;
        let mut segments = [Segment::default(); DIRECT];
        let (bytes, _) = slot[SEGMENTS].as_chunks::<SEGMENT>();
        for (segment, bytes) in segments.iter_mut().zip(bytes) {
            *segment = Segment::decode(bytes);
        }
        Request {
            operation: slot[OPERATION],
            count: slot[COUNT],
            handle: u16_at(slot, HANDLE),
            id: u64_at(slot, ID),
            sector: u64_at(slot, SECTOR),
            segments,
        }
    }
}

/// A request whose segments lie in pages of their own, [`INDIRECT`] in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndirectRequest {
    /// The number of the [`Operation`] that is meant: to read or to write.
    pub operation: u8,
    /// How many segments there are.
    pub count: u16,
    /// The device's number, as far as 16 bits hold it.
    pub handle: u16,
    /// Echoed in the response.
    pub id: u64,
    /// Where on the device it begins.
    pub sector: u64,
    /// The grants of the pages of segments, as many as are needed.
    pub grants: [u32; INDIRECT_PAGES],
}

mod indirect {
    use core::ops::Range;
    pub(super) const OPERATION: usize = 0;
    pub(super) const MEANT: usize = 1;
    pub(super) const COUNT: Range<usize> = 2..4;
    pub(super) const ID: Range<usize> = 8..16;
    pub(super) const SECTOR: Range<usize> = 16..24;
    pub(super) const HANDLE: Range<usize> = 24..26;
    pub(super) const GRANTS: Range<usize> = 28..60;
}

impl IndirectRequest {
    /// As the slot's bytes.
    pub fn encode(&self) -> [u8; SLOT] {
        use indirect::*;
        let mut slot = [0; SLOT];
        slot[OPERATION] = Operation::Indirect as u8;
        slot[MEANT] = self.operation;
        slot[COUNT].copy_from_slice(&self.count.to_le_bytes());
        slot[ID].copy_from_slice(&self.id.to_le_bytes());
        slot[SECTOR].copy_from_slice(&self.sector.to_le_bytes());
        slot[HANDLE].copy_from_slice(&self.handle.to_le_bytes());
        let (bytes, _) = slot[GRANTS].as_chunks_mut::<4>();
        for (bytes, grant) in bytes.iter_mut().zip(&self.grants) {
            *bytes = grant.to_le_bytes();
        }
        slot
    }

    /// From a copy of a slot that says [`Operation::Indirect`].
    pub fn decode(slot: &[u8; SLOT]) -> Self {
        use indirect::*;
        let mut grants = [0; INDIRECT_PAGES];
        let (bytes, _) = slot[GRANTS].as_chunks::<4>();
        for (grant, bytes) in grants.iter_mut().zip(bytes) {
            *grant = u32::from_le_bytes(*bytes);
        }
        IndirectRequest {
            operation: slot[MEANT],
            count: u16_at(slot, COUNT),
            handle: u16_at(slot, HANDLE),
            id: u64_at(slot, ID),
            sector: u64_at(slot, SECTOR),
            grants,
        }
    }
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's.
    pub id: u64,
    /// The number of the request's [`Operation`]; of an indirect one, that of what is meant.
    pub operation: u8,
    /// [`STATUS_OKAY`] and its siblings.
    pub status: i16,
}

mod response {
    use core::ops::Range;
    pub(super) const ID: Range<usize> = 0..8;
    pub(super) const OPERATION: usize = 8;
    pub(super) const STATUS: Range<usize> = 10..12;
}

impl Record for Response {
    type Bytes = [u8; RESPONSE];

    fn encode(&self) -> [u8; RESPONSE] {
        use response::*;
        let mut bytes = [0; RESPONSE];
        bytes[ID].copy_from_slice(&self.id.to_le_bytes());
        bytes[OPERATION] = self.operation;
        bytes[STATUS].copy_from_slice(&self.status.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; RESPONSE]) -> Self {
        use response::*;
        Response {
            id: u64_at(bytes, ID),
            operation: bytes[OPERATION],
            status: u16_at(bytes, STATUS) as i16,
        }
    }
}

fn u16_at(bytes: &[u8], at: Range<usize>) -> u16 {
    u16::from_le_bytes([bytes[at.start], bytes[at.start + 1]])
}

fn u32_at(bytes: &[u8], at: Range<usize>) -> u32 {
    let low = u32::from(u16_at(bytes, at.start..at.start + 2));
    low | u32::from(u16_at(bytes, at.start + 2..at.end)) << 16
}

fn u64_at(bytes: &[u8], at: Range<usize>) -> u64 {
    let low = u64::from(u32_at(bytes, at.start..at.start + 4));
    low | u64::from(u32_at(bytes, at.start + 4..at.end)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn request_golden() {
        let mut request = Request {
            operation: Operation::Write as u8,
            count: 2,
            handle: 51712,
            id: 0x0102_0304_0506_0708,
            sector: 0x1122_3344_5566,
            segments: [Segment::default(); DIRECT],
        };
        request.segments[0] = Segment {
            grant: 0x0a0b_0c0d,
            first: 0,
            last: 7,
        };
        request.segments[10] = Segment {
            grant: 9,
            first: 3,
            last: 4,
        };
        let mut bytes = [0; SLOT];
        bytes[..4].copy_from_slice(&[1, 2, 0x00, 0xca]);
        bytes[8..16].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
        bytes[16..24].copy_from_slice(&[0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0]);
        bytes[24..32].copy_from_slice(&[0x0d, 0x0c, 0x0b, 0x0a, 0, 7, 0, 0]);
        bytes[104..112].copy_from_slice(&[9, 0, 0, 0, 3, 4, 0, 0]);
        assert_eq!(request.encode(), bytes);
        assert_eq!(Request::decode(&bytes), request);
    }

    #[test]
    fn indirect_request_golden() {
        let request = IndirectRequest {
            operation: Operation::Read as u8,
            count: 0x0100,
            handle: 51728,
            id: 3,
            sector: 2048,
            grants: [0x0807_0605, 0, 0, 0, 0, 0, 0, 10],
        };
        let mut bytes = [0; SLOT];
        bytes[..4].copy_from_slice(&[6, 0, 0, 1]);
        bytes[8] = 3;
        bytes[17] = 8;
        bytes[24..26].copy_from_slice(&[0x10, 0xca]);
        bytes[28..32].copy_from_slice(&[5, 6, 7, 8]);
        bytes[56] = 10;
        assert_eq!(request.encode(), bytes);
        assert_eq!(IndirectRequest::decode(&bytes), request);
    }

    #[test]
    fn response_golden() {
        let response = Response {
            id: 0x0807_0605_0403_0201,
            operation: 3,
            status: STATUS_UNSUPPORTED,
        };
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 3, 0, 0xfe, 0xff, 0, 0, 0, 0];
        assert_eq!(response.encode(), bytes);
        assert_eq!(Response::decode(&bytes), response);
    }

    #[test]
    fn operations_are_numbered_as_in_the_header() {
        for number in 0..=u8::MAX {
            let known = matches!(number, 0 | 1 | 3 | 6);
            let parsed = Operation::parse(number);
            assert_eq!(parsed.map(|operation| operation as u8).is_some(), known);
            assert!(parsed.is_none_or(|operation| operation as u8 == number));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_peer_writes_decodes(low: [u8; 32], middle: [u8; 32], high: [u8; 32]) {
            let mut slot = [0; SLOT];
            slot[..32].copy_from_slice(&low);
            slot[32..64].copy_from_slice(&middle);
            slot[64..96].copy_from_slice(&high);
            let request = Request::decode(&slot);
            prop_assert_eq!(Request::decode(&request.encode()), request);
            let request = IndirectRequest::decode(&slot);
            prop_assert_eq!(IndirectRequest::decode(&request.encode()), request);
            let mut bytes = [0; RESPONSE];
            bytes.copy_from_slice(&low[..RESPONSE]);
            let response = Response::decode(&bytes);
            prop_assert_eq!(Response::decode(&response.encode()), response);
        }
    }
}
