//! A backend's talk on xenstore, and the toolstack's.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minios::host::store::Server;
use minios::xenbus::XenbusState;
use minios::{DomId, Domain};

use super::{AttachError, Back, Manner};
use crate::features::Wiring;

/// What a toolstack and a backend write before the frontend does anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Keys below the frontend's path.
    pub frontend: Vec<(String, String)>,
    /// Keys below the backend's path.
    pub backend: Vec<(String, String)>,
    /// How the backend will behave, within what the frontend takes.
    pub manner: Manner,
}

impl Offer {
    /// Linux's, with what xl writes.
    pub fn linux() -> Self {
        let offer = Offer::bare(Manner::linux());
        [
            "feature-sg",
            "feature-gso-tcpv4",
            "feature-gso-tcpv6",
            "feature-ipv6-csum-offload",
            "feature-rx-copy",
            "feature-split-event-channels",
            "feature-multicast-control",
            "feature-dynamic-multicast-control",
            "feature-ctrl-ring",
            "feature-xdp-headroom",
        ]
        .iter()
        .fold(offer, |offer, key| offer.with(key, "1"))
        .with("feature-rx-flip", "0")
        .with("multi-queue-max-queues", "2")
        .with("hotplug-status", "connected")
    }

    /// QEMU's, with what xl writes.
    pub fn qemu() -> Self {
        Offer::bare(Manner::qemu())
            .with("feature-rx-copy", "1")
            .with("feature-rx-flip", "0")
    }

    fn bare(manner: Manner) -> Self {
        let key = |(key, value): (&str, &str)| (key.to_string(), value.to_string());
        let frontend = [
            ("handle", "0"),
            ("mac", "00:16:3e:00:00:01"),
            ("mtu", "1500"),
            ("trusted", "1"),
        ];
        Offer {
            frontend: frontend.map(key).into(),
            backend: Vec::new(),
            manner,
        }
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

    /// With this key of the frontend's, or without.
    pub fn with_frontend(mut self, key: &str, value: Option<&str>) -> Self {
        self.frontend.retain(|(name, _)| name != key);
        let value = value.map(|value| (key.to_string(), value.to_string()));
        self.frontend.extend(value);
        self
    }
}

/// A device that the toolstack has made, and its backend.
pub struct Backend {
    server: Server,
    domain: Domain,
    guest: DomId,
    manner: Manner,
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
    /// Plugs in interface `id` of `guest`; the backend in `domain` says what it offers, and waits.
    pub fn plug(server: &Server, domain: &Domain, guest: DomId, id: u32, offer: &Offer) -> Self {
        let front_keys = borrowed(&offer.frontend);
        let back_keys = borrowed(&offer.backend);
        let host = domain.platform().id();
        let (front, back) = server.plug("vif", id, (guest, &front_keys), (host, &back_keys));
        let backend = Backend {
            server: server.clone(),
            domain: domain.clone(),
            guest,
            manner: offer.manner,
            front,
            back,
        };
        backend.set_state(XenbusState::InitWait);
        backend
    }

    /// Switches the backend's state, as nobody but a test would in this order.
    pub fn set_state(&self, state: XenbusState) {
        self.server
            .write(&format!("{}/state", self.back), state.value());
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
        let watch = self.server.watch(&format!("{}/state", self.front));
        while self.frontend_state() != Some(state) {
            watch.changed().await;
        }
    }

    /// Waits for the frontend, and connects to it as it wants.
    pub async fn accept(&self) -> Result<Back, Refused> {
        self.frontend_reaches(XenbusState::Connected).await;
        let back = self.join()?;
        self.set_state(XenbusState::Connected);
        Ok(back)
    }

    fn join(&self) -> Result<Back, Refused> {
        for key in ["request-rx-copy", "feature-rx-notify"] {
            if self.read(key).as_deref() != Some("1") {
                return Err(Refused::Key(key));
            }
        }
        if !matches!(
            self.read("multi-queue-num-queues").as_deref(),
            None | Some("1")
        ) {
            return Err(Refused::Key("multi-queue-num-queues"));
        }
        let number = |key| {
            self.read(key)
                .and_then(|value| value.parse().ok())
                .ok_or(Refused::Key(key))
        };
        let wiring = match self.read("event-channel") {
            Some(_) => Wiring {
                tx_ring: number("tx-ring-ref")?,
                rx_ring: number("rx-ring-ref")?,
                tx_port: number("event-channel")?,
                rx_port: None,
            },
            None => Wiring {
                tx_ring: number("tx-ring-ref")?,
                rx_ring: number("rx-ring-ref")?,
                tx_port: number("event-channel-tx")?,
                rx_port: Some(number("event-channel-rx")?),
            },
        };
        Back::attach(&self.domain, self.guest, &wiring, self.manner).map_err(Refused::Attach)
    }

    /// Goes away as a backend does whose domain dies: without a word.
    pub fn vanish(&self) {
        self.server.rm(&self.back);
    }

    /// Takes the device away as a toolstack does that has lost patience.
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
