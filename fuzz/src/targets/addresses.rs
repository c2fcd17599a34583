//! Who lends addresses and who advertises them.

/// Steps that may follow each other at one time.
const STEPS: usize = 64;

/// What is done with an input, one after the other.
const OPERATIONS: usize = 500;

pub(super) mod dhcp {
    use std::net::Ipv4Addr;

    use www::net::dhcp::{Client, Event, Hostname, Message, Step};
    use www::net::{Duration, EthernetAddress, Instant};

    use super::{OPERATIONS, STEPS};
    use crate::input::Input;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
    /// Where the options of a message begin.
    const OPTIONS: usize = 240;
    const LATER: u8 = 0x80;
    const CLAIM: u8 = 0x40;
    const RAW: u8 = 0x20;

    struct Link {
        client: Client,
        now: Instant,
        start: Instant,
        /// Whose address we use, as far as we were told.
        has: Option<Ipv4Addr>,
        sent: u64,
    }

    impl Link {
        fn turn(&mut self) {
            for _ in 0..STEPS {
                let Some(step) = self.client.poll(self.now) else {
                    assert!(self.client.deadline() > self.now, "due, and nothing to do");
                    return;
                };
                match step {
                    Step::Send(message) => {
                        self.client.emit(&message, &mut [0; Message::LEN]);
                        self.sent += 1;
                    }
                    Step::Event(event) => self.told(event),
                    Step::Probe(address) => assert_eq!(self.client.candidate(), Some(address)),
                    Step::Announce(address) => assert_eq!(self.has, Some(address)),
                }
            }
            panic!("no end of steps");
        }

        fn told(&mut self, event: Event) {
            match event {
                Event::Bound | Event::Renewed => {
                    let lease = self.client.lease().expect("a lease");
                    assert!(lease.expires_at > self.now, "{lease}");
                    let address = lease.address.address();
                    assert!(self.has.is_none_or(|has| has == address), "{lease}");
                    self.has = Some(address);
                }
                Event::Lost(address, _) => assert_eq!(self.has.take(), Some(address.address())),
                _ => {}
            }
            assert_eq!(self.client.lease().is_some(), self.has.is_some());
        }
    }

    /// Whatever servers and neighbours say: an address is used while there is a lease and no longer,
    /// and the link is not filled with questions.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let start = Instant::from_secs(1000);
        let mut link = Link {
            client: Client::new(MAC, Hostname::new("fuzz"), [1, 2], start),
            now: start,
            start,
            has: None,
            sent: 0,
        };
        for _ in 0..OPERATIONS {
            link.turn();
            if input.is_empty() {
                break;
            }
            let what = input.u8();
            if what & LATER != 0 {
                // To the next deadline, or some time.
                let time = match what & CLAIM {
                    0 => link.client.deadline() - link.now,
                    _ => Duration::from_millis(input.u16().into()),
                };
                link.now += time.min(Duration::from_secs(100_000));
            } else if what & CLAIM != 0 {
                let lease = link.client.lease().map(|lease| lease.address.address());
                let known = link.client.candidate().or(lease);
                let address = known.unwrap_or(Ipv4Addr::new(10, 0, 0, 2));
                let by = EthernetAddress([2, 0, 0, 0, 0, input.u8()]);
                if let Some(event) = link.client.claimed(address, by, link.now) {
                    link.told(event);
                }
            } else {
                let message = message(&mut input, what, link.client.awaits().unwrap_or(0));
                let from = EthernetAddress([2, 0, 0, 0, 1, what & 3]);
                if let Ok(Some(event)) = link.client.receive(from, &message, link.now) {
                    link.told(event);
                }
            }
            let seconds = (link.now - link.start).secs();
            assert!(link.sent <= 20 + 4 * seconds, "{} sent", link.sent);
        }
    }

    /// A server's message: any bytes, or one that is for us, with any options.
    fn message(input: &mut Input<'_>, what: u8, xid: u32) -> Vec<u8> {
        let len = usize::from(input.u8());
        let options = input.take(len);
        if what & RAW != 0 {
            return options.repeat(4);
        }
        let mut message = vec![0; OPTIONS];
        message[..4].copy_from_slice(&[2, 1, 6, 0]);
        message[4..8].copy_from_slice(&xid.to_be_bytes());
        message[16..20].copy_from_slice(&[10, 0, 0, 2 | what & 4]);
        message[28..34].copy_from_slice(&MAC);
        message[236..].copy_from_slice(&[99, 130, 83, 99]);
        message.extend_from_slice(&[54, 4, 10, 0, 0, 100 | what & 3]);
        message.extend_from_slice(options);
        message
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        const OFFER: u8 = 2;
        const ACK: u8 = 5;
        const NAK: u8 = 6;
        let say = |kind: u8, rest: &[u8]| {
            let options = [&[53, 1, kind, 1, 4, 255, 255, 255, 0, 51, 4], rest].concat();
            [&[0, options.len() as u8][..], &options].concat()
        };
        let minute = [0, 0, 0, 60];
        let bound = [say(OFFER, &minute), say(ACK, &minute), [LATER; 6].to_vec()].concat();
        let times = [0, 0, 0, 60, 58, 4, 0, 0, 0, 1, 59, 4, 0, 0, 0, 2];
        vec![
            [&bound[..], &[LATER], &say(ACK, &minute), &[LATER; 9]].concat(),
            [&bound[..], &[LATER], &say(NAK, &minute), &[LATER; 9]].concat(),
            [&bound[..], &[CLAIM, 1, CLAIM, 1], &[LATER; 9]].concat(),
            [&bound[..], &[LATER], &say(ACK, &times).repeat(9)].concat(),
            [say(OFFER, &[0; 4]), say(ACK, &[255; 4]), vec![LATER; 40]].concat(),
        ]
    }
}

pub(super) mod slaac {
    use std::net::Ipv6Addr;

    use smoltcp::wire::Ipv6Cidr;
    use www::net::slaac::{Event, PREFIXES, Slaac, Step};
    use www::net::{Duration, EthernetAddress, Instant, link_local};

    use super::{OPERATIONS, STEPS};
    use crate::input::Input;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const LATER: u8 = 0x80;
    const CLAIM: u8 = 0x40;
    const RAW: u8 = 0x20;

    struct Link {
        slaac: Slaac,
        now: Instant,
        used: Vec<Ipv6Addr>,
    }

    impl Link {
        fn turn(&mut self) {
            for _ in 0..STEPS {
                let Some(step) = self.slaac.poll(self.now) else {
                    assert!(
                        self.slaac.deadline(self.now) > self.now,
                        "due, nothing to do"
                    );
                    return;
                };
                match step {
                    Step::Event(event) => self.told(event),
                    Step::Announce(address) => assert!(self.used.contains(&address)),
                    Step::Probe(_) | Step::Solicit(_) => {}
                }
            }
            panic!("no end of steps");
        }

        fn told(&mut self, event: Event) {
            match event {
                Event::Use(address) => {
                    assert!(!self.used.contains(&address.address()), "used twice");
                    self.used.push(address.address());
                }
                Event::Duplicate(address, _) | Event::Expired(address) => {
                    self.used.retain(|used| *used != address.address());
                }
                _ => {}
            }
            // The link-local one, a configured one, and those of routers.
            assert!(self.used.len() <= PREFIXES + 2, "{:?}", self.used);
        }
    }

    /// Whatever routers and neighbours say: addresses are bounded, and each is used once.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let now = Instant::from_secs(1000);
        let mut slaac = Slaac::new(MAC, [1, 2]);
        let given = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
        assert!(slaac.add(Ipv6Cidr::new(link_local(MAC), 64), true, now));
        assert!(slaac.add(Ipv6Cidr::new(given, 64), false, now));
        slaac.solicit(now);
        let used = Vec::new();
        let mut link = Link { slaac, now, used };
        for _ in 0..OPERATIONS {
            link.turn();
            if input.is_empty() {
                break;
            }
            let what = input.u8();
            if what & LATER != 0 {
                let time = match what & CLAIM {
                    0 => link.slaac.deadline(link.now) - link.now,
                    _ => Duration::from_millis(input.u16().into()),
                };
                link.now += time.min(Duration::from_secs(100_000));
            } else if what & CLAIM != 0 {
                let known = link.used.iter().copied().chain(link.slaac.in_check());
                let known: Vec<_> = known.collect();
                let which = usize::from(what & 7) % known.len().max(1);
                let by = EthernetAddress([2, 0, 0, 0, 0, input.u8()]);
                let target = known.get(which).copied().unwrap_or(given);
                if let Some(event) = link.slaac.claimed(target, by, link.now) {
                    link.told(event);
                }
            } else {
                let len = usize::from(input.u8());
                let options = input.take(len);
                let message = match what & RAW {
                    0 => [
                        &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0],
                        options,
                    ]
                    .concat(),
                    _ => options.repeat(4),
                };
                let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
                let _ = link.slaac.advertised(router, &message, link.now);
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let prefix = |n: u8, valid: u32, preferred: u32| {
            let mut option = vec![3, 4, 64, 0xc0];
            option.extend_from_slice(&valid.to_be_bytes());
            option.extend_from_slice(&preferred.to_be_bytes());
            option.extend_from_slice(&[0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, n]);
            option.extend_from_slice(&[0; 8]);
            option
        };
        let say = |options: &[Vec<u8>]| {
            let options = options.concat();
            [&[0, options.len() as u8][..], &options].concat()
        };
        let mtu = vec![5, 1, 0, 0, 0, 0, 5, 0xdc];
        let many: Vec<_> = (0..7).map(|n| prefix(n, 7300, 10)).collect();
        let one = say(&[prefix(1, 9000, 5), mtu]);
        vec![
            [&one[..], &[LATER; 12], &one, &[LATER; 3]].concat(),
            [&say(&many)[..], &[LATER; 40]].concat(),
            [
                &one[..],
                &[LATER, CLAIM, 1, LATER, LATER, CLAIM | 1, 1],
                &[LATER; 9],
            ]
            .concat(),
            [
                say(&[prefix(1, u32::MAX, 0)]),
                say(&[prefix(1, 0, 0)]),
                vec![LATER; 9],
            ]
            .concat(),
        ]
    }
}
