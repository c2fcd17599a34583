//! What stands in front of a frame on a tap device: `struct virtio_net_hdr` of `linux/virtio_net.h`.

use core::num::NonZeroU16;
use core::ops::Range;

use minios::host::tap::HEADER;

const FLAGS: usize = 0;
const GSO_TYPE: usize = 1;
const HDR_LEN: Range<usize> = 2..4;
const GSO_SIZE: Range<usize> = 4..6;
const CSUM_START: Range<usize> = 6..8;
const CSUM_OFFSET: Range<usize> = 8..10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;

/// What a frame leaves to the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// The checksum of what begins at the first offset, to be stored at the second from there. The
    /// sum of the pseudo-header is there already.
    pub(crate) checksum: Option<(u16, u16)>,
    /// Segments of so many bytes of payload, behind so many of headers: TCP over IPv4.
    pub(crate) segments: Option<(NonZeroU16, u16)>,
}

impl Left {
    pub(crate) fn encode(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let mut put = |at: Range<usize>, n: u16| header[at].copy_from_slice(&n.to_ne_bytes());
        if let Some((start, offset)) = self.checksum {
            put(CSUM_START, start);
            put(CSUM_OFFSET, offset);
        }
        if let Some((size, headers)) = self.segments {
            put(GSO_SIZE, size.get());
            put(HDR_LEN, headers);
        }
        header[FLAGS] = if self.checksum.is_some() {
            NEEDS_CSUM
        } else {
            0
        };
        header[GSO_TYPE] = if self.segments.is_some() {
            GSO_TCPV4
        } else {
            0
        };
        header
    }
}

/// Whether the sender of a frame with this header vouches for its checksum: it is this machine, and
/// has not computed any, or it was verified on the way.
pub(crate) fn is_trusted(header: &[u8; HEADER]) -> bool {
    header[FLAGS] & (NEEDS_CSUM | DATA_VALID) != 0
}

/// Whether the frame is one of many segments.
pub(crate) fn is_large(header: &[u8; HEADER]) -> bool {
    header[GSO_TYPE] != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a header on a little-endian machine, turned if this one is not.
    fn golden(mut bytes: [u8; HEADER]) -> [u8; HEADER] {
        if cfg!(target_endian = "big") {
            for at in [HDR_LEN, GSO_SIZE, CSUM_START, CSUM_OFFSET] {
                bytes[at].reverse();
            }
        }
        bytes
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(Left::default().encode(), [0; HEADER]);
        let mut left = Left {
            checksum: Some((34, 16)),
            segments: None,
        };
        assert_eq!(left.encode(), golden([1, 0, 0, 0, 0, 0, 34, 0, 16, 0]));
        left.segments = Some((NonZeroU16::new(1448).unwrap(), 66));
        let bytes = golden([1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0]);
        assert_eq!(left.encode(), bytes);
        assert!(is_trusted(&bytes) && is_large(&bytes));
    }

    #[test]
    fn who_vouches() {
        for (flags, trusted) in [(0, false), (1, true), (2, true), (3, true), (4, false)] {
            assert_eq!(
                is_trusted(&[flags, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                trusted,
                "{flags}"
            );
        }
        // TCPv4, TCPv6, UDP, with and without ECN.
        for (kind, large) in [(0, false), (1, true), (4, true), (5, true), (0x81, true)] {
            assert_eq!(
                is_large(&[0, kind, 0, 0, 0, 0, 0, 0, 0, 0]),
                large,
                "{kind}"
            );
        }
    }
}
