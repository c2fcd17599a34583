//! The front end's half of connecting a device, over xenstore.
//!
//! ```text
//! device/vif/0/backend = /local/domain/0/backend/vif/7/0      written by the toolstack
//! device/vif/0/state   = 4                                    written by the front end
//! .../backend/vif/7/0/state = 4                               written by the back end
//! ```
//!
//! [`Frontend`] reads, publishes and switches; [`Machine`], without any waiting, knows what to do in
//! which pair of states, and [`Frontend::next`] puts the two together. What the back end writes is
//! not trusted: a value that cannot be is an error with the key's name, and no order of states does
//! harm.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::time::Duration;

use crate::xenstore::{Store, StoreError, Tree, Watch, codec};
use crate::{DomId, Domain};

mod dir;
mod ending;
mod state;

pub use dir::{Dir, Mac};
pub use ending::Ending;
pub use state::{Machine, Step, XenbusState};

/// How long a back end may take to let go of a device that is being closed.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// The front end of one device.
pub struct Frontend {
    domain: Domain,
    store: Store,
    class: String,
    id: u32,
    backend_id: DomId,
    ours: Dir,
    theirs: Dir,
    watch: Watch,
    machine: Cell<Machine>,
}

/// Why something about a device failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XenbusError {
    /// xenstore failed.
    Store(StoreError),
    /// A key is missing that must be there: the device is gone, or never was.
    Missing(String),
    /// A key holds what it cannot hold.
    BadValue {
        /// Its name.
        key: String,
        /// The beginning of what it holds.
        value: String,
    },
    /// The back end did not get to where it should within the time that it has.
    TimedOut,
}

impl XenbusError {
    fn bad(key: &str, value: &str) -> Self {
        const SHOWN: usize = 40;
        Self::BadValue {
            key: key.to_owned(),
            value: value.chars().take(SHOWN).collect(),
        }
    }
}

impl From<StoreError> for XenbusError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl core::error::Error for XenbusError {}

impl fmt::Display for XenbusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Missing(key) => write!(f, "there is no {key}"),
            Self::BadValue { key, value } => {
                write!(f, "{key} is \"{}\"", value.as_bytes().escape_ascii())
            }
            Self::TimedOut => f.write_str("the back end takes too long"),
        }
    }
}

/// The numbers of the devices of a class that the toolstack gave this domain, in order.
pub async fn devices(store: &Store, class: &str) -> Result<Vec<u32>, XenbusError> {
    let names = match store.list(&format!("device/{class}")).await {
        Ok(names) => names,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut ids = Vec::new();
    for id in names
        .iter()
        .filter_map(|name| codec::number(name.as_bytes()))
    {
        // Few, and mostly in order.
        let place = ids.partition_point(|known| *known < id);
        ids.insert(place, id);
    }
    Ok(ids)
}

impl Frontend {
    /// The front end of device `id` of a class. The back end need not be there yet.
    ///
    /// A device that was left behind in use, by whatever ran in this domain before, comes up with
    /// [`Step::Close`] first. Cancelling it does nothing.
    pub async fn open(
        domain: &Domain,
        store: &Store,
        class: &str,
        id: u32,
    ) -> Result<Self, XenbusError> {
        let ours = Dir::new(store, format!("device/{class}/{id}"));
        let missing = |key: &str| XenbusError::Missing(ours.key(key));
        let parse_path = |value: &str| {
            let sane = value.starts_with('/') && !value.ends_with('/');
            sane.then(|| value.to_owned())
        };
        let path = ours.parsed("backend", parse_path).await?;
        let path = path.ok_or_else(|| missing("backend"))?;
        let parse_id = |value: &str| value.parse().ok().map(DomId);
        let backend_id = ours.parsed("backend-id", parse_id).await?;
        let backend_id = backend_id.ok_or_else(|| missing("backend-id"))?;
        let state = ours.parsed("state", XenbusState::parse).await?;
        let theirs = Dir::new(store, path);
        Ok(Self {
            domain: domain.clone(),
            store: store.clone(),
            class: class.to_owned(),
            id,
            backend_id,
            watch: theirs.watch("state").await?,
            ours,
            theirs,
            machine: Cell::new(Machine::new(state.unwrap_or(XenbusState::Initialising))),
        })
    }

    /// Its class, such as `vif`.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Its number among its class.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The domain of its back end.
    pub fn backend_id(&self) -> DomId {
        self.backend_id
    }

    /// The domain that it is in.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Its own directory.
    pub fn frontend(&self) -> &Dir {
        &self.ours
    }

    /// Its back end's directory.
    pub fn backend(&self) -> &Dir {
        &self.theirs
    }

    /// The value of a key of its own, `None` if it is missing.
    pub async fn read_frontend(&self, key: &str) -> Result<Option<String>, XenbusError> {
        self.ours.text(key).await
    }

    /// The value of a key of the back end's, `None` if it is missing.
    pub async fn read_backend(&self, key: &str) -> Result<Option<String>, XenbusError> {
        self.theirs.text(key).await
    }

    /// Writes keys of its own, all at once. Cancelling it leaves open whether it was done.
    pub async fn publish(&self, keys: &[(&str, &str)]) -> Result<(), XenbusError> {
        self.store
            .transaction(async |tx: &Tree| {
                self.check_there(tx).await?;
                for (key, value) in keys {
                    tx.write(&self.ours.key(key), value).await?;
                }
                Ok(())
            })
            .await
    }

    /// Switches to a state. [`XenbusError::Missing`] if the toolstack has removed the device, which
    /// is not made again by this. Cancelling it leaves open whether it was done.
    pub async fn set_state(&self, state: XenbusState) -> Result<(), XenbusError> {
        self.publish(&[("state", state.value())]).await?;
        self.switched(state);
        Ok(())
    }

    /// The state that it is in.
    pub fn state(&self) -> XenbusState {
        self.machine.get().ours()
    }

    /// The state that the back end is in now, `None` if it is missing.
    pub async fn backend_state(&self) -> Result<Option<XenbusState>, XenbusError> {
        self.theirs.parsed("state", XenbusState::parse).await
    }

    /// Waits until the back end's state may have changed; at first, not at all. Cancelling it loses
    /// no change. For one task at a time, as is all that waits for the back end.
    pub async fn backend_changed(&self) -> Result<(), XenbusError> {
        Ok(self.watch.changed().await?)
    }

    /// Waits until the back end is in one of `states`. Without a limit: see [`Domain::timeout`].
    pub async fn wait_backend(&self, states: &[XenbusState]) -> Result<XenbusState, XenbusError> {
        loop {
            match self.backend_state().await? {
                Some(state) if states.contains(&state) => return Ok(state),
                _ => self.backend_changed().await?,
            }
        }
    }

    /// Waits until there is something to do, and says what; never [`Step::Wait`].
    ///
    /// The caller does it and asks again: `Offer` and `Reopen` end with [`set_state`], `Close` with
    /// [`close`]. `Use` is said once for a connection; after that the next thing to do is `Close`.
    /// Cancelling it loses nothing.
    ///
    /// [`set_state`]: Self::set_state
    /// [`close`]: Self::close
    pub async fn next(&self) -> Result<Step, XenbusError> {
        loop {
            let theirs = self.backend_state().await?;
            let mut machine = self.machine.get();
            let step = machine.step(theirs);
            let wait = match step {
                Step::Wait => true,
                // The toolstack is taking the device away: there is nothing to come back to.
                Step::Reopen => !self.theirs.flag("online", true).await?,
                _ => false,
            };
            self.machine.set(machine);
            if !wait {
                return Ok(step);
            }
            self.backend_changed().await?;
        }
    }

    /// Closes the device in good order, after which nothing of ours is in use by the back end. It
    /// must not be used any more when this is called.
    ///
    /// A back end that is gone has let go. One that takes too long is [`XenbusError::TimedOut`]: the
    /// device is closed on our side, and its pages may still be in use. Cancelling it leaves the
    /// device half closed; call it again.
    pub async fn close(&self) -> Result<(), XenbusError> {
        use XenbusState::*;
        let deadline = self.domain.now() + CLOSING_MAX;
        self.switch_if_there(Closing).await?;
        let heard = self.let_go(&[Closing, Closed, InitWait, Initialising]);
        let heard = self.domain.timeout(deadline, heard).await;
        self.switch_if_there(Closed).await?;
        match heard {
            Err(_) => return Err(XenbusError::TimedOut),
            Ok(done) => done?,
        }
        let gone = self.let_go(&[Closed, InitWait, Initialising]);
        match self.domain.timeout(deadline, gone).await {
            Err(_) => Err(XenbusError::TimedOut),
            Ok(done) => done,
        }
    }

    /// Switches to a state, though the toolstack may have removed the device already.
    async fn switch_if_there(&self, state: XenbusState) -> Result<(), XenbusError> {
        match self.set_state(state).await {
            Err(XenbusError::Missing(_)) => self.switched(state),
            other => other?,
        }
        Ok(())
    }

    fn switched(&self, state: XenbusState) {
        let mut machine = self.machine.get();
        machine.switched(state);
        self.machine.set(machine);
    }

    /// Waits until the back end is in one of `states`, or missing.
    async fn let_go(&self, states: &[XenbusState]) -> Result<(), XenbusError> {
        loop {
            match self.backend_state().await? {
                Some(state) if !states.contains(&state) => self.backend_changed().await?,
                _ => return Ok(()),
            }
        }
    }

    async fn check_there(&self, tx: &Tree) -> Result<(), XenbusError> {
        let path = self.ours.key("state");
        match tx.read_bytes(&path).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Err(XenbusError::Missing(path)),
            Err(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Frontend({}/{}, {:?})",
            self.class, self.id, self.machine
        )
    }
}

#[cfg(test)]
mod tests;
