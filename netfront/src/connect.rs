//! Connecting over xenstore, and letting go.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

use minios::exec::{Either, race};
use minios::xenbus::{Ending, Frontend, Mac, Step, XenbusError, XenbusState};
use minios::xenstore::{Store, Watch};
use minios::{Domain, Instant, SetupError};

use crate::device::{Netfront, Phase, Shared};
use crate::features::{Features, NoRxCopy, answer};
use crate::setup::Config;

/// Why an interface could not be connected. Nothing is left shared with the backend, unless it
/// still maps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// xenstore, or something in it that others wrote.
    Xenbus(XenbusError),
    /// The backend cannot copy into our pages (`feature-rx-copy`); backends since 2009 can.
    NoRxCopy,
    /// What it needs could not be had.
    Setup(SetupError),
    /// The backend closed the device instead.
    Closed,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Xenbus(error) => error.fmt(f),
            ConnectError::NoRxCopy => f.write_str("the backend does not offer feature-rx-copy"),
            ConnectError::Setup(error) => error.fmt(f),
            ConnectError::Closed => f.write_str("the backend closed the device"),
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

impl From<NoRxCopy> for ConnectError {
    fn from(_: NoRxCopy) -> Self {
        ConnectError::NoRxCopy
    }
}

/// A device's connection to its backend: watched by one task while another drives the [`Netfront`].
pub struct Link {
    frontend: Frontend,
    shared: Rc<Shared>,
    carrier: Option<Watch>,
    end: Ending,
}

impl Netfront {
    /// Connects interface `id` (0 for `device/vif/0`).
    ///
    /// Cancelling it leaves the device half connected in xenstore; connecting again starts over.
    /// Dropping the [`Netfront`] takes its pages back from the backend, once that has been closed
    /// ([`Link::shutdown`]); those that it maps even then are lost, and counted by
    /// [`Domain::leaked`].
    pub async fn connect(
        domain: &Domain,
        store: &Store,
        id: u32,
        config: &Config,
    ) -> Result<(Netfront, Link), ConnectError> {
        let frontend = Frontend::open(domain, store, "vif", id).await?;
        let deadline = domain.now() + config.patience;
        until_offer(&frontend, deadline).await?;

        let mut values: [Option<String>; Features::KEYS.len()] = Default::default();
        for (value, key) in values.iter_mut().zip(Features::KEYS) {
            *value = lenient(frontend.read_backend(key).await)?;
        }
        let features = Features::read(&values)?;
        let mac = read_mac(&frontend).await?;
        let mtu = lenient(frontend.read_frontend("mtu").await)?;
        let trusted = lenient(frontend.read_frontend("trusted").await)?;

        let peer = frontend.backend_id();
        let (device, wiring) = Netfront::new(domain, peer, mac, mtu.as_deref(), features, config)?;
        let keys = answer(&device.features(), &wiring);
        let keys: Vec<_> = keys
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        frontend.publish(&keys).await?;
        frontend.set_state(XenbusState::Connected).await?;
        let deadline = domain.now() + config.patience;
        if let Err(error) = until_use(&frontend, deadline).await {
            // Only then are its pages taken back, where `device` is dropped.
            let _ = frontend.close().await;
            return Err(error);
        }
        // The backend may have bound its ports after we posted our pages.
        device.shared.notify_tx();
        device.shared.notify_rx();

        // No backend in use has this key, and the device works without.
        let carrier = frontend.backend().watch("carrier").await.ok();
        log::info!(target: "netfront", "vif/{id} mac {mac} mtu {}, backend {peer}: {}, rx 256 tx {} pages{}",
            device.mtu(),
            device.features(),
            device.stats().tx_pages_free,
            // As always: it sees pages of frames, which nothing else is ever put in.
            if trusted.as_deref() == Some("0") {
                ", not trusted"
            } else {
                ""
            },
        );
        let link = Link {
            frontend,
            shared: Rc::clone(&device.shared),
            carrier,
            end: Ending::default(),
        };
        Ok((device, link))
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

async fn until_use(frontend: &Frontend, deadline: Instant) -> Result<(), ConnectError> {
    match within(frontend, deadline, frontend.next()).await? {
        Step::Use => Ok(()),
        _ => Err(ConnectError::Closed),
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

/// What is no text says nothing.
fn lenient(value: Result<Option<String>, XenbusError>) -> Result<Option<String>, XenbusError> {
    match value {
        Err(XenbusError::BadValue { .. }) => Ok(None),
        value => value,
    }
}

async fn read_mac(frontend: &Frontend) -> Result<Mac, XenbusError> {
    let key = "mac";
    let text = frontend.read_frontend(key).await?;
    let text = text.ok_or_else(|| XenbusError::Missing(frontend.frontend().key(key)))?;
    // Nobody can have a group's address, or none.
    let host = |mac: &Mac| mac.0[0] & 1 == 0 && mac.0 != [0; 6];
    Mac::parse(text.trim())
        .filter(host)
        .ok_or_else(|| XenbusError::BadValue {
            key: key.into(),
            value: text.chars().take(40).collect(),
        })
}

impl Link {
    /// Watches the backend until it gives the device up or goes away, and then closes it on our
    /// side, too; or until [`shutdown`](Self::shutdown) is called. To be run as a task. Cancelling
    /// it stops the watching, until it is called again.
    ///
    /// An error is one of closing, or of xenstore; the device is [`Phase::Closed`] whatever this
    /// ends with.
    pub async fn run(&self) -> Result<(), XenbusError> {
        if self.end.has_begun() {
            // Whoever did so may have been cancelled at it.
            return self.shutdown().await;
        }
        // The first of the two first: only one task at a time may wait for the backend.
        match race(self.end.begins(), self.watch()).await {
            Either::Left(()) => Ok(()),
            Either::Right(Ok(())) => {
                log::warn!(target: "netfront", "{}: the backend closes the device", self.name());
                self.shutdown().await
            }
            Either::Right(Err(error)) => {
                log::error!(target: "netfront", "{}: {error}", self.name());
                self.shared.end(Phase::Closed);
                Err(error)
            }
        }
    }

    async fn watch(&self) -> Result<(), XenbusError> {
        loop {
            let Some(carrier) = &self.carrier else {
                if let Step::Close = self.frontend.next().await? {
                    return Ok(());
                }
                continue;
            };
            match race(self.frontend.next(), carrier.changed()).await {
                Either::Left(step) => {
                    if let Step::Close = step? {
                        return Ok(());
                    }
                }
                Either::Right(changed) => {
                    changed?;
                    self.read_carrier().await?;
                }
            }
        }
    }

    async fn read_carrier(&self) -> Result<(), XenbusError> {
        let carrier = lenient(self.frontend.read_backend("carrier").await)?;
        let up = carrier.as_deref().map(str::trim) != Some("0");
        if self.shared.carrier.replace(up) != up {
            let state = if up { "on" } else { "off" };
            log::info!(target: "netfront", "{}: carrier {state}", self.name());
        }
        Ok(())
    }

    /// The addresses that the toolstack has for whoever uses the device, as it wrote them: what
    /// `ip=` in xl's `vif` says. `None` if it says nothing. Cancelling it does nothing.
    pub async fn addresses(&self) -> Result<Option<String>, XenbusError> {
        self.frontend.read_backend("ip").await
    }

    /// Closes the device in good order, once: whoever else calls this meanwhile waits, and has
    /// nothing left to do. The device is of no more use, and its driver is told.
    ///
    /// An error says that the backend, in the time that it had, did not let go of our pages, or that
    /// xenstore failed. Cancelling it leaves the device half closed; call it again.
    pub async fn shutdown(&self) -> Result<(), XenbusError> {
        self.shared.end(Phase::Closed);
        let closed = self.end.close(self.frontend.close()).await;
        closed.unwrap_or(Ok(()))
    }

    fn name(&self) -> String {
        format!("{}/{}", self.frontend.class(), self.frontend.id())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({:?})", self.frontend)
    }
}
