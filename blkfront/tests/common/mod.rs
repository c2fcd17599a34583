//! A device and its backend in one thread.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use blkfront::back::{Back, Backend, Manner, Media, Offer};
use blkfront::{Blkfront, Config, ConnectError, IoError, Link, Sector, Vdev};
use minios::DomId;
use minios::host::bus::Refused;
pub use minios::host::{Slot, World};

pub const GUEST: DomId = DomId(1);
pub const XVDA: Vdev = Vdev(51712);

pub struct Rig(World);

pub type Connected = Result<(Blkfront, Link), ConnectError>;

impl Deref for Rig {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Rig {
    pub fn new() -> Self {
        Self(World::new())
    }

    pub fn plug(&self, media: &Media, offer: &Offer) -> Rc<Backend> {
        self.plug_as(XVDA, media, offer)
    }

    pub fn plug_as(&self, vdev: Vdev, media: &Media, offer: &Offer) -> Rc<Backend> {
        let backend = Backend::plug(&self.server, &self.host.0, GUEST, vdev, media, offer);
        Rc::new(backend)
    }

    pub fn connect(&self, config: Config) -> Slot<Connected> {
        let (domain, store) = (self.guest.0.clone(), self.store.clone());
        self.start(async move { Blkfront::connect(&domain, &store, XVDA, &config).await })
    }

    pub fn accept(&self, backend: &Rc<Backend>) -> Slot<Result<Back, Refused>> {
        let backend = Rc::clone(backend);
        self.start_on_host(async move { backend.accept().await })
    }
}

/// Both ends, connected, and the device's link running.
pub struct Pair {
    pub rig: Rig,
    pub backend: Rc<Backend>,
    pub back: Back,
    pub front: Blkfront,
    pub link: Rc<Link>,
    pub run: Slot<Result<(), minios::xenbus::XenbusError>>,
    pub media: Media,
}

impl Pair {
    pub fn new(media: &Media, manner: Manner, config: Config) -> Self {
        Pair::with(media, &Offer::new(manner), config)
    }

    pub fn with(media: &Media, offer: &Offer, config: Config) -> Self {
        let rig = Rig::new();
        let backend = rig.plug(media, offer);
        let (back, front) = (rig.accept(&backend), rig.connect(config));
        rig.settle();
        let mut back = back.take().expect("accepted").expect("joined");
        // A device of large sectors reads before it says that it is connected.
        back.manner().holds = false;
        for _ in 0..3 {
            back.poll();
            rig.settle();
        }
        *back.manner() = offer.manner;
        let (front, link) = front.take().expect("connected").expect("a device");
        let link = Rc::new(link);
        let running = Rc::clone(&link);
        let run = rig.start(async move { running.run().await });
        rig.settle();
        Pair {
            rig,
            backend,
            back,
            front,
            link,
            run,
            media: media.clone(),
        }
    }

    /// Lets both ends do what they can.
    pub fn turn(&mut self) {
        self.rig.settle();
        self.back.poll();
        self.rig.settle();
        assert_eq!(self.back.fatal(), None);
    }

    /// Runs a call to its end.
    pub fn finish<T>(&mut self, slot: &Slot<T>) -> T {
        for _ in 0..10_000 {
            self.turn();
            if let Some(value) = slot.take() {
                return value;
            }
        }
        panic!("it does not end: {:?}", self.front.stats());
    }

    /// Reads bytes from any offset on, as a task.
    pub fn read_at(&self, offset: u64, len: usize) -> Slot<Result<Vec<u8>, IoError>> {
        let front = self.front.clone();
        self.rig.start(async move {
            let mut bytes = vec![0xaa; len];
            front.read_at(offset, &mut bytes).await.map(|()| bytes)
        })
    }

    /// Reads sectors into buffers of these lengths, as a task.
    pub fn read(&self, first: u64, lens: &[usize]) -> Slot<Result<Vec<u8>, IoError>> {
        let front = self.front.clone();
        let mut buffers: Vec<Vec<u8>> = lens.iter().map(|len| vec![0xaa; *len]).collect();
        self.rig.start(async move {
            let read = front.read(Sector(first), &mut buffers).await;
            read.map(|()| buffers.concat())
        })
    }

    pub fn write(&self, first: u64, bytes: &[u8]) -> Slot<Result<(), IoError>> {
        let (front, bytes) = (self.front.clone(), bytes.to_vec());
        self.rig
            .start(async move { front.write(Sector(first), &bytes).await })
    }

    pub fn flush(&self) -> Slot<Result<(), IoError>> {
        let front = self.front.clone();
        self.rig.start(async move { front.flush().await })
    }

    /// What the device ought to read.
    pub fn bytes(&self, offset: usize, len: usize) -> Vec<u8> {
        self.media.borrow().bytes[offset..offset + len].to_vec()
    }

    /// Nothing is in flight, and every page is free.
    pub fn idle(&self) {
        let stats = self.front.stats();
        assert_eq!((stats.in_flight, stats.waiting), (0, 0));
        assert_eq!(stats.pages_free as usize, Config::default().pages);
    }

    /// Closes both ends, and sees that nothing is left.
    pub fn close(self) {
        let Pair {
            rig,
            backend,
            back,
            front,
            link,
            run,
            ..
        } = self;
        let closing = Rc::clone(&link);
        let closed = rig.start(async move { closing.shutdown().await });
        let letting_go = Rc::clone(&backend);
        let let_go = rig.start_on_host(async move {
            use minios::xenbus::XenbusState::*;
            letting_go.frontend_leaves().await;
            drop(back);
            letting_go.bus.set_state(Closing);
            letting_go.bus.frontend_reaches(Closed).await;
            letting_go.bus.set_state(Closed);
        });
        rig.run_for(Duration::from_millis(1));
        assert_eq!(closed.take(), Some(Ok(())));
        assert_eq!(run.take(), Some(Ok(())));
        assert!(let_go.take().is_some());
        // Though the device is still held.
        rig.clean();
        drop(front);
    }
}

/// Bytes that tell where they are from.
pub fn pattern(len: usize) -> Vec<u8> {
    let byte = |at: usize| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ (at >> 16) as u8;
    (0..len).map(byte).collect()
}

/// Rings that wrap soon.
pub fn config() -> Config {
    Config {
        ring_index: u32::MAX - 5,
        ..Config::default()
    }
}

pub fn holding() -> Manner {
    Manner {
        holds: true,
        ..Manner::linux()
    }
}
