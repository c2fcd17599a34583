//! The other end of the wire, in this process: a backend like Linux's, for tests.
//!
//! It enforces what backends enforce, and what they should: where a frontend breaks the protocol it
//! records how ([`Back::fatal`]) and does nothing any more. It holds requests for as long as it is
//! told and answers them in any order, fails where it is told, and lies when asked to.

mod bus;
mod deceit;
mod job;

pub use bus::{Backend, Offer};
pub use deceit::Deceit;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::time::Duration;

use minios::exec::race;
use minios::host::bus::AttachError;
use minios::host::{GrantError, Mapping, map_all};
use minios::ring::{Broken, request};
use minios::{Access, DomId, Domain, Grant, Instant, Port, PortNumber};

use crate::wire::{BlkRing, DIRECT, Response, SECTOR};
use job::Job;

/// What a device has on it, kept when its backend goes. Clones are the same one.
#[derive(Clone, Default)]
pub struct Media(Rc<RefCell<Medium>>);

/// What is on a device, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Medium {
    /// Its bytes: whole sectors.
    pub bytes: Vec<u8>,
    /// Sectors of 512 bytes that can be neither read nor written.
    pub bad: BTreeSet<u64>,
    /// Each request of this number fails, if not 0.
    pub fail_every: usize,
    /// Requests up to now.
    pub requests: usize,
    /// Flushes that were done.
    pub flushes: usize,
}

impl Media {
    /// With these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let medium = Medium {
            bytes,
            ..Medium::default()
        };
        Media(Rc::new(RefCell::new(medium)))
    }

    /// To look at it, or to change it.
    pub fn borrow(&self) -> core::cell::RefMut<'_, Medium> {
        self.0.borrow_mut()
    }
}

/// How a backend behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// The most segments that it takes; more than 11 by indirection.
    pub segments: usize,
    /// The order of the largest ring that it maps.
    pub ring_order: u32,
    /// Pages stay mapped for the next request.
    pub persistent: bool,
    /// It can flush.
    pub flush: bool,
    /// Though it says so, it knows no indirection, or no flush.
    pub unsupported: bool,
    /// Bytes in a sector.
    pub sector_size: usize,
    /// Bytes that it takes the protocol's units to be: 512, or `sector_size` as old QEMUs do.
    pub unit: usize,
    /// It may only be read.
    pub read_only: bool,
    /// How it names the operation of what was asked for by indirection.
    pub says_indirect: bool,
    /// Requests are kept until [`Back::answer`].
    pub holds: bool,
    /// Requests take so long ([`Backend::serve`] only).
    pub delay: Duration,
}

impl Manner {
    /// Linux's.
    pub fn linux() -> Self {
        Manner {
            segments: 256,
            ring_order: 4,
            persistent: true,
            flush: true,
            unsupported: false,
            sector_size: SECTOR,
            unit: SECTOR,
            read_only: false,
            says_indirect: false,
            holds: false,
            delay: Duration::ZERO,
        }
    }

    /// QEMU's.
    pub fn qemu() -> Self {
        Manner {
            segments: DIRECT,
            persistent: false,
            ..Manner::linux()
        }
    }
}

/// What a guest has done that no frontend may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// A ring's index that cannot be.
    Ring(Broken),
    /// An operation that does not exist, or was not offered.
    Operation(u8),
    /// No segments, or more than were agreed, or fewer by indirection than fit without.
    Segments(usize),
    /// A segment that is not within its page.
    Segment {
        /// Its first sector.
        first: u8,
        /// Its last one.
        last: u8,
    },
    /// Something that does not begin and end with a sector of the device.
    Misaligned,
    /// Writing what may only be read.
    ReadOnly,
    /// The number of a request that has not been answered.
    Id(u64),
    /// Another device's number.
    Handle(u16),
    /// A page that it may not map.
    Grant(GrantError),
    /// A page that is in two requests at once.
    Shared(u32),
}

impl From<Broken> for Fatal {
    fn from(broken: Broken) -> Self {
        Fatal::Ring(broken)
    }
}

/// What a backend counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackStats {
    /// Requests.
    pub requests: u64,
    /// Of these, the ones by indirection.
    pub indirect: u64,
    /// The most segments that one had.
    pub most_segments: usize,
    /// Events from the guest.
    pub events: u64,
    /// Events to the guest.
    pub notifies: u64,
    /// Pages that it keeps mapped.
    pub kept: usize,
}

/// Where a backend finds what the frontend has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The grants of the ring's pages.
    pub ring: Vec<u32>,
    /// The port for events.
    pub port: u32,
    /// What the frontend ought to call the device.
    pub handle: u16,
}

/// A backend's half of a connected device.
pub struct Back {
    domain: Domain,
    guest: DomId,
    handle: u16,
    ring: request::Back<BlkRing, Mapping>,
    port: Port,
    media: Media,
    manner: Manner,
    fatal: Option<Fatal>,
    stats: BackStats,
    /// Pages that stay mapped, by grant.
    kept: BTreeMap<u32, Rc<Mapping>>,
    held: VecDeque<(Instant, Job)>,
}

impl Back {
    /// Joins what `guest` has made.
    pub fn attach(
        domain: &Domain,
        guest: DomId,
        wiring: &Wiring,
        media: &Media,
        manner: Manner,
    ) -> Result<Self, AttachError> {
        let grants: Vec<Grant> = wiring.ring.iter().copied().map(Grant).collect();
        let memory =
            map_all(domain, guest, &grants, Access::ReadWrite).map_err(AttachError::Grant)?;
        let port = domain.bind(guest, PortNumber(wiring.port));
        Ok(Back {
            domain: domain.clone(),
            guest,
            handle: wiring.handle,
            ring: request::Back::new(memory).map_err(AttachError::Ring)?,
            port: port.map_err(AttachError::Port)?,
            media: media.clone(),
            manner,
            fatal: None,
            stats: BackStats::default(),
            kept: BTreeMap::new(),
            held: VecDeque::new(),
        })
    }

    /// How it behaves, from now on.
    pub fn manner(&mut self) -> &mut Manner {
        &mut self.manner
    }

    /// Does all there is to do now.
    pub fn poll(&mut self) {
        self.stats.events += u64::from(self.port.take());
        let done = self.take();
        self.done(done);
        if !self.manner.holds {
            self.answer_until(self.domain.now());
        }
    }

    fn done(&mut self, done: Result<(), Fatal>) {
        if let (Err(fatal), None) = (done, self.fatal) {
            self.fatal = Some(fatal);
        }
    }

    fn take(&mut self) -> Result<(), Fatal> {
        if self.fatal.is_some() {
            return Ok(());
        }
        loop {
            while let Some((_, slot)) = self.ring.pop()? {
                let job = self.parse(&slot)?;
                let due = self.domain.now() + self.manner.delay;
                self.held.push_back((due, job));
            }
            if !self.ring.rearm()? {
                return Ok(());
            }
        }
    }

    /// Requests that wait to be answered.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Does and answers the request at this place among those that wait; the oldest is at 0.
    pub fn answer(&mut self, place: usize) {
        if let Some((_, job)) = self.held.remove(place) {
            let response = self.perform(job);
            self.respond(&response);
        }
    }

    /// Does and answers all that wait, and shows the answers together.
    pub fn answer_all(&mut self) {
        self.answer_until(self.domain.now() + Duration::from_secs(1 << 30));
    }

    fn answer_until(&mut self, now: Instant) {
        let mut done = Ok(());
        while let Some((_, job)) = self.held.pop_front_if(|(due, _)| *due <= now) {
            let response = self.perform(job);
            done = done.and(self.ring.push(&response).map(drop));
        }
        self.done(done.map_err(Fatal::from));
        self.publish();
    }

    fn respond(&mut self, response: &Response) {
        let done = self.ring.push(response).map(drop);
        self.done(done.map_err(Fatal::from));
        self.publish();
    }

    fn publish(&mut self) {
        match self.ring.publish() {
            Ok(true) => {
                self.stats.notifies += 1;
                self.port.notify();
            }
            Ok(false) => {}
            Err(broken) => self.done(Err(broken.into())),
        }
    }

    /// What the guest has done, if it is not served any more.
    pub fn fatal(&self) -> Option<Fatal> {
        self.fatal
    }

    /// What it has counted.
    pub fn stats(&self) -> BackStats {
        BackStats {
            kept: self.kept.len(),
            ..self.stats
        }
    }

    /// Serves for ever.
    pub async fn run(&mut self) {
        loop {
            self.poll();
            match self.held.front() {
                Some((due, _)) if !self.manner.holds => {
                    let sleep = self.domain.sleep_until(*due);
                    race(self.port.event(), sleep).await;
                }
                _ => self.port.event().await,
            }
        }
    }
}
