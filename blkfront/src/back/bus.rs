//! A backend's talk on xenstore, and the toolstack's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minios::exec::race;
use minios::host::store::Server;
use minios::xenbus::XenbusState;
use minios::{DomId, Domain};

use super::{AttachError, Back, BackStats, Fatal, Manner, Media, Wiring};
use crate::features::Properties;
use crate::vdev::Vdev;

/// What a toolstack and a backend write, and how the backend will behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Keys below the frontend's path.
    pub frontend: Vec<(String, String)>,
    /// Keys below the backend's path, from the start.
    pub backend: Vec<(String, String)>,
    /// Keys below the backend's path, written when it connects; `None` for one that is not.
    pub connected: Vec<(String, Option<String>)>,
    /// How it behaves, within what the frontend takes.
    pub manner: Manner,
}

impl Offer {
    /// Of a backend of this manner, in Linux's words, with what xl writes.
    pub fn new(manner: Manner) -> Self {
        let key = |(key, value): (&str, &str)| (key.to_string(), value.to_string());
        let frontend = [("device-type", "disk"), ("trusted", "1")];
        let mode = if manner.read_only { "r" } else { "w" };
        let backend = [
            ("bootable", "1"),
            ("mode", mode),
            ("device-type", "disk"),
            ("removable", "0"),
        ];
        let mut offer = Offer {
            frontend: frontend.map(key).into(),
            backend: backend.map(key).into(),
            connected: Vec::new(),
            manner,
        };
        if manner.ring_order > 0 {
            offer = offer.with("max-ring-page-order", &manner.ring_order.to_string());
        }
        if manner.segments > crate::wire::DIRECT {
            let segments = manner.segments.to_string();
            offer = offer.with("feature-max-indirect-segments", &segments);
        }
        let flag = |on: bool| if on { "1" } else { "0" };
        offer
            .with_connected("feature-flush-cache", Some(flag(manner.flush)))
            .with_connected("feature-persistent", Some(flag(manner.persistent)))
            .with_connected("info", Some(if manner.read_only { "4" } else { "0" }))
    }

    /// With this key of the backend's.
    pub fn with(self, key: &str, value: &str) -> Self {
        let mut offer = self.without(key);
        offer.backend.push((key.to_string(), value.to_string()));
        offer
    }

    /// Without this key of the backend's.
    pub fn without(mut self, key: &str) -> Self {
        self.backend.retain(|(name, _)| name != key);
        self
    }

    /// With this key when it connects instead of what it would write, or without.
    pub fn with_connected(mut self, key: &str, value: Option<&str>) -> Self {
        self.connected.retain(|(name, _)| name != key);
        self.connected
            .push((key.to_string(), value.map(str::to_string)));
        self
    }
}

/// A disk that the toolstack has given, and its backend.
#[derive(Clone)]
pub struct Backend {
    server: Server,
    domain: Domain,
    guest: DomId,
    vdev: Vdev,
    media: Media,
    offer: Offer,
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

impl Backend {
    /// Gives `guest` a disk; the backend in `domain` says what it offers, and waits.
    pub fn plug(
        server: &Server,
        domain: &Domain,
        guest: DomId,
        vdev: Vdev,
        media: &Media,
        offer: &Offer,
    ) -> Self {
        let number = vdev.0.to_string();
        let mut front_keys = borrowed(&offer.frontend);
        front_keys.push(("virtual-device", &number));
        let back_keys = borrowed(&offer.backend);
        let host = domain.platform().id();
        let (front, back) = server.plug("vbd", vdev.0, (guest, &front_keys), (host, &back_keys));
        let backend = Backend {
            server: server.clone(),
            domain: domain.clone(),
            guest,
            vdev,
            media: media.clone(),
            offer: offer.clone(),
            front,
            back,
        };
        backend.set_state(XenbusState::InitWait);
        backend
    }

    /// Switches the backend's state, as nobody but a test would in this order.
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

    /// Waits until the frontend does not use the device, or not any more.
    pub async fn frontend_leaves(&self) {
        use XenbusState::*;
        self.until(|state| !matches!(state, Some(Initialised | Connected)))
            .await;
    }

    async fn until(&self, done: impl Fn(Option<XenbusState>) -> bool) {
        let watch = self.server.watch(&format!("{}/state", self.front));
        while !done(self.frontend_state()) {
            watch.changed().await;
        }
    }

    /// Waits for the frontend, and connects to it as it wants.
    pub async fn accept(&self) -> Result<Back, Refused> {
        self.frontend_reaches(XenbusState::Initialised).await;
        let back = self.join()?;
        self.say_what_it_is();
        self.set_state(XenbusState::Connected);
        Ok(back)
    }

    /// Connects to what the frontend has written.
    pub fn join(&self) -> Result<Back, Refused> {
        if self.read("protocol").as_deref() != Some("x86_64-abi") {
            return Err(Refused::Key("protocol"));
        }
        if self.read("feature-large-sector-size").is_some() {
            return Err(Refused::Key("feature-large-sector-size"));
        }
        let number = |key: &str| self.read(key).and_then(|value| value.parse().ok());
        let port = number("event-channel").ok_or(Refused::Key("event-channel"))?;
        let order = match self.read("ring-page-order") {
            None => 0,
            Some(_) => number("ring-page-order").ok_or(Refused::Key("ring-page-order"))?,
        };
        if order > self.offer.manner.ring_order {
            return Err(Refused::Key("ring-page-order"));
        }
        let ring: Option<Vec<u32>> = match order {
            0 => number("ring-ref").map(|grant| [grant].into()),
            order => (0..1 << order)
                .map(|page| number(&format!("ring-ref{page}")))
                .collect(),
        };
        let wiring = Wiring {
            ring: ring.ok_or(Refused::Key("ring-ref"))?,
            port,
            handle: self.vdev.0 as u16,
        };
        let manner = Manner {
            persistent: self.offer.manner.persistent
                && self.read("feature-persistent").as_deref() == Some("1"),
            ..self.offer.manner
        };
        Back::attach(&self.domain, self.guest, &wiring, &self.media, manner)
            .map_err(Refused::Attach)
    }

    /// Writes what a connected backend says of its device.
    pub fn say_what_it_is(&self) {
        let manner = self.offer.manner;
        let sectors = self.sectors();
        let size = manner.sector_size.to_string();
        let [sectors_key, size_key, _, physical_key, _] = Properties::KEYS;
        for (key, value) in [
            (sectors_key, sectors),
            (size_key, size.clone()),
            (physical_key, size),
        ] {
            if self.offer.connected.iter().all(|(name, _)| name != key) {
                self.write(key, &value);
            }
        }
        for (key, value) in &self.offer.connected {
            if let Some(value) = value {
                self.write(key, value);
            }
        }
    }

    fn sectors(&self) -> String {
        let bytes = self.media.borrow().bytes.len();
        (bytes / self.offer.manner.unit).to_string()
    }

    /// Changes the device's size, in bytes, as Linux's backend does: what is new is zero.
    pub fn resize(&self, bytes: usize) {
        self.media.borrow().bytes.resize(bytes, 0);
        self.write("sectors", &self.sectors());
        self.set_state(XenbusState::Connected);
    }

    /// All that a backend does for a frontend, from its offer until either gives up, and closes:
    /// what it counted, and what the frontend did wrong.
    pub async fn serve(&self) -> Result<(BackStats, Option<Fatal>), Refused> {
        let mut back = self.accept().await?;
        let closing = self.frontend_leaves();
        race(back.run(), closing).await;
        // What it has begun is finished, and its pages are let go.
        back.poll();
        back.answer_all();
        let (stats, fatal) = (back.stats(), back.fatal());
        drop(back);
        if self.frontend_state().is_some() {
            self.set_state(XenbusState::Closing);
            self.until(|state| !matches!(state, Some(XenbusState::Closing)))
                .await;
            self.set_state(XenbusState::Closed);
        }
        Ok((stats, fatal))
    }

    /// Begins to take the disk away, as `xl block-detach` does. [`remove`](Self::remove) ends it.
    pub fn detach(&self) {
        self.write("online", "0");
        self.set_state(XenbusState::Closing);
    }

    /// Goes away as a backend does whose domain dies: without a word.
    pub fn vanish(&self) {
        self.server.rm(&self.back);
    }

    /// Takes the device away, from both ends' directories.
    pub fn remove(&self) {
        self.server.rm(&self.front);
        self.server.rm(&self.back);
    }
}

fn borrowed(keys: &[(String, String)]) -> Vec<(&str, &str)> {
    keys.iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}
