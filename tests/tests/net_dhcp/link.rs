//! A client, and servers that behave or do not.

use std::net::Ipv4Addr;

use smoltcp::wire::{self, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr};
use tests::net::{CLIENT_MAC, SERVER_MAC};
use www::net::dhcp::{Client, Event, Hostname, Ignored, Lease, Loss, Message, Step};
use www::net::{Duration, EthernetAddress, Instant};

pub(super) const MAC: [u8; 6] = SERVER_MAC;
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 20);
pub(super) const OTHER: EthernetAddress = EthernetAddress(CLIENT_MAC);

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) kind: DhcpMessageType,
    pub(super) xid: u32,
    pub(super) secs: u16,
    pub(super) client_ip: Ipv4Addr,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) server: Option<Ipv4Addr>,
    pub(super) to: (EthernetAddress, Ipv4Addr, Ipv4Addr),
    pub(super) bytes: Vec<u8>,
}

pub(super) fn read(client: &Client, message: &Message, at: Instant) -> Asked {
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
pub(super) struct Server {
    pub(super) id: Ipv4Addr,
    pub(super) address: Ipv4Addr,
    pub(super) lease: u32,
    pub(super) times: Option<(u32, u32)>,
    pub(super) offers: bool,
    pub(super) grants: bool,
    pub(super) refuses: bool,
}

impl Server {
    pub(super) fn new(last: u8, lease: u32) -> Server {
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

    pub(super) fn mac(&self) -> EthernetAddress {
        EthernetAddress([2, 0, 0, 0, 1, self.id.octets()[3]])
    }

    pub(super) fn answer(&self, asked: &Asked) -> Option<Vec<u8>> {
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

    pub(super) fn reply(&self, kind: DhcpMessageType, xid: u32) -> Vec<u8> {
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

pub(super) fn blank(kind: DhcpMessageType, xid: u32) -> DhcpRepr<'static> {
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

pub(super) fn reply(repr: &DhcpRepr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))
        .expect("room");
    bytes
}

/// A client, servers that hear it, and the time.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) now: Instant,
    pub(super) servers: Vec<Server>,
    pub(super) asked: Vec<Asked>,
    pub(super) probes: Vec<(Instant, Ipv4Addr)>,
    pub(super) announced: Vec<Instant>,
    pub(super) events: Vec<(Instant, Event)>,
    /// Whether the next message, there or back, gets through, and how often.
    pub(super) copies: Box<dyn FnMut() -> usize>,
}

impl Link {
    pub(super) fn new(servers: Vec<Server>) -> Link {
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
    pub(super) fn run(&mut self, time: Duration, mut done: impl FnMut(&Link) -> bool) {
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
    pub(super) fn turn(&mut self) {
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

    pub(super) fn note(&mut self, event: Event) {
        self.events.push((self.now, event));
    }

    pub(super) fn deliver(&mut self, message: &Message) {
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

    pub(super) fn hear(&mut self, server: &Server, answer: &[u8]) -> Option<Ignored> {
        match self.client.receive(server.mac(), answer, self.now) {
            Ok(event) => {
                event.into_iter().for_each(|event| self.note(event));
                None
            }
            Err(ignored) => Some(ignored),
        }
    }

    pub(super) fn bound(&mut self) -> Lease {
        self.run(Duration::from_secs(100), |link| {
            link.client.lease().is_some()
        });
        *self.client.lease().expect("a lease")
    }

    pub(super) fn kinds(&self) -> Vec<DhcpMessageType> {
        self.asked.iter().map(|asked| asked.kind).collect()
    }

    pub(super) fn losses(&self) -> Vec<Loss> {
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

pub(super) fn never(_: &Link) -> bool {
    false
}

pub(super) const DISCOVER: DhcpMessageType = DhcpMessageType::Discover;
pub(super) const REQUEST: DhcpMessageType = DhcpMessageType::Request;

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The DHCP message in a frame, if it is one. Checks what is around it.
pub(super) fn read_frame(frame: &[u8], at: Instant) -> Option<Asked> {
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
