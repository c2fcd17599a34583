//! A device on xenbus, as its backend sees it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::GrantError;
use super::store::Server;
use crate::ring::Broken;
use crate::xenbus::XenbusState;
use crate::{DomId, EventError};

/// A key with its value.
pub type Key = (String, String);

/// A device that the toolstack has made: the two ends' directories in xenstore.
#[derive(Clone)]
pub struct Bus {
    server: Server,
    front: String,
    back: String,
}

/// Why a backend does not connect to what a frontend has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This key is absent, or is not what it must be.
    Key(&'static str),
    /// What the keys name is not there.
    Attach(AttachError),
}

/// Why what a frontend names cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachError {
    /// A ring's page cannot be mapped.
    Grant(GrantError),
    /// A ring is no ring.
    Ring(Broken),
    /// A port cannot be bound.
    Port(EventError),
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(error) => error.fmt(f),
            Self::Ring(error) => error.fmt(f),
            Self::Port(error) => error.fmt(f),
        }
    }
}

impl Bus {
    /// Creates a device of `class` with these keys, as [`Server::plug`] does, whose backend says that it
    /// waits for the frontend.
    pub fn plug(
        server: &Server,
        class: &str,
        id: u32,
        (guest, front_keys): (DomId, &[Key]),
        (host, back_keys): (DomId, &[Key]),
    ) -> Self {
        let (front_keys, back_keys) = (borrowed(front_keys), borrowed(back_keys));
        let (front, back) = server.plug(class, id, (guest, &front_keys), (host, &back_keys));
        let bus = Self {
            server: server.clone(),
            front,
            back,
        };
        bus.set_state(XenbusState::InitWait);
        bus
    }

    /// Switches the backend's state.
    pub fn set_state(&self, state: XenbusState) {
        self.write("state", state.value());
    }

    /// The frontend's state, if it is there and is one.
    pub fn frontend_state(&self) -> Option<XenbusState> {
        XenbusState::parse(&self.read("state")?)
    }

    /// A key of the frontend's.
    pub fn read(&self, key: &str) -> Option<String> {
        self.server.read(&format!("{}/{key}", self.front))
    }

    /// Changes a key of the backend's.
    pub fn write(&self, key: &str, value: &str) {
        self.server.write(&format!("{}/{key}", self.back), value);
    }

    /// Waits until the frontend is in this state.
    pub async fn frontend_reaches(&self, state: XenbusState) {
        self.until(|now| now == Some(state)).await;
    }

    /// Waits until the frontend's state is as `done` wants it; `None` is one that is gone.
    pub async fn until(&self, done: impl Fn(Option<XenbusState>) -> bool) {
        let watch = self.server.watch(&format!("{}/state", self.front));
        while !done(self.frontend_state()) {
            watch.changed().await;
        }
    }

    /// Goes away as a backend does whose domain dies: without a word.
    pub fn vanish(&self) {
        self.server.rm(&self.back);
    }

    /// Takes the device away, from both ends' directories, as a toolstack does that has lost patience.
    pub fn remove(&self) {
        self.server.rm(&self.front);
        self.server.rm(&self.back);
    }
}

fn borrowed(keys: &[Key]) -> Vec<(&str, &str)> {
    keys.iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}
