//! A backend's talk on xenstore, and the toolstack's.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minios::host::bus::{Bus, Refused};
use minios::host::store::Server;
use minios::xenbus::XenbusState;
use minios::{DomId, Domain};

use super::{Back, Manner};
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
    domain: Domain,
    guest: DomId,
    manner: Manner,
    /// Its directories in xenstore.
    pub bus: Bus,
}

impl Backend {
    /// Plugs in interface `id` of `guest`; the backend in `domain` says what it offers, and waits.
    pub fn plug(server: &Server, domain: &Domain, guest: DomId, id: u32, offer: &Offer) -> Self {
        let host = domain.platform().id();
        let keys = ((guest, &*offer.frontend), (host, &*offer.backend));
        Backend {
            domain: domain.clone(),
            guest,
            manner: offer.manner,
            bus: Bus::plug(server, "vif", id, keys.0, keys.1),
        }
    }

    /// Waits for the frontend, and connects to it as it wants.
    pub async fn accept(&self) -> Result<Back, Refused> {
        self.bus.frontend_reaches(XenbusState::Connected).await;
        let back = self.join()?;
        self.bus.set_state(XenbusState::Connected);
        Ok(back)
    }

    fn join(&self) -> Result<Back, Refused> {
        for key in ["request-rx-copy", "feature-rx-notify"] {
            if self.bus.read(key).as_deref() != Some("1") {
                return Err(Refused::Key(key));
            }
        }
        if !matches!(
            self.bus.read("multi-queue-num-queues").as_deref(),
            None | Some("1")
        ) {
            return Err(Refused::Key("multi-queue-num-queues"));
        }
        let number = |key| {
            self.bus
                .read(key)
                .and_then(|value| value.parse().ok())
                .ok_or(Refused::Key(key))
        };
        let wiring = match self.bus.read("event-channel") {
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
}
