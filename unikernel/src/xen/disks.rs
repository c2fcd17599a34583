//! The disks of a site on FAT volumes: each is connected and mounted when it is there, and let go
//! when it goes, for as long as the guest runs.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, pending, poll_fn};
use core::pin::Pin;
use core::task::{Poll, Waker};
use core::time::Duration;

use blkfront::{Blkfront, ConnectError, Link, Phase, ResolveError, Vdev};
use minios::exec::{Either, race};
use minios::xenstore::{Store, StoreError};
use minios::{Domain, PAGE_SIZE};
use www::Clock;
use www::cache::Cache;
use www::config::{Config, MIN_CACHE};
use www::fat::{FatStore, Limits};
use www::pack::names::Part;

use crate::disk::Disk;
use crate::micros;

/// The most that the cache takes if nothing is said.
const CACHE_MAX: usize = 64 << 20;

/// With less memory than this, requests are smaller.
const SMALL: usize = 12 << 20;

/// Time until a disk that could not be used is tried again, though it did not go and come back.
const AGAIN: Duration = Duration::from_secs(30);

/// What is spawned: tasks of one type, so that the program has the code for one.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What the disks may take of a domain's memory.
struct Plan {
    cache: usize,
    limits: Limits,
    interface: blkfront::Config,
}

impl Plan {
    fn new(free: usize, cache: Option<usize>) -> Self {
        let mut interface = blkfront::Config::default();
        if free < SMALL {
            interface.pages = 64;
        }
        let wanted = cache.unwrap_or((free / 4).clamp(MIN_CACHE, CACHE_MAX));
        Self {
            // Whatever is asked for: without memory for connections there would be nobody to read it.
            cache: wanted.min((free / 2).max(MIN_CACHE)),
            limits: Limits {
                memory: free / 16,
                ..Limits::default()
            },
            interface,
        }
    }
}

/// The disks, and the site on them.
#[derive(Clone)]
pub(crate) struct Disks(Rc<Inner>);

struct Inner {
    domain: Domain,
    fat: FatStore<Disk>,
    parts: Vec<(Part, blkfront::Disk)>,
    plan: Plan,
    /// Parts about which nothing is known as yet.
    unknown: Count,
    /// Parts whose disks are to be let go before the end.
    running: Count,
    stopping: Cell<bool>,
    stop: RefCell<Vec<Waker>>,
}

impl Disks {
    /// The disks that `config` names, in a domain that has so many bytes free. Nothing is done with
    /// them as yet. Fails with a line to print.
    pub(crate) fn new(
        domain: &Domain,
        config: &Config,
        free: usize,
        clock: impl Clock + 'static,
    ) -> Result<Self, String> {
        let plan = Plan::new(free, config.cache);
        let fat = FatStore::new(&Cache::new(plan.cache), clock);
        let mut parts = Vec::new();
        for (part, name) in [(Part::Files, &config.files), (Part::Pages, &config.pages)] {
            let Some(name) = name else { continue };
            let disk = name.parse().map_err(|bad| {
                alloc::format!(
                    "--{}: '{}': {bad}",
                    part.name(),
                    name.as_bytes().escape_ascii()
                )
            })?;
            fat.away(part, "its disk was not there yet");
            parts.push((part, disk));
        }
        Ok(Self(Rc::new(Inner {
            domain: domain.clone(),
            fat,
            plan,
            unknown: Count::new(parts.len()),
            running: Count::new(0),
            parts,
            stopping: Cell::new(false),
            stop: RefCell::default(),
        })))
    }

    /// The site on the disks.
    pub(crate) fn site(&self) -> FatStore<Disk> {
        self.0.fat.clone()
    }

    /// The most memory that all this takes.
    pub(crate) fn memory(&self) -> usize {
        let plan = &self.0.plan;
        let pool = plan.interface.pages * PAGE_SIZE;
        plan.cache + self.0.parts.len() * (pool + plan.limits.memory)
    }

    /// Begins: a task for each disk, and one for all.
    pub(crate) fn start(
        &self,
        store: &Store,
        spawn: &dyn Fn(Task) -> Result<(), String>,
    ) -> Result<(), String> {
        let plan = &self.0.plan;
        log::info!(
            "disks: {} KiB of cache, up to {} KiB for the index of a volume",
            plan.cache / 1024,
            plan.limits.memory / 1024
        );
        // A disk's pages are kept for what was read ahead until somebody looks at it.
        let site = self.site();
        spawn(Box::pin(async move { site.cache().drive().await }))?;
        for (part, disk) in self.0.parts.iter().copied() {
            let inner = self.0.clone();
            let store = store.clone();
            let task = Box::pin(async move {
                inner.keep(part, disk, &store).await;
                inner.running.less();
            });
            spawn(task)?;
            self.0.running.more();
        }
        Ok(())
    }

    /// Ready when each part was mounted or could not be.
    pub(crate) async fn settled(&self) {
        self.0.unknown.none().await;
    }

    /// Lets all disks go, in good order. What is not read by now fails.
    pub(crate) fn stop(&self) {
        self.0.stopping.set(true);
        for waker in self.0.stop.take() {
            waker.wake();
        }
    }

    /// Ready when all disks were let go.
    pub(crate) async fn stopped(&self) {
        self.0.running.none().await;
    }
}

/// A disk in use.
struct Attached {
    vdev: Vdev,
    device: Blkfront,
    link: Link,
}

impl Inner {
    /// Keeps one part of the site on its disk until [`Disks::stop`].
    async fn keep(&self, part: Part, disk: blkfront::Disk, store: &Store) {
        let mut known = Known(Some(&self.unknown));
        loop {
            let attaching = self.attach(disk, store);
            let why = match race(self.stopped(), attaching).await {
                Either::Left(()) => return,
                Either::Right(Ok(attached)) => {
                    self.serve(part, attached, &mut known).await;
                    continue;
                }
                Either::Right(Err(why)) => why,
            };
            log::error!("{}: {disk}: {why}", part.name());
            self.fat.away(part, &why);
            known.now();
            let another = self.another(disk, store, &why);
            match race(self.stopped(), another).await {
                Either::Left(()) => return,
                Either::Right(Ok(())) => {}
                Either::Right(Err(error)) => {
                    log::error!("{}: {error}: disks are not seen any more", part.name());
                    return;
                }
            }
        }
    }

    async fn attach(&self, disk: blkfront::Disk, store: &Store) -> Result<Attached, NoDisk> {
        let vdev = disk.resolve(store).await.map_err(NoDisk::Which)?;
        let interface = &self.plan.interface;
        let connected = Blkfront::connect(&self.domain, store, vdev, interface).await;
        let (device, link) = connected.map_err(NoDisk::Connect)?;
        Ok(Attached { vdev, device, link })
    }

    /// Waits until it is worth to try again.
    async fn another(
        &self,
        disk: blkfront::Disk,
        store: &Store,
        why: &NoDisk,
    ) -> Result<(), StoreError> {
        if let (NoDisk::Connect(ConnectError::Absent), blkfront::Disk::Vdev(vdev)) = (why, disk) {
            return blkfront::wait_for(store, vdev).await;
        }
        let gone = async {
            let watch = store.watch("device/vbd").await?;
            loop {
                watch.changed().await?;
                match (why, disk.resolve(store).await) {
                    (NoDisk::Which(_), Ok(_)) => return Ok(()),
                    (NoDisk::Which(_), Err(_)) => {}
                    (_, Err(_)) => return Ok(()),
                    (_, Ok(vdev)) => {
                        let path = alloc::format!("device/vbd/{}/backend", vdev.0);
                        if store.read(&path).await.is_err_and(StoreError::is_missing) {
                            return Ok(());
                        }
                    }
                }
            }
        };
        match race(gone, self.domain.sleep(AGAIN)).await {
            Either::Left(result) => result,
            Either::Right(()) => Ok(()),
        }
    }

    /// Has the part of the site on this disk until that goes.
    async fn serve(&self, part: Part, attached: Attached, known: &mut Known<'_>) {
        let Attached { vdev, device, link } = attached;
        let leaked = self.domain.leaked();
        let use_it = async {
            let begun = self.domain.now();
            let disk = Disk {
                domain: self.domain.clone(),
                device: device.clone(),
            };
            if let Ok(()) = self.fat.mount(part, disk, self.plan.limits).await {
                log::info!(
                    "{}: on {vdev}, after {} us; {} KiB free",
                    part.name(),
                    micros(self.domain.now().since(begun)),
                    self.domain.memory().frames_free * PAGE_SIZE / 1024
                );
            }
            known.now();
            let mut sectors = device.sectors();
            while device.phase() == Phase::Running {
                sectors = device.resized(sectors).await;
            }
            self.fat.away(part, "its disk cannot be used any more");
            pending::<()>().await
        };
        let work = race(link.run(), use_it);
        race(self.stopped(), work).await;
        if !self.stopping.get() {
            log::warn!("{}: {vdev} is gone", part.name());
        }
        self.fat.away(part, "its disk was taken away");
        if let Err(error) = link.shutdown().await {
            log::warn!("{}: {vdev}: {error}", part.name());
        }
        let leaked = self.domain.leaked() - leaked;
        if leaked > 0 {
            log::warn!(
                "{}: {vdev}: {leaked} pages are still mapped by the backend",
                part.name()
            );
        }
    }

    /// Ready once all is to end.
    async fn stopped(&self) {
        poll_fn(|cx| {
            if self.stopping.get() {
                return Poll::Ready(());
            }
            let mut waiting = self.stop.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

/// Why a part has no disk.
enum NoDisk {
    Which(ResolveError),
    Connect(ConnectError),
}

impl fmt::Display for NoDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Which(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
        }
    }
}

/// How many there are, for one who waits until there are none.
struct Count {
    left: Cell<usize>,
    waiter: Cell<Option<Waker>>,
}

impl Count {
    fn new(left: usize) -> Self {
        Self {
            left: Cell::new(left),
            waiter: Cell::new(None),
        }
    }

    fn more(&self) {
        self.left.set(self.left.get() + 1);
    }

    fn less(&self) {
        self.left.set(self.left.get().saturating_sub(1));
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }

    async fn none(&self) {
        poll_fn(|cx| {
            if self.left.get() == 0 {
                return Poll::Ready(());
            }
            self.waiter.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

/// Takes one from a count, once.
struct Known<'a>(Option<&'a Count>);

impl Known<'_> {
    fn now(&mut self) {
        if let Some(count) = self.0.take() {
            count.less();
        }
    }
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.now();
    }
}
