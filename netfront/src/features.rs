//! What the two ends agree on: the backend's offer and the toolstack's settings in, our answer out.
//!
//! All of it is text that others wrote. What is absent or not a number counts as not offered; only
//! a backend that cannot copy into our pages is of no use.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::checksum::ETHERNET;
use crate::wire::{FRAME_MAX, PAGE};

/// What may be used of a backend's offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Packets of several slots may be sent.
    pub sg: bool,
    /// TCP over IPv4 may be sent unsegmented.
    pub tso4: bool,
    /// TCP over IPv6 may be sent unsegmented.
    pub tso6: bool,
    /// TCP and UDP over IPv4 may be sent with a blank checksum.
    pub csum4: bool,
    /// TCP and UDP over IPv6 may be sent with a blank checksum.
    pub csum6: bool,
    /// Each direction has an event channel of its own.
    pub split: bool,
    /// The backend wants to be told how many queues there are.
    pub count_queues: bool,
}

/// What an offer lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRxCopy;

impl Features {
    /// The keys below the backend's path to look up, in the order that [`read`](Self::read) takes.
    pub const KEYS: [&str; 8] = [
        "feature-rx-copy",
        "feature-sg",
        "feature-gso-tcpv4",
        "feature-gso-tcpv6",
        "feature-no-csum-offload",
        "feature-ipv6-csum-offload",
        "feature-split-event-channels",
        "multi-queue-max-queues",
    ];

    /// From the values of [`KEYS`](Self::KEYS), `None` for an absent one.
    pub fn read(values: &[Option<String>; 8]) -> Result<Self, NoRxCopy> {
        let [rx_copy, sg, gso4, gso6, no_csum4, csum6, split, queues] =
            values.each_ref().map(Option::as_deref);
        if !offered(rx_copy) {
            return Err(NoRxCopy);
        }
        let sg = offered(sg);
        // The one key that takes away; to compute a checksum is always right, so doubt counts as a
        // no.
        let csum4 = no_csum4.is_none_or(|value| number(value) == Some(0));
        let csum6 = offered(csum6);
        Ok(Features {
            sg,
            tso4: sg && csum4 && offered(gso4),
            tso6: sg && csum6 && offered(gso6),
            csum4,
            csum6,
            split: offered(split),
            count_queues: queues.is_some(),
        })
    }

    /// Never to send unsegmented TCP.
    pub fn without_tso(self) -> Self {
        Features {
            tso4: false,
            tso6: false,
            ..self
        }
    }

    /// Bytes of the longest frame that may go out in one piece.
    pub fn frame_max(&self) -> usize {
        if self.sg { FRAME_MAX } else { PAGE }
    }

    /// The interface's MTU (of IP), from what the toolstack wrote, if anything.
    pub fn mtu(&self, setting: Option<&str>) -> usize {
        const DEFAULT: usize = 1500;
        // What every host must take, and what IPv6 asks for.
        const SENSIBLE: core::ops::RangeInclusive<usize> = 1280..=9216;
        let mtu = setting
            .and_then(number)
            .map(|mtu| mtu as usize)
            .filter(|mtu| SENSIBLE.contains(mtu))
            .unwrap_or(DEFAULT);
        mtu.min(self.frame_max() - ETHERNET)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.sg, "sg"),
            (self.tso4, "tso4"),
            (self.tso6, "tso6"),
            (self.csum4, "csum4"),
            (self.csum6, "csum6"),
            (self.split, "split channels"),
        ];
        let mut agreed = names.iter().filter(|(on, _)| *on).map(|(_, name)| name);
        let Some(first) = agreed.next() else {
            return f.write_str("nothing but copies");
        };
        f.write_str(first)?;
        agreed.try_for_each(|name| write!(f, ", {name}"))
    }
}

/// The numbers by which the backend finds what we made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The grant of the transmit ring's page.
    pub tx_ring: u32,
    /// The grant of the receive ring's page.
    pub rx_ring: u32,
    /// The port for events of the transmit ring, and of both if there is no other.
    pub tx_port: u32,
    /// The port for events of the receive ring, if split.
    pub rx_port: Option<u32>,
}

/// What we write below our path: where things are, and what we take.
///
/// We take large packets and blank checksums, and kick the backend when we have posted pages.
pub fn answer(features: &Features, wiring: &Wiring) -> Vec<(&'static str, String)> {
    let mut keys = Vec::with_capacity(12);
    if features.count_queues {
        keys.push(("multi-queue-num-queues", "1".to_string()));
    }
    keys.push(("tx-ring-ref", wiring.tx_ring.to_string()));
    keys.push(("rx-ring-ref", wiring.rx_ring.to_string()));
    match wiring.rx_port {
        Some(rx_port) => {
            keys.push(("event-channel-tx", wiring.tx_port.to_string()));
            keys.push(("event-channel-rx", rx_port.to_string()));
        }
        None => keys.push(("event-channel", wiring.tx_port.to_string())),
    }
    for key in [
        "request-rx-copy",
        "feature-rx-notify",
        "feature-sg",
        "feature-gso-tcpv4",
        "feature-gso-tcpv6",
        "feature-ipv6-csum-offload",
    ] {
        keys.push((key, "1".to_string()));
    }
    keys
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

fn offered(value: Option<&str>) -> bool {
    value.and_then(number).is_some_and(|number| number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: [Option<&str>; 8] = [
        Some("1"),
        Some("1"),
        Some("1"),
        Some("1"),
        None,
        Some("1"),
        Some("1"),
        Some("2"),
    ];
    const QEMU: [Option<&str>; 8] = [Some("1"), None, None, None, None, None, None, None];

    fn read(values: [Option<&str>; 8]) -> Result<Features, NoRxCopy> {
        Features::read(&values.map(|value| value.map(String::from)))
    }

    fn changed(key: &str, value: Option<&'static str>) -> Result<Features, NoRxCopy> {
        let mut values = LINUX;
        let index = Features::KEYS.iter().position(|name| *name == key).unwrap();
        values[index] = value;
        read(values)
    }

    #[test]
    fn linux_and_qemu() {
        let all = "sg, tso4, tso6, csum4, csum6, split channels";
        assert_eq!(read(LINUX).unwrap().to_string(), all);
        assert_eq!(read(QEMU).unwrap().to_string(), "csum4");
    }

    #[test]
    fn what_is_absent_or_garbage_is_not_offered() {
        let full = read(LINUX).unwrap();
        for garbage in [
            None,
            Some(""),
            Some("0"),
            Some("yes"),
            Some("-1"),
            Some("99999999999999999999"),
            Some("1\u{0}1"),
        ] {
            assert_eq!(changed("feature-rx-copy", garbage), Err(NoRxCopy));
            let none = Features {
                sg: false,
                tso4: false,
                tso6: false,
                ..full
            };
            assert_eq!(changed("feature-sg", garbage), Ok(none));
            assert_eq!(
                changed("feature-gso-tcpv4", garbage),
                Ok(Features {
                    tso4: false,
                    ..full
                })
            );
            assert_eq!(
                changed("feature-gso-tcpv6", garbage),
                Ok(Features {
                    tso6: false,
                    ..full
                })
            );
            let none = Features {
                csum6: false,
                tso6: false,
                ..full
            };
            assert_eq!(changed("feature-ipv6-csum-offload", garbage), Ok(none));
            assert_eq!(
                changed("feature-split-event-channels", garbage),
                Ok(Features {
                    split: false,
                    ..full
                })
            );
        }
        assert_eq!(changed("feature-sg", Some(" 4294967295\n")), Ok(full));
    }

    #[test]
    fn checksums_are_taken_away_by_a_key() {
        let full = read(LINUX).unwrap();
        let none = Features {
            csum4: false,
            tso4: false,
            ..full
        };
        for (value, expected) in [
            (None, full),
            (Some("0"), full),
            (Some("1"), none),
            (Some("?"), none),
        ] {
            assert_eq!(changed("feature-no-csum-offload", value), Ok(expected));
        }
    }

    #[test]
    fn mtu_is_bounded() {
        let (linux, qemu) = (read(LINUX).unwrap(), read(QEMU).unwrap());
        for (setting, expected) in [
            (None, 1500),
            (Some("9000"), 9000),
            (Some("0"), 1500),
            (Some("65536"), 1500),
            (Some("-1"), 1500),
            (Some("jumbo"), 1500),
        ] {
            assert_eq!(linux.mtu(setting), expected);
        }
        assert_eq!(qemu.mtu(Some("9000")), PAGE - ETHERNET, "one slot");
    }

    #[test]
    fn the_answer_is_flat() {
        let wiring = Wiring {
            tx_ring: 8,
            rx_ring: 9,
            tx_port: 5,
            rx_port: Some(6),
        };
        let full = answer(&read(LINUX).unwrap(), &wiring);
        let has = |key: &str, value: &str| full.contains(&(key, value.to_string()));
        assert!(
            has("multi-queue-num-queues", "1")
                && has("tx-ring-ref", "8")
                && has("rx-ring-ref", "9")
        );
        assert!(
            has("event-channel-tx", "5")
                && has("event-channel-rx", "6")
                && has("request-rx-copy", "1")
        );
        assert!(
            full.iter()
                .all(|(key, _)| *key != "event-channel" && *key != "feature-no-csum-offload")
        );

        let plain = answer(
            &read(QEMU).unwrap(),
            &Wiring {
                rx_port: None,
                ..wiring
            },
        );
        assert!(plain.contains(&("event-channel", "5".to_string())));
        assert!(
            plain
                .iter()
                .all(|(key, _)| !key.starts_with("event-channel-") && !key.starts_with("multi"))
        );
    }
}
