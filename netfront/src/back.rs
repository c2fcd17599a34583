//! The other end of the wire, in this process: a backend like Linux's, for tests.
//!
//! It enforces what Linux enforces, and where Linux disables the interface for good, this one
//! records why ([`Back::fatal`]) and does nothing any more. It holds pages for as long as it is
//! told, and lies when asked to. As a smoltcp device it is the network's side of the interface:
//! what the guest leaves to the backend (checksums, segmentation) has been done to the frames that
//! come out of it.

mod bus;
mod deceit;
mod far;
mod segment;
mod to_guest;
mod to_network;

pub use bus::{Backend, Offer};
pub use deceit::Deceit;
pub use segment::{Checksum, Frame, Unfinished};

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use minios::host::bus::AttachError;
use minios::host::{GrantError, Mapping, map};
use minios::ring::Broken;
use minios::ring::request;
use minios::{Access, DomId, Domain, Grant, Port, PortNumber};

use crate::features::Wiring;
use crate::wire::{RxRing, TxRing};
use to_guest::ToGuest;
use to_network::ToNetwork;

/// What a guest has done that Linux's backend disables an interface for, or should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// A ring's index that cannot be.
    Ring(Broken),
    /// A packet of 20 slots or more.
    TooManySlots,
    /// A packet of several slots, where one was agreed.
    NoScatterGather,
    /// Data over the end of their page.
    PageCrossing {
        /// Where they begin in it.
        offset: u16,
        /// How many bytes they are.
        size: u16,
    },
    /// A packet whose slots were not all published.
    Truncated,
    /// Less than an Ethernet header in the first slot, or slots that are more than the packet.
    Sizes,
    /// Extra information of a type that does not exist.
    Extra(u8),
    /// Segmentation that does not exist or was not agreed.
    Gso,
    /// A page that the backend may not read, or not write.
    Grant(GrantError),
    /// A frame that cannot be completed as it says.
    Frame(Unfinished),
    /// A page whose bytes were changed before it was given back.
    Rewritten,
    /// A page for reception in another slot than it says.
    RxId {
        /// The slot that it is in.
        slot: u32,
        /// The one that it says.
        id: u16,
    },
}

/// How a backend behaves, within what was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Packets of several slots are taken.
    pub sg: bool,
    /// Segmentation is taken, by IP version.
    pub gso: [bool; 2],
    /// Blank checksums are taken, by IP version.
    pub blank: [bool; 2],
    /// Where in a page received data begin: 0 with Linux, 2 with QEMU.
    pub offset: u16,
    /// Bytes to a slot at most, towards the guest.
    pub piece: u16,
    /// Extra information of no use to the guest comes with each packet.
    pub chatty: bool,
    /// Pages are kept until [`Back::complete`].
    pub holds: bool,
}

impl Manner {
    /// Linux's.
    pub fn linux() -> Self {
        Manner {
            sg: true,
            gso: [true, true],
            blank: [true, true],
            offset: 0,
            piece: 4096,
            chatty: false,
            holds: false,
        }
    }

    /// QEMU's.
    pub fn qemu() -> Self {
        Manner {
            sg: false,
            gso: [false, false],
            blank: [true, false],
            offset: 2,
            ..Manner::linux()
        }
    }
}

/// What a backend counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackStats {
    /// Frames from the guest.
    pub from_guest: u64,
    /// Of these, the ones that came to be segmented.
    pub large: u64,
    /// Of these, the ones of more than 18 slots, which Linux drops.
    pub oversized: u64,
    /// Packets to the guest.
    pub to_guest: u64,
    /// The fewest pages posted that it ever found.
    pub fewest_posted: Option<u32>,
    /// Events from the guest.
    pub events: u64,
    /// Events to the guest.
    pub notifies: u64,
}

/// A backend's half of a connected interface.
pub struct Back {
    domain: Domain,
    guest: DomId,
    tx_port: Port,
    rx_port: Option<Port>,
    out: ToNetwork,
    inn: ToGuest,
    /// How it behaves; may be changed at any time.
    pub manner: Manner,
    fatal: Option<Fatal>,
    stats: BackStats,
    /// Frames from the guest as they came.
    frames: VecDeque<Frame>,
    /// Frames for the network, completed.
    cable: VecDeque<Vec<u8>>,
    /// How the network's side sends: with work left to do, as a dom0 does, or complete.
    far: far::Far,
}

impl Back {
    /// Joins what `guest` has made.
    pub fn attach(
        domain: &Domain,
        guest: DomId,
        wiring: &Wiring,
        manner: Manner,
    ) -> Result<Self, AttachError> {
        let ring =
            |grant| map(domain, guest, Grant(grant), Access::ReadWrite).map_err(AttachError::Grant);
        let port = |number| {
            domain
                .bind(guest, PortNumber(number))
                .map_err(AttachError::Port)
        };
        let out = request::Back::<TxRing, Mapping>::new(ring(wiring.tx_ring)?)
            .map_err(AttachError::Ring)?;
        let inn = request::Back::<RxRing, Mapping>::new(ring(wiring.rx_ring)?)
            .map_err(AttachError::Ring)?;
        Ok(Back {
            domain: domain.clone(),
            guest,
            tx_port: port(wiring.tx_port)?,
            rx_port: wiring.rx_port.map(port).transpose()?,
            out: ToNetwork::new(out),
            inn: ToGuest::new(inn),
            manner,
            fatal: None,
            stats: BackStats::default(),
            frames: VecDeque::new(),
            cable: VecDeque::new(),
            far: far::Far::default(),
        })
    }

    /// Does all there is to do now, in both directions.
    pub fn poll(&mut self) {
        let events = self.tx_port.take() | self.rx_port.as_ref().is_some_and(Port::take);
        self.stats.events += u64::from(events);
        if self.fatal.is_none()
            && let Err(fatal) = self.try_poll()
        {
            self.fatal = Some(fatal);
        }
    }

    fn try_poll(&mut self) -> Result<(), Fatal> {
        self.take_requests()?;
        if !self.manner.holds {
            self.out.complete(usize::MAX)?;
        }
        if self.out.publish()? {
            self.notify_tx();
        }
        self.fill_pages()?;
        if self.inn.publish()? {
            self.notify_rx();
        }
        Ok(())
    }

    /// Gives back the pages of up to `count` packets, oldest first, as [`Manner::holds`] leaves to
    /// the caller.
    pub fn complete(&mut self, count: usize) {
        let done = self.out.complete(count).and_then(|()| self.out.publish());
        match done {
            Ok(true) => self.notify_tx(),
            Ok(false) => {}
            Err(fatal) => self.fatal = Some(fatal),
        }
    }

    /// Puts off the oldest packet that it holds until the others are done.
    pub fn postpone(&mut self) {
        self.out.postpone();
    }

    /// The next packets to complete fail.
    pub fn fail(&mut self, count: usize) {
        self.out.fail(count);
    }

    /// Packets whose pages it holds.
    pub fn held(&self) -> usize {
        self.out.held()
    }

    /// A packet for the guest, sent when there are pages for it.
    pub fn inject(&mut self, frame: Frame) {
        self.inn.queue.push_back(frame);
    }

    /// Packets that wait for pages.
    pub fn queued(&self) -> usize {
        self.inn.queue.len()
    }

    /// The next frame from the guest, as it came. (As a device, it hands it out completed instead.)
    pub fn take_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// What the guest has done, if it is disabled.
    pub fn fatal(&self) -> Option<Fatal> {
        self.fatal
    }

    /// What it has counted.
    pub fn stats(&self) -> BackStats {
        self.stats
    }

    fn notify_tx(&mut self) {
        self.stats.notifies += 1;
        self.tx_port.notify();
    }

    fn notify_rx(&mut self) {
        self.stats.notifies += 1;
        self.rx_port.as_ref().unwrap_or(&self.tx_port).notify();
    }
}
