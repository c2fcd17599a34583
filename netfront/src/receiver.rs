//! The receive half: every slot of the ring stays posted, and what arrives is copied out of shared
//! memory once.
//!
//! A page belongs to a slot for good: responses come in the slots of their requests, and a slot
//! that was read is posted again, so slot `n` of the ring and page `n` meet each time around.

use alloc::vec::Vec;

use minios::Share;
use minios::ring::Broken;
use minios::ring::request::Front;

use crate::checksum::{ETHERNET, Located, locate};
use crate::lie::Lie;
use crate::rx::{Assembler, PACKET_MAX, Packet, Piece, Step};
use crate::stats::Stats;
use crate::wire::{PAGE, RING_SIZE, RX_SLOT, RxRequest, RxRing};

pub(crate) struct Receiver {
    ring: Front<RxRing, Share>,
    /// [`SHARE`] pages each.
    shares: Vec<Share>,
    /// Each slot's request, which never changes.
    requests: Vec<[u8; RX_SLOT]>,
    assembler: Assembler,
    frame: Vec<u8>,
    /// Slots read and not posted again, and the first of them.
    owed: u32,
    next: u32,
}

/// Pages in one share.
pub(crate) const SHARE: usize = 64;

/// Shares in all: a page for each slot.
pub(crate) const SHARES: usize = RING_SIZE as usize / SHARE;

/// Slots owed at which they are posted even though the backend has more.
const BATCH: u32 = 64;

/// Slots read in one call at most, so that a backend that produces nothing of use cannot keep us.
const BUDGET: u32 = RING_SIZE;

/// What a call to [`Receiver::receive`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A frame of so many bytes, in [`Receiver::frame`].
    Frame(usize),
    /// Nothing; an event comes when there is more.
    Nothing,
    /// Nothing of use yet, and more to look at. No event will come.
    Unfinished,
}

impl Receiver {
    /// Posts all pages of `shares` on a ring that starts at `index`. `frame` is as long as a packet
    /// can be.
    pub(crate) fn new(
        ring: Front<RxRing, Share>,
        index: u32,
        shares: Vec<Share>,
        frame: Vec<u8>,
    ) -> Result<Self, Broken> {
        debug_assert_eq!(frame.len(), PACKET_MAX);
        let grants = shares.iter().flat_map(|share| share.grants());
        let requests = (0u16..)
            .zip(grants)
            .map(|(id, grant)| RxRequest { id, grant: grant.0 }.encode())
            .collect();
        let mut receiver = Receiver {
            ring,
            shares,
            requests,
            assembler: Assembler::default(),
            frame,
            owed: RING_SIZE,
            next: index % RING_SIZE,
        };
        receiver.post()?;
        Ok(receiver)
    }

    /// Takes in slots up to the end of a frame. Says also whether the backend wants an event for
    /// posted pages.
    pub(crate) fn receive(&mut self, stats: &mut Stats) -> Result<(Received, bool), Lie> {
        let mut notify = false;
        for _ in 0..BUDGET {
            if self.owed >= BATCH {
                notify |= self.post().map_err(|_| Lie::RxIndex)?;
            }
            let Some((number, slot)) = self.ring.pop().map_err(|_| Lie::RxIndex)? else {
                notify |= self.post().map_err(|_| Lie::RxIndex)?;
                if self.ring.rearm().map_err(|_| Lie::RxIndex)? {
                    continue;
                }
                return Ok((Received::Nothing, notify));
            };
            self.owed += 1;
            let number = number as u16;
            let packet = match self.assembler.slot(number, &slot)? {
                Step::Nothing => continue,
                Step::Part(piece) => {
                    self.copy(number, piece);
                    continue;
                }
                Step::Last(piece, packet) => {
                    self.copy(number, piece);
                    packet
                }
                Step::Whole(packet) => packet,
                Step::Failed => {
                    stats.rx_errors += 1;
                    continue;
                }
            };
            if self.accept(packet, stats) {
                return Ok((Received::Frame(packet.len), notify));
            }
        }
        Ok((Received::Unfinished, notify))
    }

    /// The bytes of the last frame received.
    pub(crate) fn frame(&self, len: usize) -> &[u8] {
        &self.frame[..len]
    }

    fn copy(&mut self, number: u16, piece: Piece) {
        let page = usize::from(number);
        let from = page % SHARE * PAGE + piece.offset;
        let to = &mut self.frame[piece.at..piece.at + piece.len];
        // It cannot fail: the assembler has checked the piece against its page.
        let copied = self.shares[page / SHARE].read(from, to);
        debug_assert!(copied.is_ok());
    }

    fn accept(&self, packet: Packet, stats: &mut Stats) -> bool {
        if packet.len < ETHERNET {
            stats.rx_runts += 1;
            return false;
        }
        let frame = &self.frame[..packet.len];
        if !packet.trusted && !verified(frame, stats) {
            stats.rx_bad_checksums += 1;
            return false;
        }
        stats.rx_frames += 1;
        stats.rx_bytes += packet.len as u64;
        stats.rx_large += u64::from(packet.gso.is_some());
        true
    }

    /// Posts the slots that were read; says whether the backend wants an event.
    pub(crate) fn post(&mut self) -> Result<bool, Broken> {
        for _ in 0..core::mem::take(&mut self.owed) {
            let pushed = self.ring.push(&self.requests[self.next as usize]);
            debug_assert_eq!(pushed, Ok(Some(self.next)));
            self.next = (self.next + 1) % RING_SIZE;
        }
        self.ring.publish()
    }

    pub(crate) fn levels(&self, stats: &mut Stats) {
        stats.rx_posted = self.ring.outstanding();
    }
}

/// Checks what the backend has not: the IP stack above trusts this device with TCP and UDP.
fn verified(frame: &[u8], stats: &mut Stats) -> bool {
    match locate(frame) {
        Located::Transport(transport) => {
            stats.rx_verified += 1;
            transport.verify(frame)
        }
        Located::Opaque => false,
        Located::Other => true,
    }
}
