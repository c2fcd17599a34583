//! The guest's receive ring, filled as Linux does.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use minios::host::{Mapping, map};
use minios::ring::request;
use minios::{Access, Grant};

use super::segment::{Checksum, Frame};
use super::{Back, Fatal};
use crate::wire::{Extra, ExtraKind, PAGE, RX_SLOT, RxFlags, RxRequest, RxResponse, RxRing};

pub(super) struct ToGuest {
    pub(super) ring: request::Back<RxRing, Mapping>,
    pub(super) queue: VecDeque<Frame>,
}

impl ToGuest {
    pub(super) fn new(ring: request::Back<RxRing, Mapping>) -> Self {
        ToGuest {
            ring,
            queue: VecDeque::new(),
        }
    }

    /// The next posted page, which was seen to be there, and its slot.
    pub(super) fn next(&mut self) -> Result<(u32, RxRequest), Fatal> {
        let Some((slot, request)) = self.ring.pop()? else {
            return Err(Fatal::Truncated);
        };
        let request = RxRequest::decode(&request);
        if u32::from(request.id) != slot {
            return Err(Fatal::RxId {
                slot,
                id: request.id,
            });
        }
        Ok((slot, request))
    }

    pub(super) fn respond(&mut self, slot: &[u8; RX_SLOT]) -> Result<(), Fatal> {
        Ok(self.ring.push(slot).map(drop)?)
    }

    pub(super) fn publish(&mut self) -> Result<bool, Fatal> {
        Ok(self.ring.publish()?)
    }
}

impl Back {
    pub(super) fn fill_pages(&mut self) -> Result<(), Fatal> {
        while let Some(frame) = self.inn.queue.front() {
            let room = usize::from(self.manner.piece).min(PAGE - usize::from(self.manner.offset));
            let extras = usize::from(frame.gso.is_some()) + usize::from(self.manner.chatty);
            let needed = frame.bytes.len().div_ceil(room).max(1) + extras;
            let posted = self.inn.ring.available()?;
            let fewest = self.stats.fewest_posted.get_or_insert(posted);
            *fewest = posted.min(*fewest);
            if (posted as usize) < needed {
                if self.inn.ring.rearm()? && self.inn.ring.available()? as usize >= needed {
                    continue;
                }
                return Ok(());
            }
            if let Some(frame) = self.inn.queue.pop_front() {
                self.fill(&frame, room)?;
                self.stats.to_guest += 1;
            }
        }
        Ok(())
    }

    fn fill(&mut self, frame: &Frame, room: usize) -> Result<(), Fatal> {
        let mut extras = Vec::new();
        if self.manner.chatty {
            extras.push(ExtraKind::Other(4));
        }
        if let Some((gso, size)) = frame.gso {
            extras.push(ExtraKind::Gso { gso: Ok(gso), size });
        }
        let mut pieces = frame.bytes.chunks(room).peekable();
        let mut flags = match frame.checksum {
            Checksum::Blank => RxFlags::CSUM_BLANK | RxFlags::DATA_VALIDATED,
            Checksum::Verified => RxFlags::DATA_VALIDATED,
            Checksum::Unknown => RxFlags::empty(),
        };
        flags.set(RxFlags::EXTRA_INFO, !extras.is_empty());
        while let Some(piece) = pieces.next() {
            flags.set(RxFlags::MORE_DATA, pieces.peek().is_some());
            self.fill_page(piece, flags)?;
            flags = RxFlags::empty();
            while let Some(kind) = (!extras.is_empty()).then(|| extras.remove(0)) {
                self.inn.next()?;
                let more = !extras.is_empty();
                self.inn.respond(&Extra { more, kind }.encode())?;
            }
        }
        Ok(())
    }

    /// Answers the next posted page with this piece of a packet in it.
    pub(super) fn fill_page(&mut self, piece: &[u8], flags: RxFlags) -> Result<(), Fatal> {
        let offset = self.manner.offset;
        let (_, request) = self.inn.next()?;
        let page = map(
            &self.domain,
            self.guest,
            Grant(request.grant),
            Access::ReadWrite,
        )
        .map_err(Fatal::Grant)?;
        let written = page.write(usize::from(offset), piece);
        debug_assert!(written.is_ok());
        let response = RxResponse {
            id: request.id,
            offset,
            flags,
            status: piece.len() as i16,
        };
        self.inn.respond(&response.encode())
    }
}
