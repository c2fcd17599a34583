//! The guest's transmit ring, read as strictly as Linux does.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use minios::host::{Mapping, map};
use minios::ring::{Broken, request};
use minios::{Access, Grant};

use super::segment::{Checksum, Frame};
use super::{Back, Fatal};
use crate::checksum::ETHERNET;
use crate::wire::{
    Extra, ExtraKind, GsoType, PAGE, SLOTS_MAX, STATUS_ERROR, STATUS_NULL, STATUS_OKAY, TX_SLOT,
    TxFlags, TxRequest, TxResponse, TxRing,
};

/// Slots in a packet for which Linux takes the guest for malicious.
const SLOTS_FATAL: usize = 20;

pub(super) struct ToNetwork {
    pub(super) ring: request::Back<TxRing, Mapping>,
    held: VecDeque<Packet>,
    failing: usize,
}

/// A packet whose pages are not given back yet.
struct Packet {
    responses: Vec<TxResponse>,
    pieces: Vec<Piece>,
}

/// A mapped piece, and what it held when it was first looked at.
struct Piece {
    page: Mapping,
    offset: usize,
    bytes: Vec<u8>,
}

impl ToNetwork {
    pub(super) fn new(ring: request::Back<TxRing, Mapping>) -> Self {
        ToNetwork {
            ring,
            held: VecDeque::new(),
            failing: 0,
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn postpone(&mut self) {
        if let Some(packet) = self.held.pop_front() {
            self.held.push_back(packet);
        }
    }

    pub(super) fn fail(&mut self, count: usize) {
        self.failing = count;
    }

    pub(super) fn complete(&mut self, count: usize) -> Result<(), Fatal> {
        for _ in 0..count {
            let Some(packet) = self.held.pop_front() else {
                break;
            };
            for piece in &packet.pieces {
                if copy(&piece.page, piece.offset, piece.bytes.len()) != piece.bytes {
                    return Err(Fatal::Rewritten);
                }
            }
            drop(packet.pieces);
            let failing = self.failing > 0;
            self.failing = self.failing.saturating_sub(1);
            for mut response in packet.responses {
                if failing && response.status == STATUS_OKAY {
                    response.status = STATUS_ERROR;
                }
                self.respond(&response.encode())?;
            }
        }
        Ok(())
    }

    pub(super) fn respond(&mut self, slot: &[u8; TX_SLOT]) -> Result<(), Fatal> {
        self.ring.push(slot).map(drop).map_err(Fatal::Ring)
    }

    pub(super) fn publish(&mut self) -> Result<bool, Fatal> {
        self.ring.publish().map_err(Fatal::Ring)
    }

    /// The next slot of a packet, which must be there.
    fn next(&mut self) -> Result<[u8; TX_SLOT], Fatal> {
        match self.ring.pop() {
            Ok(Some((_, slot))) => Ok(slot),
            Ok(None) => Err(Fatal::Truncated),
            Err(broken) => Err(Fatal::Ring(broken)),
        }
    }
}

impl Back {
    pub(super) fn take_requests(&mut self) -> Result<(), Fatal> {
        loop {
            while let Some((_, slot)) = self.out.ring.pop().map_err(Fatal::Ring)? {
                self.take_packet(&slot)?;
            }
            if !self.out.ring.rearm().map_err(Fatal::Ring)? {
                return Ok(());
            }
        }
    }

    fn take_packet(&mut self, slot: &[u8; TX_SLOT]) -> Result<(), Fatal> {
        let first = TxRequest::decode(slot);
        let mut requests = vec![first];
        let mut nulls = 0;
        let mut gso = None;
        let mut more = first.flags.contains(TxFlags::EXTRA_INFO);
        while more {
            let extra = Extra::decode_tx(&self.out.next()?);
            nulls += 1;
            more = extra.more;
            match extra.kind {
                ExtraKind::Invalid(number) => return Err(Fatal::Extra(number)),
                ExtraKind::Gso { gso: Err(_), .. } | ExtraKind::Gso { size: 0, .. } => {
                    return Err(Fatal::Gso);
                }
                ExtraKind::Gso {
                    gso: Ok(kind),
                    size,
                } => gso = Some((kind, size)),
                ExtraKind::Other(_) => {}
            }
        }
        let mut last = first;
        while last.flags.contains(TxFlags::MORE_DATA) {
            if !self.manner.sg {
                return Err(Fatal::NoScatterGather);
            }
            last = TxRequest::decode(&self.out.next()?);
            requests.push(last);
            if requests.len() >= SLOTS_FATAL {
                return Err(Fatal::TooManySlots);
            }
        }
        let rest: usize = requests[1..]
            .iter()
            .map(|request| usize::from(request.size))
            .sum();
        let Some(head) = usize::from(first.size)
            .checked_sub(rest)
            .filter(|&head| head >= ETHERNET)
        else {
            return Err(Fatal::Sizes);
        };
        requests[0].size = head as u16;
        if requests.len() > SLOTS_MAX {
            self.stats.oversized += 1;
        }
        self.check_offloads(&first, gso)?;

        let pieces: Vec<Piece> = requests
            .iter()
            .map(|request| self.piece(request))
            .collect::<Result<_, _>>()?;
        let frame = Frame {
            bytes: pieces
                .iter()
                .flat_map(|piece| &piece.bytes)
                .copied()
                .collect(),
            checksum: if first.flags.contains(TxFlags::CSUM_BLANK) {
                Checksum::Blank
            } else {
                Checksum::Unknown
            },
            gso,
        };
        // To see to it that a card could finish it, before anybody asks.
        frame.clone().finish().map_err(Fatal::Frame)?;
        self.stats.from_guest += 1;
        self.stats.large += u64::from(gso.is_some());
        self.frames.push_back(frame);

        let okay = |request: &TxRequest| TxResponse {
            id: request.id,
            status: STATUS_OKAY,
        };
        let null = TxResponse {
            id: 0xdead,
            status: STATUS_NULL,
        };
        let mut responses: Vec<_> = requests.iter().map(okay).collect();
        responses.splice(1..1, core::iter::repeat_n(null, nulls));
        self.out.held.push_back(Packet { responses, pieces });
        Ok(())
    }

    fn check_offloads(&self, first: &TxRequest, gso: Option<(GsoType, u16)>) -> Result<(), Fatal> {
        let blank = first.flags.contains(TxFlags::CSUM_BLANK);
        if blank != first.flags.contains(TxFlags::DATA_VALIDATED) {
            return Err(Fatal::Gso);
        }
        match gso {
            Some((GsoType::TcpV4, _)) if !self.manner.gso[0] => Err(Fatal::Gso),
            Some((GsoType::TcpV6, _)) if !self.manner.gso[1] => Err(Fatal::Gso),
            Some(_) if !blank => Err(Fatal::Gso),
            _ => Ok(()),
        }
    }

    fn piece(&self, request: &TxRequest) -> Result<Piece, Fatal> {
        let TxRequest { offset, size, .. } = *request;
        if usize::from(offset) + usize::from(size) > PAGE {
            return Err(Fatal::PageCrossing { offset, size });
        }
        let page = map(
            &self.domain,
            self.guest,
            Grant(request.grant),
            Access::ReadOnly,
        )
        .map_err(Fatal::Grant)?;
        let offset = usize::from(offset);
        let bytes = copy(&page, offset, usize::from(size));
        Ok(Piece {
            page,
            offset,
            bytes,
        })
    }
}

fn copy(page: &Mapping, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    // The range was checked against the page.
    let copied = page.read(offset, &mut bytes);
    debug_assert!(copied.is_ok());
    bytes
}

impl From<Broken> for Fatal {
    fn from(broken: Broken) -> Self {
        Fatal::Ring(broken)
    }
}
