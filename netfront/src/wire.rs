//! The records on the two rings, as bytes: both directions of each, so that both ends of the wire
//! read one definition.
//!
//! Layouts are those of Xen's [`public/io/netif.h`]. Decoding never fails: what a number means, and
//! whether it may be believed, is for the reader of the record. The checksum bits are swapped
//! between transmit and receive; hence two types of flags.
//!
//! [`public/io/netif.h`]: https://xenbits.xen.org/gitweb/?p=xen.git;a=blob;f=xen/include/public/io/netif.h;hb=RELEASE-4.19.0

use bitflags::bitflags;
use minios::ring::request::Protocol;

/// Entries of each ring: what fits a page, rounded down to a power of two. The same for transmit
/// and receive.
pub const RING_SIZE: u32 = 256;

/// Bytes of a slot on the transmit ring.
pub const TX_SLOT: usize = 12;

/// Bytes of a slot on the receive ring.
pub const RX_SLOT: usize = 8;

/// The most slots with data that every backend takes for one packet.
pub const SLOTS_MAX: usize = 18;

/// The longest packet that a transmit request can announce.
pub const FRAME_MAX: usize = 0xffff;

/// The granularity of grants: a slot's data lies within one page of this size.
pub const PAGE: usize = 4096;

/// The transmit ring. Its slots are bytes, for what they are depends on the slot before.
#[derive(Debug)]
pub struct TxRing;

impl Protocol for TxRing {
    const SLOT: usize = TX_SLOT;
    type Request = [u8; TX_SLOT];
    type Response = [u8; TX_SLOT];
}

/// The receive ring. Its slots are bytes, for what they are depends on the slot before.
#[derive(Debug)]
pub struct RxRing;

impl Protocol for RxRing {
    const SLOT: usize = RX_SLOT;
    type Request = [u8; RX_SLOT];
    type Response = [u8; RX_SLOT];
}

bitflags! {
    /// Flags of a transmit request.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct TxFlags: u16 {
        /// The checksum field holds only the pseudo-header's sum.
        const CSUM_BLANK = 1 << 0;
        /// The data need no verification.
        const DATA_VALIDATED = 1 << 1;
        /// The packet goes on in the next request.
        const MORE_DATA = 1 << 2;
        /// An [`Extra`] follows.
        const EXTRA_INFO = 1 << 3;
        const _ = !0;
    }

    /// Flags of a receive response.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RxFlags: u16 {
        /// The data need no verification.
        const DATA_VALIDATED = 1 << 0;
        /// The checksum field holds only the pseudo-header's sum.
        const CSUM_BLANK = 1 << 1;
        /// The packet goes on in the next response.
        const MORE_DATA = 1 << 2;
        /// An [`Extra`] follows.
        const EXTRA_INFO = 1 << 3;
        const _ = !0;
    }
}

/// A response's verdict: the packet, or this slot of it, was handled.
pub const STATUS_OKAY: i16 = 0;
/// A response's verdict: the other end failed.
pub const STATUS_ERROR: i16 = -1;
/// A response's verdict: the other end had no use for it.
pub const STATUS_DROPPED: i16 = -2;
/// The slot answers an [`Extra`]; its id means nothing.
pub const STATUS_NULL: i16 = 1;

/// A piece of a packet to transmit: within the granted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxRequest {
    /// The page's grant.
    pub grant: u32,
    /// Where in the page the piece begins.
    pub offset: u16,
    /// What follows, and what is known of the checksum (first piece only).
    pub flags: TxFlags,
    /// Echoed in the response.
    pub id: u16,
    /// Bytes of the whole packet in the first piece's request, of the piece itself in others.
    pub size: u16,
}

mod tx_request {
    use core::ops::Range;
    pub(super) const GRANT: Range<usize> = 0..4;
    pub(super) const OFFSET: Range<usize> = 4..6;
    pub(super) const FLAGS: Range<usize> = 6..8;
    pub(super) const ID: Range<usize> = 8..10;
    pub(super) const SIZE: Range<usize> = 10..12;
}

impl TxRequest {
    /// As the slot's bytes.
    pub fn encode(&self) -> [u8; TX_SLOT] {
        use tx_request::*;
        let mut slot = [0; TX_SLOT];
        slot[GRANT].copy_from_slice(&self.grant.to_le_bytes());
        slot[OFFSET].copy_from_slice(&self.offset.to_le_bytes());
        slot[FLAGS].copy_from_slice(&self.flags.bits().to_le_bytes());
        slot[ID].copy_from_slice(&self.id.to_le_bytes());
        slot[SIZE].copy_from_slice(&self.size.to_le_bytes());
        slot
    }

    /// From a copy of the slot.
    pub fn decode(slot: &[u8; TX_SLOT]) -> Self {
        use tx_request::*;
        TxRequest {
            grant: u32_at(slot, GRANT),
            offset: u16_at(slot, OFFSET),
            flags: TxFlags::from_bits_retain(u16_at(slot, FLAGS)),
            id: u16_at(slot, ID),
            size: u16_at(slot, SIZE),
        }
    }
}

/// The answer to a [`TxRequest`], or to an [`Extra`] that followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxResponse {
    /// The request's id; nothing if the status is [`STATUS_NULL`].
    pub id: u16,
    /// One of the `STATUS_` values.
    pub status: i16,
}

mod tx_response {
    use core::ops::Range;
    pub(super) const ID: Range<usize> = 0..2;
    pub(super) const STATUS: Range<usize> = 2..4;
}

impl TxResponse {
    /// As the slot's bytes.
    pub fn encode(&self) -> [u8; TX_SLOT] {
        use tx_response::*;
        let mut slot = [0; TX_SLOT];
        slot[ID].copy_from_slice(&self.id.to_le_bytes());
        slot[STATUS].copy_from_slice(&self.status.to_le_bytes());
        slot
    }

    /// From a copy of the slot.
    pub fn decode(slot: &[u8; TX_SLOT]) -> Self {
        use tx_response::*;
        TxResponse {
            id: u16_at(slot, ID),
            status: u16_at(slot, STATUS) as i16,
        }
    }
}

/// A page offered for reception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxRequest {
    /// Echoed in the response; by custom the ring slot's number.
    pub id: u16,
    /// The page's grant.
    pub grant: u32,
}

mod rx_request {
    use core::ops::Range;
    pub(super) const ID: Range<usize> = 0..2;
    pub(super) const GRANT: Range<usize> = 4..8;
}

impl RxRequest {
    /// As the slot's bytes.
    pub fn encode(&self) -> [u8; RX_SLOT] {
        use rx_request::*;
        let mut slot = [0; RX_SLOT];
        slot[ID].copy_from_slice(&self.id.to_le_bytes());
        slot[GRANT].copy_from_slice(&self.grant.to_le_bytes());
        slot
    }

    /// From a copy of the slot.
    pub fn decode(slot: &[u8; RX_SLOT]) -> Self {
        use rx_request::*;
        RxRequest {
            id: u16_at(slot, ID),
            grant: u32_at(slot, GRANT),
        }
    }
}

/// A page filled. If the flags of the one before say so, the slot holds an [`Extra`] instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RxResponse {
    /// The request's id.
    pub id: u16,
    /// Where in the page the data begin.
    pub offset: u16,
    /// What follows, and what is known of the checksum (first piece only).
    pub flags: RxFlags,
    /// Bytes received into this page, or a negative verdict.
    pub status: i16,
}

mod rx_response {
    use core::ops::Range;
    pub(super) const ID: Range<usize> = 0..2;
    pub(super) const OFFSET: Range<usize> = 2..4;
    pub(super) const FLAGS: Range<usize> = 4..6;
    pub(super) const STATUS: Range<usize> = 6..8;
}

impl RxResponse {
    /// As the slot's bytes.
    pub fn encode(&self) -> [u8; RX_SLOT] {
        use rx_response::*;
        let mut slot = [0; RX_SLOT];
        slot[ID].copy_from_slice(&self.id.to_le_bytes());
        slot[OFFSET].copy_from_slice(&self.offset.to_le_bytes());
        slot[FLAGS].copy_from_slice(&self.flags.bits().to_le_bytes());
        slot[STATUS].copy_from_slice(&self.status.to_le_bytes());
        slot
    }

    /// From a copy of the slot.
    pub fn decode(slot: &[u8; RX_SLOT]) -> Self {
        use rx_response::*;
        RxResponse {
            id: u16_at(slot, ID),
            offset: u16_at(slot, OFFSET),
            flags: RxFlags::from_bits_retain(u16_at(slot, FLAGS)),
            status: u16_at(slot, STATUS) as i16,
        }
    }
}

/// What a packet is to be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoType {
    /// TCP segments over IPv4.
    TcpV4 = 1,
    /// TCP segments over IPv6.
    TcpV6 = 2,
}

/// More about a packet, in a slot of its own after the first piece's. It fills 8 octets, a receive
/// slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extra {
    /// Another one follows.
    pub more: bool,
    /// What it says.
    pub kind: ExtraKind,
}

/// What an [`Extra`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraKind {
    /// The packet is larger than a segment: cut it to payloads of at most `size` octets.
    Gso {
        /// The protocol, as its number on the wire if it is none that exists.
        gso: Result<GsoType, u8>,
        /// Octets of payload to a segment; zero is a lie.
        size: u16,
    },
    /// A type that exists and is none of ours: multicast lists, hash, headroom.
    Other(u8),
    /// A type that does not exist.
    Invalid(u8),
}

mod extra {
    use core::ops::Range;
    pub(super) const TYPE: usize = 0;
    pub(super) const FLAGS: usize = 1;
    pub(super) const GSO_SIZE: Range<usize> = 2..4;
    pub(super) const GSO_TYPE: usize = 4;

    pub(super) const TYPE_GSO: u8 = 1;
    pub(super) const TYPE_MAX: u8 = 6;
    pub(super) const FLAG_MORE: u8 = 1;
}

impl Extra {
    /// The one that says how to segment a packet, and that nothing follows.
    pub fn gso(gso: GsoType, size: u16) -> Self {
        let kind = ExtraKind::Gso { gso: Ok(gso), size };
        Extra { more: false, kind }
    }

    /// As a receive slot's bytes.
    pub fn encode(&self) -> [u8; RX_SLOT] {
        use extra::*;
        let mut slot = [0; RX_SLOT];
        slot[FLAGS] = if self.more { FLAG_MORE } else { 0 };
        match self.kind {
            ExtraKind::Gso { gso, size } => {
                slot[TYPE] = TYPE_GSO;
                slot[GSO_SIZE].copy_from_slice(&size.to_le_bytes());
                slot[GSO_TYPE] = gso.map_or_else(|number| number, |gso| gso as u8);
            }
            ExtraKind::Other(number) | ExtraKind::Invalid(number) => slot[TYPE] = number,
        }
        slot
    }

    /// As a transmit slot's bytes: the last four are padding.
    pub fn encode_tx(&self) -> [u8; TX_SLOT] {
        let mut slot = [0; TX_SLOT];
        slot[..RX_SLOT].copy_from_slice(&self.encode());
        slot
    }

    /// From a copy of a receive slot.
    pub fn decode(slot: &[u8; RX_SLOT]) -> Self {
        use extra::*;
        let kind = match slot[TYPE] {
            TYPE_GSO => ExtraKind::Gso {
                gso: match slot[GSO_TYPE] {
                    1 => Ok(GsoType::TcpV4),
                    2 => Ok(GsoType::TcpV6),
                    number => Err(number),
                },
                size: u16_at(slot, GSO_SIZE),
            },
            number if number == 0 || number >= TYPE_MAX => ExtraKind::Invalid(number),
            number => ExtraKind::Other(number),
        };
        let more = slot[FLAGS] & FLAG_MORE != 0;
        Extra { more, kind }
    }

    /// From a copy of a transmit slot.
    pub fn decode_tx(slot: &[u8; TX_SLOT]) -> Self {
        let mut short = [0; RX_SLOT];
        short.copy_from_slice(&slot[..RX_SLOT]);
        Extra::decode(&short)
    }
}

fn u16_at(slot: &[u8], at: core::ops::Range<usize>) -> u16 {
    u16::from_le_bytes([slot[at.start], slot[at.start + 1]])
}

fn u32_at(slot: &[u8], at: core::ops::Range<usize>) -> u32 {
    let s = at.start;
    u32::from_le_bytes([slot[s], slot[s + 1], slot[s + 2], slot[s + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tx_request_golden() {
        let request = TxRequest {
            grant: 0x0102_0304,
            offset: 0x0ff2,
            flags: TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED | TxFlags::EXTRA_INFO,
            id: 0x00fe,
            size: 0xc0de,
        };
        let bytes = [4, 3, 2, 1, 0xf2, 0x0f, 0x0b, 0, 0xfe, 0, 0xde, 0xc0];
        assert_eq!(request.encode(), bytes);
        assert_eq!(TxRequest::decode(&bytes), request);
    }

    #[test]
    fn tx_response_golden() {
        let response = TxResponse {
            id: 0x0107,
            status: STATUS_DROPPED,
        };
        let bytes = [7, 1, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(response.encode(), bytes);
        assert_eq!(TxResponse::decode(&bytes), response);
    }

    #[test]
    fn rx_request_golden() {
        let request = RxRequest {
            id: 0x00a5,
            grant: 0x8000_0009,
        };
        let bytes = [0xa5, 0, 0, 0, 9, 0, 0, 0x80];
        assert_eq!(request.encode(), bytes);
        assert_eq!(RxRequest::decode(&bytes), request);
    }

    #[test]
    fn rx_response_golden() {
        let response = RxResponse {
            id: 0x00ff,
            offset: 2,
            flags: RxFlags::DATA_VALIDATED | RxFlags::MORE_DATA,
            status: 1514,
        };
        let bytes = [0xff, 0, 2, 0, 5, 0, 0xea, 0x05];
        assert_eq!(response.encode(), bytes);
        assert_eq!(RxResponse::decode(&bytes), response);
    }

    #[test]
    fn extra_golden() {
        let extra = Extra::gso(GsoType::TcpV6, 1440);
        let bytes = [1, 0, 0xa0, 0x05, 2, 0, 0, 0];
        assert_eq!(extra.encode(), bytes);
        assert_eq!(Extra::decode(&bytes), extra);
        assert_eq!(extra.encode_tx()[..8], bytes);
        assert_eq!(Extra::decode_tx(&extra.encode_tx()), extra);

        let headroom = Extra {
            more: true,
            kind: ExtraKind::Other(5),
        };
        assert_eq!(headroom.encode(), [5, 1, 0, 0, 0, 0, 0, 0]);
        for number in [0, 6, 255] {
            let kind = Extra::decode(&[number, 0, 0, 0, 0, 0, 0, 0]).kind;
            assert_eq!(kind, ExtraKind::Invalid(number));
        }
    }

    proptest! {
        #[test]
        fn whatever_the_peer_writes_decodes(tx: [u8; TX_SLOT], rx: [u8; RX_SLOT]) {
            prop_assert_eq!(TxRequest::decode(&tx).encode(), tx);
            let response = RxResponse::decode(&rx);
            prop_assert_eq!(response.encode(), rx);
            let extra = Extra::decode(&rx);
            prop_assert_eq!(Extra::decode(&extra.encode()), extra);
        }
    }
}
