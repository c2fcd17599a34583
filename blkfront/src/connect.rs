//! Connecting over xenstore.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use minios::exec::{Either, race};
use minios::xenbus::{Frontend, Step, XenbusError, XenbusState};
use minios::xenstore::Store;
use minios::{Domain, PAGE_SIZE, SetupError};

use crate::device::{Blkfront, Shared};
use crate::features::{BadProperty, Features, Properties, RING_KEYS, ring_order};
use crate::link::Link;
use crate::setup::{self, Config};
use crate::transfer::ReadAt;
use crate::vdev::Vdev;
use crate::wire::SECTOR;

/// Why a device could not be connected. Nothing is left shared with the backend, unless it still
/// maps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// There is no such device. [`wait_for`](crate::wait_for) waits until there is.
    Absent,
    /// xenstore, or something in it that others wrote.
    Xenbus(XenbusError),
    /// What it needs could not be had.
    Setup(SetupError),
    /// The backend closed the device instead, or it was taken away.
    Closed,
    /// The device has sectors of a size that cannot be used, in bytes.
    SectorSize(u64),
    /// The device has sectors of this many bytes, not 512, and its first page cannot be read in the
    /// protocol's units of 512: its backend may be one that counts in another, as old QEMUs do.
    Unit(u32),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Absent => f.write_str("there is no such disk"),
            ConnectError::Xenbus(error) => error.fmt(f),
            ConnectError::Setup(error) => error.fmt(f),
            ConnectError::Closed => f.write_str("the backend closed the device"),
            ConnectError::SectorSize(size) => write!(f, "sectors of {size} bytes"),
            ConnectError::Unit(size) => write!(
                f,
                "it has sectors of {size} bytes and cannot be read in units of 512, as by old QEMUs"
            ),
        }
    }
}

impl core::error::Error for ConnectError {}

impl From<XenbusError> for ConnectError {
    fn from(error: XenbusError) -> Self {
        ConnectError::Xenbus(error)
    }
}

impl From<SetupError> for ConnectError {
    fn from(error: SetupError) -> Self {
        ConnectError::Setup(error)
    }
}

impl Blkfront {
    /// Connects a disk. The [`Link`] must be run for the device to do anything.
    ///
    /// Cancelling it leaves the device half connected in xenstore; connecting again starts over.
    /// Pages that the backend still maps when the device is closed are lost, and counted by
    /// [`Domain::leaked`].
    pub async fn connect(
        domain: &Domain,
        store: &Store,
        vdev: Vdev,
        config: &Config,
    ) -> Result<(Blkfront, Link), ConnectError> {
        // Behind a pointer, so that callers do not each get a copy of all its steps.
        let connecting: Pin<Box<dyn Future<Output = _> + '_>> =
            Box::pin(connect(domain, store, vdev, config));
        connecting.await
    }
}

async fn connect(
    domain: &Domain,
    store: &Store,
    vdev: Vdev,
    config: &Config,
) -> Result<(Blkfront, Link), ConnectError> {
    let frontend = match Frontend::open(domain, store, "vbd", vdev.0).await {
        Err(XenbusError::Missing(_)) => return Err(ConnectError::Absent),
        frontend => frontend?,
    };
    let deadline = domain.now() + config.patience;
    let offered = domain.timeout(deadline, until_offer(&frontend)).await;
    let order = offered
        .unwrap_or(Err(XenbusError::TimedOut))?
        .min(config.ring_order);
    let (shared, keys) = setup::make(domain, frontend.backend_id(), vdev, order, config)?;
    let keys: Vec<_> = keys
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    frontend.publish(&keys).await?;
    let link = Link::new(frontend, Rc::clone(&shared));
    let deadline = domain.now() + config.patience;
    let joined = domain.timeout(deadline, join(&link, &shared)).await;
    match joined.unwrap_or(Err(XenbusError::TimedOut.into())) {
        Ok(features) => {
            say(&link, &shared, order, &features);
            Ok((Blkfront(shared), link))
        }
        Err(error) => {
            // Only then are its pages taken back.
            let _ = link.shutdown().await;
            Err(error)
        }
    }
}

fn say(link: &Link, shared: &Rc<Shared>, order: u32, features: &Features) {
    let device = Blkfront(Rc::clone(shared));
    log::info!(target: "blkfront", "vbd/{} {}: {} sectors of {} bytes{}, backend {}: ring order {order}, {features}",
        device.vdev().0,
        device.vdev(),
        device.sectors(),
        device.sector_size(),
        if device.read_only() { ", read-only" } else { "" },
        link.frontend.backend_id(),
    );
}

/// Waits for the backend's offer: the order of the largest ring that it takes.
async fn until_offer(frontend: &Frontend) -> Result<u32, XenbusError> {
    loop {
        match frontend.next().await? {
            Step::Offer => break,
            Step::Reopen => frontend.set_state(XenbusState::Initialising).await?,
            // Left behind by whatever ran here before: what it shared died with it.
            Step::Close | Step::Use | Step::Wait => match frontend.close().await {
                Ok(()) | Err(XenbusError::TimedOut) => {}
                Err(error) => return Err(error),
            },
        }
    }
    let mut ring = [const { None }; RING_KEYS.len()];
    read(frontend, &RING_KEYS, 0, &mut ring).await?;
    Ok(ring_order(&ring))
}

/// From our keys to a device in use.
async fn join(link: &Link, shared: &Shared) -> Result<Features, ConnectError> {
    let frontend = &link.frontend;
    let mut values = [const { None }; Properties::KEYS.len()];
    let mut offer = [const { None }; Features::KEYS.len()];
    let mut features = Features::read(&offer);
    for state in [XenbusState::Initialised, XenbusState::Connected] {
        frontend.set_state(state).await?;
        // Twice, so that its going away from now on is noticed.
        if frontend.next().await? != Step::Use {
            return Err(ConnectError::Closed);
        }
        if state == XenbusState::Connected {
            break;
        }
        // Not earlier: a backend writes these when it connects.
        read(frontend, &Properties::KEYS, Properties::NEEDED, &mut values).await?;
        shared.properties.set(properties(&values)?);
        read(frontend, &Features::KEYS, 0, &mut offer).await?;
        features = Features::read(&offer);
    }
    let Properties {
        sectors,
        sector_size,
        read_only,
        ..
    } = shared.properties.get();
    shared.flush.set(features.flush && !read_only);
    if let Some(engine) = &mut *shared.engine.borrow_mut() {
        engine.offer_segments(features.segments);
    }
    // QEMU took all units to be the device's sectors once. It refused a segment beyond the end of
    // its page: so, if the eight units of a page can be read, they are of 512 bytes. If there are
    // fewer, as many as there are: in larger units they would end beyond the device.
    if sector_size as usize != SECTOR {
        let units = (PAGE_SIZE / SECTOR).min(sectors as usize);
        let units = units - units % (sector_size as usize / SECTOR);
        let mut page = alloc::vec![0; units * SECTOR];
        let reading = ReadAt::new(shared, 0, &mut page);
        if race(reading, shared.pump()).await != Either::Left(Ok(())) {
            return Err(ConnectError::Unit(sector_size));
        }
    }
    Ok(features)
}

fn properties(values: &[Option<String>; 5]) -> Result<Properties, ConnectError> {
    Properties::read(values).map_err(|bad| match bad {
        BadProperty::SectorSize(size) => ConnectError::SectorSize(size),
        BadProperty::Value(key) => {
            let value = values[key].as_deref().unwrap_or_default();
            ConnectError::Xenbus(XenbusError::BadValue {
                key: Properties::KEYS[key].into(),
                value: value.chars().take(40).collect(),
            })
        }
    })
}

/// Reads some of the backend's keys, and waits for the first `needed` of them to be there: a key
/// may be absent, or not to be read, for a while. What is no text says nothing.
async fn read(
    frontend: &Frontend,
    keys: &[&str],
    needed: usize,
    values: &mut [Option<String>],
) -> Result<(), XenbusError> {
    for (number, (key, value)) in keys.iter().zip(values).enumerate() {
        let mut watch = None;
        loop {
            *value = match frontend.read_backend(key).await {
                Err(XenbusError::BadValue { .. }) => Some(String::new()),
                value => value?,
            };
            if value.is_some() || number >= needed {
                break;
            }
            match &watch {
                None => watch = Some(frontend.backend().watch(key).await?),
                Some(watch) => watch.changed().await?,
            }
        }
    }
    Ok(())
}
