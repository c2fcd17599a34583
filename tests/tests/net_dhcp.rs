//! `www::net::dhcp` against servers of every kind, under a simulated clock; then in the stack.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use smoltcp::wire::{self, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, Ipv4Cidr};
use tests::net::{CLIENT_MAC, SERVER_MAC};
use www::net::dhcp::{Client, Event, Hostname, Ignored, Lease, Loss, Message, Step};
use www::net::{Duration, EthernetAddress, Instant};

const MAC: [u8; 6] = SERVER_MAC;
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 20);
const OTHER: EthernetAddress = EthernetAddress(CLIENT_MAC);

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    at: Instant,
    kind: DhcpMessageType,
    xid: u32,
    secs: u16,
    client_ip: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    to: (EthernetAddress, Ipv4Addr, Ipv4Addr),
    bytes: Vec<u8>,
}

fn read(client: &Client, message: &Message, at: Instant) -> Asked {
    let mut bytes = vec![0xee; Message::LEN];
    client.emit(message, &mut bytes);
    let packet = DhcpPacket::new_checked(&bytes[..]).expect("a packet");
    let repr = DhcpRepr::parse(&packet).expect("a message");
    assert_eq!(repr.client_hardware_address.0, MAC);
    assert_eq!(repr.client_identifier, Some(wire::EthernetAddress(MAC)));
    Asked {
        at,
        kind: repr.message_type,
        xid: repr.transaction_id,
        secs: repr.secs,
        client_ip: repr.client_ip,
        requested: repr.requested_ip,
        server: repr.server_identifier,
        to: (message.to, message.source, message.destination),
        bytes: bytes.clone(),
    }
}

/// A server, and how it misbehaves.
#[derive(Clone)]
struct Server {
    id: Ipv4Addr,
    address: Ipv4Addr,
    lease: u32,
    times: Option<(u32, u32)>,
    offers: bool,
    grants: bool,
    refuses: bool,
}

impl Server {
    fn new(last: u8, lease: u32) -> Server {
        Server {
            id: Ipv4Addr::new(192, 168, 7, last),
            address: ADDRESS,
            lease,
            times: None,
            offers: true,
            grants: true,
            refuses: false,
        }
    }

    fn mac(&self) -> EthernetAddress {
        EthernetAddress([2, 0, 0, 0, 1, self.id.octets()[3]])
    }

    fn answer(&self, asked: &Asked) -> Option<Vec<u8>> {
        let named = asked.server.is_none_or(|server| server == self.id);
        let unicast = asked.to.2 != Ipv4Addr::BROADCAST;
        let reached = !unicast || asked.to.0 == self.mac() && asked.to.2 == self.id;
        match asked.kind {
            DhcpMessageType::Discover if self.offers => {
                Some(self.reply(DhcpMessageType::Offer, asked.xid))
            }
            DhcpMessageType::Request if self.refuses && named && reached => {
                Some(self.reply(DhcpMessageType::Nak, asked.xid))
            }
            DhcpMessageType::Request if self.grants && named && reached => {
                let wanted = asked.requested.unwrap_or(asked.client_ip);
                (wanted == self.address).then(|| self.reply(DhcpMessageType::Ack, asked.xid))
            }
            _ => None,
        }
    }

    fn reply(&self, kind: DhcpMessageType, xid: u32) -> Vec<u8> {
        let nak = kind == DhcpMessageType::Nak;
        let (t1, t2) = self.times.unwrap_or_default();
        let (t1, t2) = (t1.to_be_bytes(), t2.to_be_bytes());
        let extra = [(58, &t1[..]), (59, &t2[..]), (26, &[5, 120])];
        let extra = extra.map(|(kind, data)| DhcpOption { kind, data });
        let extra = match self.times {
            Some(_) => &extra[..],
            None => &[],
        };
        reply(&DhcpRepr {
            your_ip: if nak {
                Ipv4Addr::UNSPECIFIED
            } else {
                self.address
            },
            server_identifier: Some(self.id),
            subnet_mask: (!nak).then_some(Ipv4Addr::new(255, 255, 255, 0)),
            router: (!nak).then_some(Ipv4Addr::new(192, 168, 7, 1)),
            lease_duration: (!nak).then_some(self.lease),
            additional_options: extra,
            ..blank(kind, xid)
        })
    }
}

fn blank(kind: DhcpMessageType, xid: u32) -> DhcpRepr<'static> {
    DhcpRepr {
        message_type: kind,
        transaction_id: xid,
        secs: 0,
        client_hardware_address: wire::EthernetAddress(MAC),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    }
}

fn reply(repr: &DhcpRepr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))
        .expect("room");
    bytes
}

/// A client, servers that hear it, and the time.
struct Link {
    client: Client,
    now: Instant,
    servers: Vec<Server>,
    asked: Vec<Asked>,
    probes: Vec<(Instant, Ipv4Addr)>,
    announced: Vec<Instant>,
    events: Vec<(Instant, Event)>,
    /// Whether the next message, there or back, gets through, and how often.
    copies: Box<dyn FnMut() -> usize>,
}

impl Link {
    fn new(servers: Vec<Server>) -> Link {
        let now = Instant::from_secs(500);
        Link {
            client: Client::new(MAC, Hostname::new("mir-www"), [3, 4], now),
            now,
            servers,
            asked: Vec::new(),
            probes: Vec::new(),
            announced: Vec::new(),
            events: Vec::new(),
            copies: Box::new(|| 1),
        }
    }

    /// Runs for `time`, or until `done`.
    fn run(&mut self, time: Duration, mut done: impl FnMut(&Link) -> bool) {
        let end = self.now + time;
        while !done(self) {
            let deadline = self.client.deadline();
            if deadline > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(deadline);
            self.turn();
        }
    }

    /// Everything that is due now.
    fn turn(&mut self) {
        let mut steps = 0;
        while let Some(step) = self.client.poll(self.now) {
            steps += 1;
            assert!(steps < 20, "no end");
            match step {
                Step::Send(message) => self.deliver(&message),
                Step::Probe(address) => self.probes.push((self.now, address)),
                Step::Announce(address) => {
                    assert!(
                        self.client
                            .lease()
                            .is_some_and(|l| l.address.address() == address)
                    );
                    self.announced.push(self.now);
                }
                Step::Event(event) => self.note(event),
            }
        }
        assert!(self.client.deadline() > self.now);
    }

    fn note(&mut self, event: Event) {
        self.events.push((self.now, event));
    }

    fn deliver(&mut self, message: &Message) {
        let asked = read(&self.client, message, self.now);
        self.asked.push(asked.clone());
        for server in self.servers.clone() {
            for _ in 0..(self.copies)() {
                if let Some(answer) = server.answer(&asked) {
                    for _ in 0..(self.copies)() {
                        self.hear(&server, &answer);
                    }
                }
            }
        }
    }

    fn hear(&mut self, server: &Server, answer: &[u8]) -> Option<Ignored> {
        match self.client.receive(server.mac(), answer, self.now) {
            Ok(event) => {
                event.into_iter().for_each(|event| self.note(event));
                None
            }
            Err(ignored) => Some(ignored),
        }
    }

    fn bound(&mut self) -> Lease {
        self.run(Duration::from_secs(100), |link| {
            link.client.lease().is_some()
        });
        *self.client.lease().expect("a lease")
    }

    fn kinds(&self) -> Vec<DhcpMessageType> {
        self.asked.iter().map(|asked| asked.kind).collect()
    }

    fn losses(&self) -> Vec<Loss> {
        let losses = self.events.iter().filter_map(|(_, event)| match event {
            Event::Lost(address, loss) => {
                assert_eq!(address.address(), ADDRESS);
                Some(*loss)
            }
            _ => None,
        });
        losses.collect()
    }
}

fn never(_: &Link) -> bool {
    false
}

const DISCOVER: DhcpMessageType = DhcpMessageType::Discover;
const REQUEST: DhcpMessageType = DhcpMessageType::Request;

#[test]
fn an_address_is_asked_for_probed_and_announced() {
    let mut server = Server::new(1, 3600);
    server.times = Some((1000, 2000));
    let mut link = Link::new(vec![server.clone()]);
    let start = link.now;
    let lease = link.bound();
    assert!(
        link.now - start < Duration::from_millis(1200),
        "{}",
        link.now - start
    );
    assert_eq!(link.kinds(), [DISCOVER, REQUEST]);
    let (discover, request) = (&link.asked[0], &link.asked[1]);
    let all = (
        EthernetAddress::BROADCAST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
    );
    assert_eq!((discover.to, request.to), (all, all));
    assert_eq!((discover.requested, discover.server), (None, None));
    assert_eq!(
        (request.requested, request.server),
        (Some(ADDRESS), Some(server.id))
    );
    assert_eq!((request.xid, request.secs), (discover.xid, discover.secs));
    assert_eq!(request.client_ip, Ipv4Addr::UNSPECIFIED);
    assert!(discover.bytes.len() >= 300);
    // Fixed fields, cookie, type, client identifier, and later the name.
    assert_eq!(discover.bytes[..4], [1, 1, 6, 0]);
    assert_eq!(discover.bytes[236..243], [99, 130, 83, 99, 53, 1, 1]);
    assert_eq!(discover.bytes[243..252], [61, 7, 1, 2, 0, 0, 0, 0, 2]);
    let name = [12, 7, b'm', b'i', b'r', b'-', b'w', b'w', b'w', 255];
    assert!(discover.bytes.windows(10).any(|bytes| bytes == name));
    assert_eq!(link.probes.len(), 3);
    assert!(link.probes.iter().all(|(_, probed)| *probed == ADDRESS));
    assert_eq!(lease.address, Ipv4Cidr::new(ADDRESS, 24));
    assert_eq!((lease.server, lease.server_mac), (server.id, server.mac()));
    assert_eq!(
        (lease.router, lease.mtu),
        (Some(Ipv4Addr::new(192, 168, 7, 1)), Some(1400))
    );
    // Times count from the REQUEST; T1 comes a little early.
    let asked = link.asked[1].at;
    assert_eq!(lease.rebind_at, asked + Duration::from_secs(2000));
    assert_eq!(lease.expires_at, asked + Duration::from_secs(3600));
    let t1 = lease.renew_at - asked;
    assert!(
        t1 <= Duration::from_secs(1000) && t1 > Duration::from_secs(937),
        "{t1}"
    );
    link.run(Duration::from_secs(100), never);
    assert_eq!(link.announced.len(), 2);
    assert_eq!(link.events.len(), 1);
    // Nothing is due until the lease is to be renewed.
    assert_eq!(link.client.deadline(), lease.renew_at);
}

#[test]
fn a_short_lease_is_renewed_from_its_server() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    link.bound();
    link.asked.clear();
    for renewal in 1..=3 {
        link.run(Duration::from_secs(30), |link| link.asked.len() == renewal);
        let asked = &link.asked[renewal - 1];
        let server = &link.servers[0];
        assert_eq!(asked.to, (server.mac(), ADDRESS, server.id));
        assert_eq!(
            (asked.client_ip, asked.requested, asked.server),
            (ADDRESS, None, None)
        );
        assert_eq!(
            link.events.last().map(|(_, event)| *event),
            Some(Event::Renewed)
        );
        let lease = link.client.lease().expect("a lease");
        assert_eq!(lease.expires_at, asked.at + Duration::from_secs(30));
    }
    assert_eq!(link.losses(), []);
    assert_eq!(link.probes.len(), 3);
    let xids: std::collections::HashSet<_> = link.asked.iter().map(|asked| asked.xid).collect();
    assert_eq!(xids.len(), 3);
}

#[test]
fn silence_is_asked_less_and_less_often() {
    let mut link = Link::new(vec![]);
    link.run(Duration::from_secs(3600), never);
    let gaps: Vec<f64> = link
        .asked
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).total_millis() as f64 / 1000.0)
        .collect();
    for (n, gap) in gaps.iter().enumerate() {
        let expected = f64::from(4 << n.min(4));
        assert!((gap - expected).abs() <= 1.0, "{n}: {gap}");
    }
    assert!((50..70).contains(&gaps.len()), "{}", gaps.len());
    assert!(gaps.iter().any(|gap| gap.fract() > 0.1));
    assert_eq!(
        link.asked[3].secs,
        (link.asked[3].at - link.asked[0].at).secs() as u16
    );
    // It comes back, an hour later.
    link.servers.push(Server::new(1, 30));
    let lease = link.bound();
    assert!(lease.expires_at > link.now + Duration::from_secs(25));
}

#[test]
fn a_refusal_begins_anew_and_not_in_a_rush() {
    let mut link = Link::new(vec![Server {
        refuses: true,
        ..Server::new(1, 30)
    }]);
    link.run(Duration::from_secs(600), never);
    let refused = link
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Refused(_)));
    assert!(
        (3..40).contains(&refused.count()),
        "{:?}",
        link.events.len()
    );
    assert!(link.asked.len() < 100);
    link.servers[0].refuses = false;
    link.bound();
}

#[test]
fn of_two_servers_the_first_is_taken_and_named() {
    let second = Server {
        address: Ipv4Addr::new(192, 168, 7, 99),
        ..Server::new(2, 30)
    };
    let mut link = Link::new(vec![Server::new(1, 30), second.clone()]);
    assert_eq!(link.bound().server, link.servers[0].id);
    assert_eq!(link.asked[1].server, Some(link.servers[0].id));
    // It goes away; the other does not know our address, and gives another after the loss.
    link.servers.remove(0);
    link.run(Duration::from_secs(60), |link| {
        link.losses() == [Loss::Expired(Ipv4Addr::new(192, 168, 7, 1))]
    });
    assert!(link.client.lease().is_none());
    assert_eq!(link.bound().address.address(), second.address);
}

#[test]
fn a_server_that_only_offers_is_left_for_another() {
    let first = Server {
        grants: false,
        ..Server::new(1, 30)
    };
    let mut link = Link::new(vec![first, Server::new(2, 30)]);
    let start = link.now;
    assert_eq!(link.bound().server, link.servers[1].id);
    assert_eq!(
        link.kinds(),
        [DISCOVER, REQUEST, REQUEST, REQUEST, DISCOVER, REQUEST]
    );
    assert!(link.now - start < Duration::from_secs(35));
    // Alone, it gets another chance.
    let mut link = Link::new(vec![Server {
        grants: false,
        ..Server::new(1, 30)
    }]);
    link.run(Duration::from_secs(40), never);
    link.servers[0].grants = true;
    link.bound();
}

#[test]
fn a_server_that_goes_away_is_asked_then_all_are_then_the_address_is_lost() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    let lease = link.bound();
    let server = link.servers.remove(0);
    link.asked.clear();
    link.run(Duration::from_secs(60), |link| !link.losses().is_empty());
    assert_eq!(link.now, lease.expires_at);
    assert_eq!(link.losses(), [Loss::Expired(server.id)]);
    let (renewals, rebinds): (Vec<_>, Vec<_>) = link
        .asked
        .iter()
        .filter(|asked| asked.kind == REQUEST)
        .partition(|asked| asked.to.2 == server.id);
    assert!((2..=6).contains(&renewals.len()), "{renewals:?}");
    assert!((1..=3).contains(&rebinds.len()), "{rebinds:?}");
    assert!(renewals.iter().all(|asked| asked.at < lease.rebind_at));
    for asked in &rebinds {
        assert!(asked.at >= lease.rebind_at && asked.at < lease.expires_at);
        assert_eq!(
            asked.to,
            (EthernetAddress::BROADCAST, ADDRESS, Ipv4Addr::BROADCAST)
        );
    }
    assert_eq!(
        link.asked.last().map(|asked| (asked.kind, asked.at)),
        Some((DISCOVER, link.now))
    );
    link.servers.push(server);
    link.bound();
}

#[test]
fn another_server_may_take_over() {
    let mut link = Link::new(vec![Server::new(1, 3600)]);
    let lease = link.bound();
    link.servers = vec![Server::new(2, 3600)];
    link.run(Duration::from_secs(3600), |link| {
        link.client
            .lease()
            .is_some_and(|l| l.server != lease.server)
    });
    assert!(link.now >= lease.rebind_at && link.now < lease.expires_at);
    assert_eq!(link.losses(), []);
    // A minute between attempts, where there is time.
    let renewals: Vec<_> = link
        .asked
        .iter()
        .filter(|asked| asked.to.2 == lease.server)
        .collect();
    assert!(
        renewals
            .windows(2)
            .all(|pair| pair[1].at - pair[0].at >= Duration::from_secs(60))
    );
}

#[test]
fn a_refused_renewal_withdraws_the_address_at_once() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    let lease = link.bound();
    link.servers[0].refuses = true;
    link.run(Duration::from_secs(30), |link| !link.losses().is_empty());
    assert!(link.now < lease.rebind_at);
    assert_eq!(link.losses(), [Loss::Refused(link.servers[0].id)]);
    assert!(link.client.lease().is_none());
    // At once something new is asked for; this server refuses that as well.
    let lost = link.now;
    let last = &link.asked[link.asked.len() - 2..];
    assert_eq!((last[0].kind, last[0].at), (DISCOVER, lost));
    assert_eq!((last[1].kind, last[1].at), (REQUEST, lost));
    link.servers[0].refuses = false;
    link.bound();
    assert!(link.now - lost < Duration::from_secs(12));
}

/// An answer may take its time; the lease counts from the question.
#[test]
fn a_lease_counts_from_when_it_was_asked_for() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    link.bound();
    let server = link.servers.remove(0);
    link.asked.clear();
    link.run(Duration::from_secs(20), |link| !link.asked.is_empty());
    let asked = link.asked[0].clone();
    let answer = server.answer(&asked).expect("an ACK");
    link.run(Duration::from_secs(3), never);
    assert_eq!(link.hear(&server, &answer), None);
    let lease = link.client.lease().expect("a lease");
    assert_eq!(lease.expires_at, asked.at + Duration::from_secs(30));
    assert_eq!(link.now, asked.at + Duration::from_secs(3));
    // The same again, late, is not what is awaited.
    assert_eq!(link.hear(&server, &answer), Some(Ignored::Unexpected));
}

#[test]
fn only_its_server_may_refuse_a_renewal() {
    let mut link = Link::new(vec![Server::new(1, 30)]);
    let lease = link.bound();
    link.servers.clear();
    link.asked.clear();
    link.run(Duration::from_secs(20), |link| !link.asked.is_empty());
    let other = Server::new(2, 30);
    let xid = link.client.awaits().expect("a question");
    let nak = other.reply(DhcpMessageType::Nak, xid);
    assert_eq!(link.hear(&other, &nak), Some(Ignored::Unexpected));
    assert_eq!(link.client.lease(), Some(&lease));
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let mut link = Link::new(vec![Server::new(1, 3600)]);
    link.run(Duration::from_secs(10), |link| link.probes.len() == 2);
    assert_eq!(link.client.candidate(), Some(ADDRESS));
    assert_eq!(
        link.client
            .claimed(Ipv4Addr::new(192, 168, 7, 21), OTHER, link.now),
        None
    );
    let event = link.client.claimed(ADDRESS, OTHER, link.now);
    let server = link.servers[0].id;
    assert_eq!(event, Some(Event::Declined(ADDRESS, server, OTHER)));
    let declined = link.now;
    link.turn();
    let decline = link.asked.last().expect("a message");
    assert_eq!(
        (decline.kind, decline.requested),
        (DhcpMessageType::Decline, Some(ADDRESS))
    );
    assert_eq!(
        (decline.server, decline.client_ip),
        (Some(link.servers[0].id), Ipv4Addr::UNSPECIFIED)
    );
    let count = link.asked.len();
    link.run(Duration::from_secs(60), |link| link.asked.len() > count);
    assert_eq!(link.now - declined, Duration::from_secs(10));
    link.bound();
}

#[test]
fn a_claim_is_defended_once_in_ten_seconds() {
    let mut link = Link::new(vec![Server::new(1, 3600)]);
    let lease = link.bound();
    link.run(Duration::from_secs(10), never);
    let announced = link.announced.len();
    for n in 1..=3 {
        let event = link.client.claimed(ADDRESS, OTHER, link.now);
        assert_eq!(event, Some(Event::Defended(ADDRESS, OTHER)));
        link.turn();
        assert_eq!(link.announced.len(), announced + n);
        link.run(Duration::from_secs(11), never);
    }
    let first = link.client.claimed(ADDRESS, OTHER, link.now);
    assert_eq!(first, Some(Event::Defended(ADDRESS, OTHER)));
    link.run(Duration::from_secs(9), never);
    let second = link.client.claimed(ADDRESS, OTHER, link.now);
    assert_eq!(
        second,
        Some(Event::Lost(lease.address, Loss::Conflict(OTHER)))
    );
    assert!(link.client.lease().is_none());
    link.turn();
    assert_eq!(link.kinds().last(), Some(&DhcpMessageType::Decline));
}

#[test]
fn an_endless_lease_has_no_timer() {
    let mut link = Link::new(vec![Server::new(1, u32::MAX)]);
    assert!(link.bound().time.is_none());
    link.run(Duration::from_secs(10), never);
    assert_eq!(link.client.deadline(), Instant::from_micros(i64::MAX));
}

/// Lost and doubled messages, for a day: the address is never used beyond its lease, and is got
/// back whenever it is lost.
#[test]
fn on_a_bad_link() {
    let mut link = Link::new(vec![Server::new(1, 30), Server::new(2, 30)]);
    let mut state = 88172645463325252u64;
    link.copies = Box::new(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        [0, 0, 1, 1, 1, 2][(state >> 20) as usize % 6]
    });
    let (mut bound, mut unbound) = (Duration::ZERO, Duration::ZERO);
    let end = link.now + Duration::from_secs(86400);
    while link.now < end {
        let before = link.now;
        let was = link.client.lease().copied();
        let deadline = link.client.deadline();
        link.run(deadline - before, never);
        match was {
            Some(lease) => {
                assert!(before < lease.expires_at && deadline <= lease.expires_at);
                bound += link.now - before;
            }
            None => unbound += link.now - before,
        }
        link.turn();
    }
    assert!(
        bound > unbound * 4,
        "{bound} with, {unbound} without an address"
    );
    assert!(!link.losses().is_empty(), "the link was not bad enough");
}

/// Offers that no host can use.
#[test]
fn what_cannot_be_used_is_ignored() {
    type Change = fn(&mut DhcpRepr<'_>);
    let change: &[(&str, Change)] = &[
        ("no address", |r| r.your_ip = Ipv4Addr::UNSPECIFIED),
        ("loopback", |r| r.your_ip = Ipv4Addr::LOCALHOST),
        ("group", |r| r.your_ip = Ipv4Addr::new(224, 0, 0, 1)),
        ("broadcast", |r| r.your_ip = Ipv4Addr::BROADCAST),
        ("class E", |r| r.your_ip = Ipv4Addr::new(250, 0, 0, 1)),
        ("network", |r| r.your_ip = Ipv4Addr::new(192, 168, 7, 0)),
        ("its broadcast", |r| {
            r.your_ip = Ipv4Addr::new(192, 168, 7, 255)
        }),
        ("mask with a hole", |r| {
            r.subnet_mask = Some(Ipv4Addr::new(255, 0, 255, 0))
        }),
        ("no network", |r| {
            r.subnet_mask = Some(Ipv4Addr::UNSPECIFIED)
        }),
        ("no server", |r| r.server_identifier = None),
        ("server 0", |r| {
            r.server_identifier = Some(Ipv4Addr::UNSPECIFIED)
        }),
        ("server a group", |r| {
            r.server_identifier = Some(Ipv4Addr::new(224, 0, 0, 9))
        }),
        ("no lease", |r| r.lease_duration = None),
        ("lease of 0", |r| r.lease_duration = Some(0)),
        ("lease of 3", |r| r.lease_duration = Some(3)),
        ("another client", |r| {
            r.client_hardware_address = wire::EthernetAddress(CLIENT_MAC)
        }),
        ("another question", |r| r.transaction_id ^= 1),
        ("an ACK", |r| r.message_type = DhcpMessageType::Ack),
        ("a NAK", |r| r.message_type = DhcpMessageType::Nak),
        ("a question", |r| r.message_type = DhcpMessageType::Discover),
    ];
    let server = Server::new(1, 30);
    let good = |xid| DhcpRepr {
        your_ip: ADDRESS,
        server_identifier: Some(server.id),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        lease_duration: Some(30),
        ..blank(DhcpMessageType::Offer, xid)
    };
    for (what, change) in change {
        let mut link = Link::new(vec![]);
        link.turn();
        let xid = link.client.awaits().expect("a question");
        let mut repr = good(xid);
        change(&mut repr);
        assert!(link.hear(&server, &reply(&repr)).is_some(), "{what}");
        link.turn();
        assert_eq!(link.kinds(), [DISCOVER], "{what}");
        // A good one is taken after that.
        assert_eq!(link.hear(&server, &reply(&good(xid))), None, "{what}");
        link.turn();
        assert_eq!(link.kinds(), [DISCOVER, REQUEST], "{what}");
    }
    // Every cut of a good one, and options that run over the end.
    let mut link = Link::new(vec![]);
    link.turn();
    let xid = link.client.awaits().expect("a question");
    let whole = reply(&good(xid));
    for len in 0..whole.len() - 1 {
        let mut cut = whole[..len].to_vec();
        if link.hear(&server, &cut).is_none() {
            // What is missing is not needed.
            assert!(len > 240 + 3 + 6 * 3, "{len}");
            link = Link::new(vec![]);
            link.turn();
        }
        cut.extend_from_slice(&[51, 255]);
        let _ = link.hear(&server, &cut);
    }
    // No more than one host on a network: used as it is.
    for (mask, prefix) in [
        ([255; 4], 32),
        ([255, 255, 255, 254], 31),
        ([255, 255, 0, 0], 16),
    ] {
        let mut link = Link::new(vec![]);
        link.turn();
        let mut repr = good(link.client.awaits().expect("a question"));
        repr.subnet_mask = Some(mask.into());
        link.hear(&server, &reply(&repr));
        link.turn();
        repr.message_type = DhcpMessageType::Ack;
        assert_eq!(link.hear(&server, &reply(&repr)), None);
        assert_eq!(link.bound().address, Ipv4Cidr::new(ADDRESS, prefix));
    }
}

/// A reply with options in the places of names, as `overload` says.
fn overloaded(server: &Server, kind: DhcpMessageType, xid: u32, overload: u8) -> Vec<u8> {
    let mut bytes = server.reply(kind, xid);
    assert_eq!(bytes.pop(), Some(255));
    bytes.extend([52, 1, overload, 255]);
    let router = [0, 3, 4, 192, 168, 7, 254, 255];
    let mtu = [26, 2, 5, 120];
    bytes[44..][..router.len()].copy_from_slice(&router);
    // Until the last byte, without an end.
    bytes[236 - mtu.len()..236].copy_from_slice(&mtu);
    bytes
}

#[test]
fn options_are_in_the_places_of_names_too_if_that_is_said() {
    let other = Some(Ipv4Addr::new(192, 168, 7, 254));
    let usual = Some(Ipv4Addr::new(192, 168, 7, 1));
    for (overload, router, mtu) in [
        (0, usual, None),
        (1, usual, Some(1400)),
        (2, other, None),
        (3, other, Some(1400)),
    ] {
        let server = Server::new(1, 30);
        let mut link = Link::new(vec![]);
        for kind in [DhcpMessageType::Offer, DhcpMessageType::Ack] {
            link.turn();
            let xid = link.client.awaits().expect("a question");
            let bytes = overloaded(&server, kind, xid, overload);
            assert_eq!(link.hear(&server, &bytes), None);
        }
        let lease = link.bound();
        assert_eq!((lease.router, lease.mtu), (router, mtu), "{overload}");
    }
}

#[test]
fn times_that_make_no_sense_are_replaced() {
    for times in [(0, 0), (20, 10), (10, 30), (30, 40), (u32::MAX, u32::MAX)] {
        let mut link = Link::new(vec![Server {
            times: Some(times),
            ..Server::new(1, 30)
        }]);
        let lease = link.bound();
        let asked = link.asked[1].at;
        let millis = |at: Instant| (at - asked).total_millis();
        assert!(
            (14_000..=15_000).contains(&millis(lease.renew_at)),
            "{times:?}"
        );
        assert_eq!(
            (millis(lease.rebind_at), millis(lease.expires_at)),
            (26_250, 30_000)
        );
    }
}

#[test]
fn names_are_checked() {
    assert!(Hostname::new("web-1.example").is_some());
    for bad in ["", "a b", "a\n", "\u{e9}", &"x".repeat(64)] {
        assert_eq!(Hostname::new(bad), None, "{bad:?}");
    }
}

#[derive(Clone, Debug)]
enum Blow {
    Bytes(Vec<u8>),
    /// A reply of the right shape, bytes of it changed.
    Reply(u8, Vec<(prop::sample::Index, u8)>),
    Claim,
    Wait(u32),
}

fn blow() -> impl Strategy<Value = Blow> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600).prop_map(Blow::Bytes),
        6 => (0u8..4, prop::collection::vec(change, 0..4)).prop_map(|(k, c)| Blow::Reply(k, c)),
        1 => Just(Blow::Claim),
        3 => (0u32..40_000).prop_map(Blow::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_do_harm(blows in prop::collection::vec(blow(), 1..80)) {
        let mut link = Link::new(vec![]);
        let server = Server::new(1, 30);
        link.turn();
        for blow in &blows {
            let xid = link.client.awaits().unwrap_or(0);
            match blow {
                Blow::Bytes(bytes) => _ = link.hear(&server, bytes),
                Blow::Reply(kind, changes) => {
                    let kind = [DhcpMessageType::Offer, DhcpMessageType::Ack, DhcpMessageType::Nak,
                        DhcpMessageType::Ack][usize::from(*kind)];
                    let mut bytes = server.reply(kind, xid);
                    for (at, to) in changes {
                        let at = at.index(bytes.len());
                        bytes[at] = *to;
                    }
                    let _ = link.hear(&server, &bytes);
                }
                Blow::Claim => {
                    let claimed = link.client.candidate().unwrap_or(ADDRESS);
                    if let Some(event) = link.client.claimed(claimed, OTHER, link.now) {
                        link.note(event);
                    }
                }
                Blow::Wait(millis) => link.run(Duration::from_millis((*millis).into()), never),
            }
            link.turn();
            let lease = link.client.lease();
            prop_assert!(lease.is_none_or(|lease| lease.expires_at > link.now
                && lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at
                && lease.address.prefix_len() >= 8));
        }
        // Then a good server, and all is well.
        let before = link.asked.len();
        link.servers.push(server);
        link.run(Duration::from_secs(400), |link| link.client.lease().is_some());
        prop_assert!(link.client.lease().is_some());
        prop_assert!(link.asked.len() - before < 60);
    }
}

/// The client in the stack: frames, addresses, connections.
mod stack {
    use super::{REQUEST, Server, never, read_frame, secs};
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::socket::tcp::State;
    use smoltcp::wire::{
        ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, EthernetAddress, IpAddress, IpCidr,
        IpProtocol, IpRepr, Ipv4Cidr, TcpControl, UdpPacket, UdpRepr,
    };
    use std::cell::RefCell;
    use std::net::Ipv4Addr;
    use std::rc::Rc;
    use tests::net::*;
    use www::net::wire::{Abilities, Wire, pair};
    use www::net::{Address, Config, Dhcp, Duration, Instant, Learn, Net, Refusal, Source};

    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn wanting() -> Config {
        let mut config = config();
        config.ipv4 = None;
        let mut learn = Learn::new();
        learn.dhcp = Some(Dhcp::default());
        config.learn = Some(learn);
        config
    }

    fn server() -> Server {
        Server {
            id: Ipv4Addr::new(10, 0, 0, 9),
            address: OURS,
            ..Server::new(9, 30)
        }
    }

    /// What the server has in common with the test.
    struct Shared {
        server: Option<Server>,
        asked: Vec<DhcpMessageType>,
        /// TCP frames seen.
        tcp: usize,
    }

    fn world() -> (World, Rc<RefCell<Shared>>) {
        let mut world = World::new(wanting(), Abilities::default(), Abilities::default());
        let shared = Rc::new(RefCell::new(Shared {
            server: Some(server()),
            asked: Vec::new(),
            tcp: 0,
        }));
        let own = Rc::clone(&shared);
        world.neighbour = Some(Box::new(move |now, frame| {
            let mut shared = own.borrow_mut();
            shared.tcp += usize::from(frame[12..14] == [8, 0] && frame[23] == 6);
            let Some(asked) = read_frame(frame, now) else {
                return Vec::new();
            };
            shared.asked.push(asked.kind);
            let Some(server) = &shared.server else {
                return Vec::new();
            };
            let answer = server.answer(&asked);
            // Sent to the address that it offers, though nobody has that yet.
            answer
                .map(|bytes| datagram(server, server.address, &bytes))
                .into_iter()
                .collect()
        }));
        (world, shared)
    }

    fn datagram(server: &Server, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let udp = UdpRepr {
            src_port: 67,
            dst_port: 68,
        };
        let (source, destination) = (IpAddress::Ipv4(server.id), IpAddress::Ipv4(to));
        let len = udp.header_len() + payload.len();
        let ip = IpRepr::new(source, destination, IpProtocol::Udp, len, 64);
        let mac = match to {
            Ipv4Addr::BROADCAST => [0xff; 6],
            _ => SERVER_MAC,
        };
        let mut frame = [&mac[..], &server.mac().0, &[8, 0]].concat();
        frame.resize(14 + ip.buffer_len(), 0);
        let checksum = ChecksumCapabilities::default();
        ip.emit(&mut frame[14..], &checksum);
        udp.emit(
            &mut UdpPacket::new_unchecked(&mut frame[34..]),
            &source,
            &destination,
            payload.len(),
            |bytes| bytes.copy_from_slice(payload),
            &checksum,
        );
        frame
    }

    fn by_dhcp(world: &World) -> Option<Address> {
        let addresses = world.net.addresses();
        assert_eq!(addresses[0].source, Source::LinkLocal);
        addresses.into_iter().find(|own| own.source == Source::Dhcp)
    }

    fn bound(world: &mut World) {
        world.run_until(secs(100), |world| by_dhcp(world).is_some());
    }

    #[test]
    fn a_lease_is_renewed_under_load_without_a_failed_request() {
        let (mut world, shared) = world();
        world.serve(blocks);
        bound(&mut world);
        let own = by_dhcp(&world);
        let cidr = IpCidr::Ipv4(Ipv4Cidr::new(OURS, 24));
        assert_eq!(
            own,
            Some(Address {
                cidr,
                source: Source::Dhcp
            })
        );
        let old = world.connect();
        let renewals = |shared: &RefCell<Shared>| {
            let shared = shared.borrow();
            shared.asked.iter().filter(|&&kind| kind == REQUEST).count() - 1
        };
        let mut requests = 0;
        while renewals(&shared) < 4 {
            assert_eq!(world.ask(old, b"60000\n", 60_000), pattern(60_000));
            let new = world.connect();
            assert_eq!(world.ask(new, b"3000\n", 3000), pattern(3000));
            world.client.socket(new).close();
            world.run_for(Duration::from_millis(400));
            assert_eq!(by_dhcp(&world), own);
            requests += 1;
        }
        assert!(requests > 100, "{requests}");
        let stats = world.net.stats();
        assert_eq!((stats.resets_sent, stats.conflicts), (0, 0), "{stats:?}");
    }

    #[test]
    fn a_lost_address_takes_its_connections_along_in_silence() {
        let (mut world, shared) = world();
        let ended = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&ended);
        world.serve(move |mut conn| {
            let log = Rc::clone(&log);
            async move {
                let mut buf = [0; 100];
                loop {
                    let n = read(&mut conn, &mut buf).await;
                    if !matches!(n, Ok(1..)) {
                        log.borrow_mut().push(n.is_err());
                        return;
                    }
                }
            }
        });
        bound(&mut world);
        let link_local = www::net::link_local(SERVER_MAC).into();
        let other = world.client.connect(link_local, 5000, 5000);
        let handle = world.connect();
        for handle in [other, handle] {
            world.client.socket(handle).send_slice(b"x").expect("open");
        }
        // One that has said nothing, and one that is half open.
        let silent = world.connect();
        world
            .client
            .device
            .inject(&segment([10, 0, 0, 77], 999, TcpControl::Syn, 1, None, &[]));
        world.run_for(secs(1));
        assert_eq!(
            (world.net.stats().connections, world.net.stats().half_open),
            (3, 1)
        );
        shared.borrow_mut().server = None;
        world.run_until(secs(40), |world| by_dhcp(world).is_none());
        let stats = world.net.stats();
        assert_eq!(
            (stats.connections, stats.half_open, stats.resets_sent),
            (1, 0, 0),
            "{stats:?}"
        );
        world.run_for(Duration::from_millis(10));
        assert_eq!(*ended.borrow(), [true]);
        // Nothing is sent from it, and nobody is told that it is ours.
        let before = shared.borrow().tcp;
        world
            .client
            .socket(handle)
            .send_slice(b"more")
            .expect("open on that side");
        world.run_for(secs(5));
        assert_eq!(shared.borrow().tcp, before);
        world.client.socket(silent).abort();
        let probe = arp(ArpOperation::Request, CLIENT_MAC, [10, 0, 0, 1], OURS);
        world.client.device.inject(&probe);
        world.net.poll(world.now);
        assert!(world.net.stats().refused(Refusal::IpDestination) > 0);
        // What came to the other address lives.
        world.client.socket(other).send_slice(b"y").expect("open");
        world.run_for(secs(1));
        assert_eq!(world.client.socket(other).state(), State::Established);
        assert_eq!(ended.borrow().len(), 1);
        // The server is back, and so are we.
        shared.borrow_mut().server = Some(server());
        bound(&mut world);
        world.client.socket(handle).abort();
        world.run_for(secs(1));
        world.connect();
    }

    #[test]
    fn another_address_is_another_address() {
        let (mut world, shared) = world();
        world.serve(echo);
        bound(&mut world);
        let old = world.connect();
        assert_eq!(world.ask(old, b"a", 1), b"a");
        // The server wants it back, and has another one.
        let next = Ipv4Addr::new(10, 0, 0, 33);
        shared.borrow_mut().server = Some(Server {
            refuses: true,
            ..server()
        });
        world.run_until(secs(40), |world| by_dhcp(world).is_none());
        shared.borrow_mut().server = Some(Server {
            address: next,
            ..server()
        });
        bound(&mut world);
        assert_eq!(
            by_dhcp(&world).map(|own| own.cidr.address()),
            Some(next.into())
        );
        let handle = world.client.connect(next.into(), 5000, 5000);
        world.run_until(secs(10), |world| {
            world.client.socket(handle).state() == State::Established
        });
        assert_eq!(world.ask(handle, b"b", 1), b"b");
        // The old connection's packets are not taken for the new address'.
        let before = world.net.stats();
        world
            .client
            .socket(old)
            .send_slice(b"c")
            .expect("open on that side");
        world.run_for(secs(2));
        let after = world.net.stats();
        assert!(after.refused(Refusal::IpDestination) > before.refused(Refusal::IpDestination));
        assert_eq!(after.connections, 1);
    }

    fn arp(operation: ArpOperation, mac: [u8; 6], ip: [u8; 4], target: Ipv4Addr) -> Vec<u8> {
        let repr = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: EthernetAddress(mac),
            source_protocol_addr: ip.into(),
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let mut frame = [&[0xff; 6][..], &mac, &[8, 6], &[0; 28]].concat();
        repr.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
        frame
    }

    #[test]
    fn who_answers_a_probe_keeps_the_address() {
        // As its owner, and as another who is about to take it.
        for (operation, ip) in [
            (ArpOperation::Reply, OURS.octets()),
            (ArpOperation::Request, [0; 4]),
        ] {
            let (mut world, shared) = world();
            let mut dhcp = world.neighbour.take().expect("the server");
            let owned = Rc::new(RefCell::new(true));
            let owner = Rc::clone(&owned);
            world.neighbour = Some(Box::new(move |now, frame| {
                let probe = frame[12..14] == [8, 6] && frame[28..32] == [0; 4];
                if probe && *owner.borrow() {
                    assert_eq!(frame[38..42], OURS.octets());
                    return vec![arp(operation, [2, 0, 0, 0, 0, 7], ip, OURS)];
                }
                dhcp(now, frame)
            }));
            world.run_for(secs(40));
            assert_eq!(by_dhcp(&world), None);
            let declines = |shared: &RefCell<Shared>| {
                let shared = shared.borrow();
                shared
                    .asked
                    .iter()
                    .filter(|&&kind| kind == DhcpMessageType::Decline)
                    .count()
            };
            assert!((2..4).contains(&declines(&shared)), "{}", declines(&shared));
            assert!(world.net.stats().conflicts >= 2);
            *owned.borrow_mut() = false;
            bound(&mut world);
        }
    }

    struct Bench {
        net: Net<Wire>,
        far: Wire,
        now: Instant,
    }

    impl Bench {
        fn new(config: Config) -> Bench {
            let (near, far) = pair(Abilities::default(), Abilities::default(), 1);
            let now = Instant::from_secs(9);
            let net = Net::new(near, config, now);
            Bench { net, far, now }
        }

        fn frames(&mut self, time: Duration) -> Vec<Vec<u8>> {
            self.now += time;
            self.net.poll(self.now);
            std::iter::from_fn(|| self.far.take()).collect()
        }

        fn refuses(&mut self, frame: &[u8], reason: Refusal) {
            let before = self.net.stats().refused(reason);
            self.far.inject(frame);
            assert_eq!(
                self.frames(Duration::ZERO),
                Vec::<Vec<u8>>::new(),
                "{reason:?}"
            );
            let stats = self.net.stats();
            assert_eq!(stats.refused(reason), before + 1, "{:?}", stats.refused);
        }
    }

    /// The IPv4 header checksum made right, and none for UDP.
    fn mended(mut frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        change(&mut frame);
        frame[40..42].fill(0);
        frame[24..26].fill(0);
        let words = frame[14..34]
            .chunks(2)
            .map(|b| u32::from(b[0]) << 8 | u32::from(b[1]));
        let sum: u32 = words.sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    #[test]
    fn datagrams_pass_only_while_they_are_awaited() {
        let server = server();
        let mut bench = Bench::new(wanting());
        let asked = bench.frames(Duration::ZERO);
        let discover = asked
            .iter()
            .find_map(|frame| read_frame(frame, bench.now))
            .expect("DISCOVER");
        let offer = server.answer(&discover).expect("an offer");
        let frame = datagram(&server, OURS, &offer);
        // The checksum, lengths, ports; fragments; the wrong frame for an address; nothing at all.
        let mut bad = frame.clone();
        bad[100] ^= 1;
        bench.refuses(&bad, Refusal::Checksum);
        bench.refuses(&mended(frame.clone(), |f| f[39] ^= 1), Refusal::IpLength);
        bench.refuses(&mended(frame.clone(), |f| f[38] = 0), Refusal::IpLength);
        bench.refuses(&mended(frame.clone(), |f| f[35] = 66), Refusal::Protocol);
        bench.refuses(&mended(frame.clone(), |f| f[37] = 69), Refusal::Protocol);
        bench.refuses(&mended(frame.clone(), |f| f[21] = 1), Refusal::Fragment);
        bench.refuses(
            &mended(frame.clone(), |f| f[..6].fill(0xff)),
            Refusal::IpDestination,
        );
        bench.refuses(
            &mended(frame.clone(), |f| f[30..34].fill(0xff)),
            Refusal::IpDestination,
        );
        bench.refuses(
            &mended(frame.clone(), |f| f[30] = 224),
            Refusal::IpDestination,
        );
        bench.refuses(&mended(frame.clone(), |f| f[26] = 127), Refusal::IpSource);
        bench.refuses(
            &mended(frame.clone(), |f| f[16..18].copy_from_slice(&[0, 24])),
            Refusal::Runt,
        );
        bench.refuses(
            &mended(frame.clone(), |f| f[46] ^= 1),
            Refusal::Configuration,
        );
        // Broadcast or unicast, with a checksum or with none.
        for good in [
            datagram(&server, Ipv4Addr::BROADCAST, &offer),
            mended(frame.clone(), |_| {}),
        ] {
            let mut bench = Bench::new(wanting());
            bench.frames(Duration::ZERO);
            bench.far.inject(&good);
            let sent = bench.frames(Duration::ZERO);
            assert_eq!(
                sent.iter()
                    .filter_map(|frame| read_frame(frame, bench.now))
                    .count(),
                1
            );
        }
        // While nothing is awaited, and by who has not asked.
        bench.far.inject(&frame);
        let sent = bench.frames(Duration::ZERO);
        let request = sent
            .iter()
            .find_map(|frame| read_frame(frame, bench.now))
            .expect("REQUEST");
        let ack = datagram(&server, OURS, &server.answer(&request).expect("an ACK"));
        bench.far.inject(&ack);
        bench.frames(Duration::ZERO);
        bench.refuses(&ack, Refusal::IpDestination);
        for _ in 0..10 {
            bench.frames(Duration::from_millis(200));
        }
        assert_eq!(bench.net.addresses().len(), 2);
        bench.refuses(&ack, Refusal::Protocol);
        bench.refuses(
            &datagram(&server, Ipv4Addr::BROADCAST, &offer),
            Refusal::IpDestination,
        );
        let mut bench = Bench::new(config());
        bench.refuses(&frame, Refusal::Protocol);
    }

    #[test]
    fn a_configured_address_is_defended_and_kept() {
        let mut config = config();
        config.learn = Some(Learn::new());
        let mut bench = Bench::new(config);
        bench.frames(secs(5));
        bench.frames(secs(5));
        for operation in [ArpOperation::Request, ArpOperation::Reply] {
            let claim = arp(operation, CLIENT_MAC, OURS.octets(), OURS);
            bench.far.inject(&claim);
            let frames = bench.frames(secs(1));
            assert_eq!(frames.len(), 1);
            assert_eq!(
                (&frames[0][12..14], &frames[0][28..32]),
                (&[8, 6][..], &OURS.octets()[..])
            );
            assert_eq!(frames[0][..6], [0xff; 6]);
            for _ in 0..8 {
                bench.far.inject(&claim);
                assert_eq!(bench.frames(secs(1)).len(), 0);
            }
            bench.frames(secs(9));
        }
        assert_eq!(bench.net.stats().conflicts, 18);
        assert_eq!(bench.net.addresses().len(), 2);
    }

    #[test]
    fn the_mtu_that_a_server_tells_is_kept_to() {
        let (mut world, shared) = world();
        let mss = |world: &mut World, port| {
            let syn = segment([10, 0, 0, 5], port, TcpControl::Syn, 1, None, &[]);
            world.client.device.inject(&syn);
            let mut mss = None;
            world.step_server(|frame| {
                if frame[12..14] == [8, 0] && frame[23] == 6 {
                    assert_eq!(frame[54..56], [2, 4]);
                    mss = Some(u16::from_be_bytes([frame[56], frame[57]]));
                }
            });
            mss
        };
        bound(&mut world);
        assert_eq!(mss(&mut world, 700), Some(1460));
        let told = Server {
            times: Some((10, 20)),
            ..server()
        };
        shared.borrow_mut().server = Some(told);
        world.run_for(secs(20));
        assert_eq!(mss(&mut world, 701), Some(1360));
        assert!(by_dhcp(&world).is_some());
    }

    #[test]
    fn a_lease_and_an_address_in_use_cost_no_timer() {
        let mut endless = server();
        endless.lease = u32::MAX;
        let (mut world, shared) = world();
        shared.borrow_mut().server = Some(endless);
        bound(&mut world);
        world.run_for(secs(10));
        assert_eq!(world.next.deadline, None);
        // Before that, the next deadline is the client's.
        let mut link = super::Link::new(vec![]);
        link.run(secs(1), never);
        assert!(link.client.deadline() > link.now + secs(1));
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The DHCP message in a frame, if it is one. Checks what is around it.
fn read_frame(frame: &[u8], at: Instant) -> Option<Asked> {
    use smoltcp::wire::{IpAddress, Ipv4Packet, UdpPacket};
    if frame[12..14] != [8, 0] || frame[23] != 17 {
        return None;
    }
    let ip = Ipv4Packet::new_checked(&frame[14..]).expect("IPv4");
    assert!(ip.verify_checksum());
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let udp = UdpPacket::new_checked(ip.payload()).expect("UDP");
    assert!(udp.verify_checksum(&IpAddress::Ipv4(source), &IpAddress::Ipv4(destination)));
    assert_eq!((udp.src_port(), udp.dst_port()), (68, 67));
    let packet = DhcpPacket::new_checked(udp.payload()).expect("DHCP");
    let repr = DhcpRepr::parse(&packet).expect("a message");
    Some(Asked {
        at,
        kind: repr.message_type,
        xid: repr.transaction_id,
        secs: repr.secs,
        client_ip: repr.client_ip,
        requested: repr.requested_ip,
        server: repr.server_identifier,
        to: (
            EthernetAddress(*frame.first_chunk().expect("a header")),
            source,
            destination,
        ),
        bytes: udp.payload().to_vec(),
    })
}
