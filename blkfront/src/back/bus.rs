//! A backend's talk on xenstore, and the toolstack's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minios::exec::race;
use minios::host::bus::{Bus, Refused};
use minios::host::store::Server;
use minios::xenbus::XenbusState;
use minios::{DomId, Domain};

use super::{Back, BackStats, Fatal, Manner, Media, Wiring};
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
    domain: Domain,
    guest: DomId,
    vdev: Vdev,
    media: Media,
    offer: Offer,
    /// Its directories in xenstore.
    pub bus: Bus,
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
        let mut front_keys = offer.frontend.clone();
        front_keys.push(("virtual-device".to_string(), vdev.0.to_string()));
        let host = domain.platform().id();
        let keys = ((guest, &*front_keys), (host, &*offer.backend));
        Backend {
            domain: domain.clone(),
            guest,
            vdev,
            media: media.clone(),
            offer: offer.clone(),
            bus: Bus::plug(server, "vbd", vdev.0, keys.0, keys.1),
        }
    }

    /// Waits until the frontend does not use the device, or not any more.
    pub async fn frontend_leaves(&self) {
        use XenbusState::*;
        self.bus
            .until(|state| !matches!(state, Some(Initialised | Connected)))
            .await;
    }

    /// Waits for the frontend, and connects to it as it wants.
    pub async fn accept(&self) -> Result<Back, Refused> {
        self.bus.frontend_reaches(XenbusState::Initialised).await;
        let back = self.join()?;
        self.say_what_it_is();
        self.bus.set_state(XenbusState::Connected);
        Ok(back)
    }

    /// Connects to what the frontend has written.
    pub fn join(&self) -> Result<Back, Refused> {
        if self.bus.read("protocol").as_deref() != Some("x86_64-abi") {
            return Err(Refused::Key("protocol"));
        }
        if self.bus.read("feature-large-sector-size").is_some() {
            return Err(Refused::Key("feature-large-sector-size"));
        }
        let number = |key: &str| self.bus.read(key).and_then(|value| value.parse().ok());
        let port = number("event-channel").ok_or(Refused::Key("event-channel"))?;
        let order = match self.bus.read("ring-page-order") {
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
                && self.bus.read("feature-persistent").as_deref() == Some("1"),
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
                self.bus.write(key, &value);
            }
        }
        for (key, value) in &self.offer.connected {
            if let Some(value) = value {
                self.bus.write(key, value);
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
        self.bus.write("sectors", &self.sectors());
        self.bus.set_state(XenbusState::Connected);
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
        if self.bus.frontend_state().is_some() {
            self.bus.set_state(XenbusState::Closing);
            self.bus
                .until(|state| !matches!(state, Some(XenbusState::Closing)))
                .await;
            self.bus.set_state(XenbusState::Closed);
        }
        Ok((stats, fatal))
    }

    /// Begins to take the disk away, as `xl block-detach` does. [`Bus::remove`] ends it.
    pub fn detach(&self) {
        self.bus.write("online", "0");
        self.bus.set_state(XenbusState::Closing);
    }
}
