//! Reception without its ring: copies of response slots in, pieces to copy and whole packets out.
//!
//! The backend's every number is checked here. The pages' contents are never looked at: the caller
//! copies each piece once, and looks at the copy.

use crate::lie::Lie;
use crate::wire::{Extra, ExtraKind, GsoType, PAGE, RX_SLOT, RxFlags, RxResponse, SLOTS_MAX};

/// The most slots with data in a packet: Linux takes one more than the protocol's minimum, for
/// headers on their own.
pub const DATA_SLOTS_MAX: usize = SLOTS_MAX + 1;

/// The longest packet.
pub const PACKET_MAX: usize = DATA_SLOTS_MAX * PAGE;

/// As many as there are types.
const EXTRAS_MAX: usize = 5;

/// Data to copy from a page to the packet's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the page.
    pub offset: usize,
    /// How many bytes; not over the page's end.
    pub len: usize,
    /// Where in the packet; not over [`PACKET_MAX`].
    pub at: usize,
}

/// What is known of a packet besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Bytes in all.
    pub len: usize,
    /// The checksum is blank or was verified.
    pub trusted: bool,
    /// It is one large packet of many segments.
    pub gso: Option<(GsoType, u16)>,
}

/// What a slot meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Copy this; the packet goes on.
    Part(Piece),
    /// Copy this, then the packet is whole.
    Last(Piece, Packet),
    /// There is nothing to copy; the packet goes on.
    Nothing,
    /// The packet, begun before, ended with a slot that had nothing to copy.
    Whole(Packet),
    /// The backend gave up on the packet. It is over.
    Failed,
}

/// Puts packets together. It keeps its place between slots, so a packet may come in several goes.
#[derive(Debug, Default)]
pub struct Assembler {
    expect: Expect,
    slots: usize,
    extras: usize,
    len: usize,
    failed: bool,
    more_data: bool,
    trusted: bool,
    gso: Option<(GsoType, u16)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    First,
    Extra,
    Data,
}

impl Assembler {
    /// Takes in a copy of the response in ring slot `slot`. After a [`Lie`], the ring is not to be
    /// read any more.
    pub fn slot(&mut self, slot: u16, bytes: &[u8; RX_SLOT]) -> Result<Step, Lie> {
        match self.expect {
            Expect::Extra => self.extra(Extra::decode(bytes)),
            Expect::First => {
                *self = Assembler::default();
                self.data(slot, RxResponse::decode(bytes), true)
            }
            Expect::Data => self.data(slot, RxResponse::decode(bytes), false),
        }
    }

    fn data(&mut self, slot: u16, response: RxResponse, first: bool) -> Result<Step, Lie> {
        let RxResponse {
            id,
            offset,
            flags,
            status,
        } = response;
        if id != slot {
            return Err(Lie::RxId { slot, id });
        }
        self.slots += 1;
        if self.slots > DATA_SLOTS_MAX {
            return Err(Lie::RxSlots);
        }
        self.more_data = flags.contains(RxFlags::MORE_DATA);
        let extra = first && flags.contains(RxFlags::EXTRA_INFO);
        if first {
            self.trusted = flags.intersects(RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED);
        }
        self.expect = match (extra, self.more_data) {
            (true, _) => Expect::Extra,
            (false, true) => Expect::Data,
            (false, false) => Expect::First,
        };

        let Ok(size) = u16::try_from(status) else {
            self.failed = true;
            return Ok(self.nothing());
        };
        if usize::from(offset) + usize::from(size) > PAGE {
            return Err(Lie::RxSize { offset, size });
        }
        let piece = Piece {
            offset: usize::from(offset),
            len: usize::from(size),
            at: self.len,
        };
        self.len += piece.len;
        Ok(match (self.failed, self.expect) {
            (true, _) => self.nothing(),
            (false, Expect::First) => Step::Last(piece, self.packet()),
            (false, _) => Step::Part(piece),
        })
    }

    fn extra(&mut self, extra: Extra) -> Result<Step, Lie> {
        self.extras += 1;
        if self.extras > EXTRAS_MAX {
            return Err(Lie::RxSlots);
        }
        match extra.kind {
            ExtraKind::Invalid(number) => return Err(Lie::ExtraType(number)),
            ExtraKind::Gso { gso: Err(_), .. } | ExtraKind::Gso { size: 0, .. } => {
                return Err(Lie::Gso);
            }
            ExtraKind::Gso { gso: Ok(gso), size } => self.gso = Some((gso, size)),
            ExtraKind::Other(_) => {}
        }
        self.expect = match (extra.more, self.more_data) {
            (true, _) => Expect::Extra,
            (false, true) => Expect::Data,
            (false, false) => Expect::First,
        };
        Ok(self.nothing())
    }

    fn nothing(&self) -> Step {
        match (self.expect, self.failed) {
            (Expect::First, true) => Step::Failed,
            (Expect::First, false) => Step::Whole(self.packet()),
            _ => Step::Nothing,
        }
    }

    fn packet(&self) -> Packet {
        Packet {
            len: self.len,
            trusted: self.trusted,
            gso: self.gso,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn data(id: u16, offset: u16, flags: RxFlags, status: i16) -> [u8; RX_SLOT] {
        RxResponse {
            id,
            offset,
            flags,
            status,
        }
        .encode()
    }

    fn packet(len: usize) -> Packet {
        Packet {
            len,
            trusted: false,
            gso: None,
        }
    }

    #[test]
    fn one_slot_with_an_offset() {
        let mut rx = Assembler::default();
        let step = rx.slot(7, &data(7, 2, RxFlags::CSUM_BLANK, 60)).unwrap();
        let piece = Piece {
            offset: 2,
            len: 60,
            at: 0,
        };
        assert_eq!(
            step,
            Step::Last(
                piece,
                Packet {
                    trusted: true,
                    ..packet(60)
                }
            )
        );
    }

    #[test]
    fn many_slots_with_extras_after_the_first() {
        let mut rx = Assembler::default();
        let flags = RxFlags::MORE_DATA | RxFlags::EXTRA_INFO | RxFlags::DATA_VALIDATED;
        let step = rx.slot(255, &data(255, 0, flags, 4096)).unwrap();
        assert_eq!(
            step,
            Step::Part(Piece {
                offset: 0,
                len: 4096,
                at: 0
            })
        );
        let headroom = Extra {
            more: true,
            kind: ExtraKind::Other(5),
        };
        assert_eq!(rx.slot(0, &headroom.encode()), Ok(Step::Nothing));
        assert_eq!(
            rx.slot(1, &Extra::gso(GsoType::TcpV6, 1440).encode()),
            Ok(Step::Nothing)
        );
        let step = rx.slot(2, &data(2, 0, RxFlags::empty(), 100)).unwrap();
        let gso = Some((GsoType::TcpV6, 1440));
        let whole = Packet {
            len: 4196,
            trusted: true,
            gso,
        };
        assert_eq!(
            step,
            Step::Last(
                Piece {
                    offset: 0,
                    len: 100,
                    at: 4096
                },
                whole
            )
        );

        let step = rx.slot(3, &data(3, 0, RxFlags::EXTRA_INFO, 60)).unwrap();
        assert_eq!(
            step,
            Step::Part(Piece {
                offset: 0,
                len: 60,
                at: 0
            }),
            "and nothing is left of the last"
        );
        let step = rx.slot(4, &Extra::gso(GsoType::TcpV4, 9).encode()).unwrap();
        assert_eq!(
            step,
            Step::Whole(Packet {
                gso: Some((GsoType::TcpV4, 9)),
                ..packet(60)
            })
        );
    }

    #[test]
    fn a_failed_slot_fails_its_packet_alone() {
        for failed in 0..3 {
            let mut rx = Assembler::default();
            let steps: Vec<_> = (0..3u16)
                .map(|slot| {
                    let status = if slot == failed { -1 } else { 10 };
                    let more = if slot < 2 {
                        RxFlags::MORE_DATA
                    } else {
                        RxFlags::empty()
                    };
                    rx.slot(slot, &data(slot, 0, more, status)).unwrap()
                })
                .collect();
            assert_eq!(steps[2], Step::Failed);
            let next = rx.slot(3, &data(3, 0, RxFlags::empty(), 14)).unwrap();
            assert_eq!(
                next,
                Step::Last(
                    Piece {
                        offset: 0,
                        len: 14,
                        at: 0
                    },
                    packet(14)
                )
            );
        }
    }

    #[test]
    fn lies() {
        let once = |bytes| Assembler::default().slot(5, &bytes);
        let none = RxFlags::empty();
        assert_eq!(
            once(data(6, 0, none, 60)),
            Err(Lie::RxId { slot: 5, id: 6 })
        );
        assert_eq!(
            once(data(5, 4000, none, 97)),
            Err(Lie::RxSize {
                offset: 4000,
                size: 97
            })
        );
        assert_eq!(
            once(data(5, 0xffff, none, 0x7fff)),
            Err(Lie::RxSize {
                offset: 0xffff,
                size: 0x7fff
            })
        );

        let after_first = |extra: Extra| {
            let mut rx = Assembler::default();
            rx.slot(0, &data(0, 0, RxFlags::EXTRA_INFO, 60)).unwrap();
            rx.slot(1, &extra.encode())
        };
        let gso = |gso, size| Extra {
            more: false,
            kind: ExtraKind::Gso { gso, size },
        };
        assert_eq!(after_first(gso(Err(3), 1448)), Err(Lie::Gso));
        assert_eq!(after_first(gso(Ok(GsoType::TcpV4), 0)), Err(Lie::Gso));
        let invalid = Extra {
            more: true,
            kind: ExtraKind::Invalid(0),
        };
        assert_eq!(after_first(invalid), Err(Lie::ExtraType(0)));
    }

    #[test]
    fn endless_packets_end() {
        let mut rx = Assembler::default();
        let count = (0u16..).take_while(|&slot| {
            rx.slot(slot, &data(slot, 0, RxFlags::MORE_DATA, 4096))
                .is_ok()
        });
        assert_eq!(count.count(), DATA_SLOTS_MAX);

        let mut rx = Assembler::default();
        rx.slot(0, &data(0, 0, RxFlags::EXTRA_INFO, 60)).unwrap();
        let more = Extra {
            more: true,
            kind: ExtraKind::Other(2),
        }
        .encode();
        let count = (0u16..).take_while(|&slot| rx.slot(slot, &more).is_ok());
        assert_eq!(count.count(), EXTRAS_MAX);
    }

    proptest! {
        #[test]
        fn pieces_stay_in_bounds_whatever_comes(slots: Vec<(bool, [u8; RX_SLOT])>) {
            let mut rx = Assembler::default();
            let mut expected = 0;
            for (slot, (honest, mut bytes)) in slots.into_iter().enumerate() {
                let slot = (slot % 256) as u16;
                if honest {
                    bytes[..2].copy_from_slice(&slot.to_le_bytes());
                    bytes[3] &= 7;
                    bytes[7] &= 0x87;
                }
                let Ok(step) = rx.slot(slot, &bytes) else { break };
                let (piece, whole) = match step {
                    Step::Part(piece) => (Some(piece), None),
                    Step::Last(piece, packet) => (Some(piece), Some(packet)),
                    Step::Whole(packet) => (None, Some(packet)),
                    Step::Nothing | Step::Failed => (None, None),
                };
                if let Some(piece) = piece {
                    prop_assert!(piece.offset + piece.len <= PAGE);
                    prop_assert!(piece.at + piece.len <= PACKET_MAX);
                    if piece.at > 0 {
                        prop_assert_eq!(piece.at, expected);
                    }
                    expected = piece.at + piece.len;
                }
                if let Some(packet) = whole {
                    prop_assert_eq!(packet.len, expected);
                }
            }
        }
    }
}
