//! A device and its backend in one thread.

#![allow(dead_code, unreachable_pub, missing_docs)]

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use blkfront::back::{Back, Backend, Manner, Media, Offer, Refused};
use blkfront::{Blkfront, Config, ConnectError, IoError, Link, Sector, Vdev};
use minios::exec::Executor;
use minios::host::Hypervisor;
use minios::host::store::Server;
use minios::xenstore::Store;
use minios::{DomId, Domain};

pub const GUEST: DomId = DomId(1);
pub const XVDA: Vdev = Vdev(51712);

pub struct Rig {
    pub hypervisor: Hypervisor,
    pub server: Server,
    pub host: (Domain, Executor),
    pub guest: (Domain, Executor),
    pub store: Store,
}

pub type Slot<T> = Rc<RefCell<Option<T>>>;
pub type Connected = Result<(Blkfront, Link), ConnectError>;

impl Rig {
    pub fn new() -> Self {
        let hypervisor = Hypervisor::new();
        let server = Server::new(&hypervisor);
        let host = (hypervisor.domain(DomId::ZERO), Executor::new());
        let guest = (hypervisor.domain(GUEST), Executor::new());
        server.attach(GUEST).expect("a guest");
        let serving = server.clone();
        host.1
            .spawner()
            .spawn(async move { serving.run().await })
            .expect("a task");
        let store = Store::new(&guest.0);
        let running = store.clone();
        let run = async move {
            running.run().await;
        };
        guest.1.spawner().spawn(run).expect("a task");
        Rig {
            hypervisor,
            server,
            host,
            guest,
            store,
        }
    }

    pub fn plug(&self, media: &Media, offer: &Offer) -> Rc<Backend> {
        self.plug_as(XVDA, media, offer)
    }

    pub fn plug_as(&self, vdev: Vdev, media: &Media, offer: &Offer) -> Rc<Backend> {
        let backend = Backend::plug(&self.server, &self.host.0, GUEST, vdev, media, offer);
        Rc::new(backend)
    }

    pub fn start<T: 'static>(
        side: &(Domain, Executor),
        future: impl Future<Output = T> + 'static,
    ) -> Slot<T> {
        let slot = Slot::default();
        let out = Rc::clone(&slot);
        let task = async move {
            let value = future.await;
            *out.borrow_mut() = Some(value);
        };
        side.1.spawner().spawn(task).expect("a task");
        slot
    }

    /// A task of the guest's.
    pub fn spawn<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Slot<T> {
        Rig::start(&self.guest, future)
    }

    pub fn connect(&self, config: Config) -> Slot<Connected> {
        let (domain, store) = (self.guest.0.clone(), self.store.clone());
        self.spawn(async move { Blkfront::connect(&domain, &store, XVDA, &config).await })
    }

    pub fn accept(&self, backend: &Rc<Backend>) -> Slot<Result<Back, Refused>> {
        let backend = Rc::clone(backend);
        Rig::start(&self.host, async move { backend.accept().await })
    }

    pub fn run_for(&self, duration: Duration) {
        let parties = [(&self.host.0, &self.host.1), (&self.guest.0, &self.guest.1)];
        self.hypervisor.run_for(&parties, duration);
    }

    pub fn settle(&self) {
        self.run_for(Duration::ZERO);
    }

    pub fn clean(&self) {
        assert_eq!(self.hypervisor.grants(GUEST), 0);
        assert_eq!(self.hypervisor.pages(GUEST), 0);
        assert_eq!(self.guest.0.leaked(), 0);
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
        let run = rig.spawn(async move { running.run().await });
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
        self.rig.spawn(async move {
            let mut bytes = vec![0xaa; len];
            front.read_at(offset, &mut bytes).await.map(|()| bytes)
        })
    }

    /// Reads sectors into buffers of these lengths, as a task.
    pub fn read(&self, first: u64, lens: &[usize]) -> Slot<Result<Vec<u8>, IoError>> {
        let front = self.front.clone();
        let mut buffers: Vec<Vec<u8>> = lens.iter().map(|len| vec![0xaa; *len]).collect();
        self.rig.spawn(async move {
            let read = front.read(Sector(first), &mut buffers).await;
            read.map(|()| buffers.concat())
        })
    }

    pub fn write(&self, first: u64, bytes: &[u8]) -> Slot<Result<(), IoError>> {
        let (front, bytes) = (self.front.clone(), bytes.to_vec());
        self.rig
            .spawn(async move { front.write(Sector(first), &bytes).await })
    }

    pub fn flush(&self) -> Slot<Result<(), IoError>> {
        let front = self.front.clone();
        self.rig.spawn(async move { front.flush().await })
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
        let closed = rig.spawn(async move { closing.shutdown().await });
        let letting_go = Rc::clone(&backend);
        let let_go = Rig::start(&rig.host, async move {
            use minios::xenbus::XenbusState::*;
            letting_go.frontend_leaves().await;
            drop(back);
            letting_go.set_state(Closing);
            letting_go.frontend_reaches(Closed).await;
            letting_go.set_state(Closed);
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
