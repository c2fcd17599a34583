//! Addresses of an interface, and a router.

use std::net::Ipv6Addr;

use smoltcp::wire::Ipv6Cidr;
use tests::net::{CLIENT_MAC, SERVER_MAC};
use www::net::slaac::{Event, Slaac, Step};
use www::net::{Duration, EthernetAddress, Instant, link_local};

pub(super) const MAC: [u8; 6] = SERVER_MAC;
pub(super) const OTHER: EthernetAddress = EthernetAddress(CLIENT_MAC);
pub(super) const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub(super) const FOREVER: u32 = u32::MAX;
pub(super) const START: Instant = Instant::from_micros_const(500_000_000);

/// A prefix of documentation, and our address in it.
pub(super) fn prefix(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, n, 0, 0, 0, 0)
}

pub(super) fn ours(prefix: Ipv6Addr) -> Ipv6Cidr {
    let mut octets = link_local(MAC).octets();
    octets[..8].copy_from_slice(&prefix.octets()[..8]);
    Ipv6Cidr::new(octets.into(), 64)
}

/// A prefix option: on link, and for addresses.
pub(super) fn option(prefix: Ipv6Addr, valid: u32, preferred: u32) -> Vec<u8> {
    let mut option = vec![3, 4, 64, 0xc0];
    option.extend_from_slice(&valid.to_be_bytes());
    option.extend_from_slice(&preferred.to_be_bytes());
    option.extend_from_slice(&[0; 4]);
    option.extend_from_slice(&prefix.octets());
    option
}

/// An advertisement with `options`.
pub(super) fn advertisement(options: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    options
        .iter()
        .for_each(|option| message.extend_from_slice(option));
    message
}

pub(super) struct Link {
    pub(super) slaac: Slaac,
    pub(super) now: Instant,
    pub(super) steps: Vec<(Duration, Step)>,
}

impl Link {
    /// With a link-local address, checked while it is used.
    pub(super) fn new() -> Link {
        let mut slaac = Slaac::new(MAC, [1, 2]);
        assert!(slaac.add(Ipv6Cidr::new(link_local(MAC), 64), true, START));
        Link {
            slaac,
            now: START,
            steps: Vec::new(),
        }
    }

    pub(super) fn turn(&mut self) {
        let mut count = 0;
        while let Some(step) = self.slaac.poll(self.now) {
            count += 1;
            assert!(count < 100, "no end");
            self.steps.push((self.now - START, step));
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.turn();
        while self.slaac.deadline(self.now) <= end {
            self.now = self.now.max(self.slaac.deadline(self.now));
            self.turn();
        }
        self.now = end;
    }

    pub(super) fn hear(&mut self, options: &[Vec<u8>]) -> Vec<Event> {
        let heard = self
            .slaac
            .advertised(ROUTER, &advertisement(options), self.now);
        assert_eq!(heard, Ok(()));
        self.after()
    }

    /// What happens now.
    pub(super) fn after(&mut self) -> Vec<Event> {
        self.steps.clear();
        self.turn();
        self.events()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        let events = self.steps.iter().filter_map(|(_, step)| match step {
            Step::Event(event) => Some(*event),
            _ => None,
        });
        events.collect()
    }
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
