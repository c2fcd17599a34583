//! Connecting over xenstore.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

use minios::exec::{Either, race};
use minios::xenbus::{Frontend, Step, XenbusError, XenbusState};
use minios::xenstore::Store;
use minios::{Domain, Instant, PAGE_SIZE};

use crate::device::{Blkfront, Shared};
use crate::features::{BadProperty, Features, Properties, RING_KEYS, ring_order};
use crate::link::Link;
use crate::setup::{self, Config, SetupError};
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
        let frontend = match Frontend::open(domain, store, "vbd", vdev.0).await {
            Err(XenbusError::Missing(_)) => return Err(ConnectError::Absent),
            frontend => frontend?,
        };
        let deadline = domain.now() + config.patience;
        until_offer(&frontend, deadline).await?;
        let order = ring_order(&texts(&frontend, &RING_KEYS).await?, config.ring_order);
        let peer = frontend.backend_id();
        let (shared, keys) = setup::make(domain, peer, vdev, order, config)?;
        let keys: Vec<_> = keys
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        frontend.publish(&keys).await?;
        let deadline = domain.now() + config.patience;
        let link = Link::new(frontend, Rc::clone(&shared));
        match join(&link, &shared, deadline).await {
            Ok(features) => {
                let properties = shared.properties.get();
                log::info!(target: "blkfront", "vbd/{} {vdev}: {} sectors of {} bytes{}, backend {peer}: ring order {order}, {features}",
                    vdev.0,
                    Blkfront(Rc::clone(&shared)).sectors(),
                    properties.sector_size,
                    if properties.read_only { ", read-only" } else { "" },
                );
                Ok((Blkfront(shared), link))
            }
            Err(error) => {
                // Only then are its pages taken back.
                let _ = link.shutdown().await;
                Err(error)
            }
        }
    }
}

async fn until_offer(frontend: &Frontend, deadline: Instant) -> Result<(), ConnectError> {
    loop {
        match within(frontend, deadline, frontend.next()).await? {
            Step::Offer => return Ok(()),
            Step::Reopen => frontend.set_state(XenbusState::Initialising).await?,
            // Left behind by whatever ran here before: what it shared died with it.
            Step::Close | Step::Use | Step::Wait => match frontend.close().await {
                Ok(()) | Err(XenbusError::TimedOut) => {}
                Err(error) => return Err(error.into()),
            },
        }
    }
}

/// From our keys to a device in use.
async fn join(link: &Link, shared: &Shared, deadline: Instant) -> Result<Features, ConnectError> {
    let frontend = &link.frontend;
    frontend.set_state(XenbusState::Initialised).await?;
    until_use(frontend, deadline).await?;
    // Not earlier: a backend writes these when it connects.
    let properties = within(frontend, deadline, properties(frontend)).await?;
    let properties = Properties::read(&properties).map_err(|bad| match bad {
        BadProperty::SectorSize(size) => ConnectError::SectorSize(size),
        BadProperty::Value(key) => ConnectError::Xenbus(bad_value(
            Properties::KEYS[key],
            properties[key].as_deref().unwrap_or_default(),
        )),
    })?;
    let features = Features::read(&texts(frontend, &Features::KEYS).await?);
    shared.properties.set(properties);
    shared.flush.set(features.flush && !properties.read_only);
    if let Some(engine) = &mut *shared.engine.borrow_mut() {
        engine.offer_segments(features.segments);
    }
    frontend.set_state(XenbusState::Connected).await?;
    // So that its going away from now on is noticed.
    until_use(frontend, deadline).await?;
    if properties.sector_size as usize != SECTOR {
        verify(frontend, shared, deadline).await?;
    }
    Ok(features)
}

async fn until_use(frontend: &Frontend, deadline: Instant) -> Result<(), ConnectError> {
    match within(frontend, deadline, frontend.next()).await? {
        Step::Use => Ok(()),
        _ => Err(ConnectError::Closed),
    }
}

/// The device's properties, once those are there that must be: a key may be absent, or not to be
/// read, for a while.
async fn properties(frontend: &Frontend) -> Result<[Option<String>; 5], XenbusError> {
    let mut values = texts(frontend, &Properties::KEYS).await?;
    for (value, key) in values
        .iter_mut()
        .zip(Properties::KEYS)
        .take(Properties::NEEDED)
    {
        if value.is_some() {
            continue;
        }
        let watch = frontend.backend().watch(key).await?;
        while value.is_none() {
            watch.changed().await?;
            *value = frontend.read_backend(key).await?;
        }
    }
    Ok(values)
}

/// Reads the first page of a device whose sectors are not of 512 bytes.
///
/// QEMU took all units to be the device's sectors once. It refused a segment beyond the end of its
/// page: so, if the eight units of a page can be read, they are of 512 bytes.
async fn verify(
    frontend: &Frontend,
    shared: &Shared,
    deadline: Instant,
) -> Result<(), ConnectError> {
    let size = shared.properties.get().sector_size;
    let mut page = alloc::vec![0; PAGE_SIZE];
    let reading = crate::transfer::ReadAt::new(shared, 0, &mut page);
    let reading = async {
        match race(reading, shared.pump()).await {
            Either::Left(Ok(())) => Ok(true),
            _ => Ok(false),
        }
    };
    match within(frontend, deadline, reading).await? {
        true => Ok(()),
        false => Err(ConnectError::Unit(size)),
    }
}

async fn within<T>(
    frontend: &Frontend,
    deadline: Instant,
    future: impl Future<Output = Result<T, XenbusError>>,
) -> Result<T, XenbusError> {
    frontend
        .domain()
        .timeout(deadline, future)
        .await
        .map_err(|_| XenbusError::TimedOut)?
}

/// The values of some of the backend's keys. What is no text says nothing.
async fn texts<const N: usize>(
    frontend: &Frontend,
    keys: &[&str; N],
) -> Result<[Option<String>; N], XenbusError> {
    let mut values = [const { None }; N];
    for (value, key) in values.iter_mut().zip(keys) {
        *value = match frontend.read_backend(key).await {
            Err(XenbusError::BadValue { .. }) => Some(String::new()),
            value => value?,
        };
    }
    Ok(values)
}

fn bad_value(key: &str, value: &str) -> XenbusError {
    XenbusError::BadValue {
        key: key.into(),
        value: value.chars().take(40).collect(),
    }
}
