//! The network interface: what its backend puts on the rings and into xenstore.

pub(super) mod netif_wire {
    use netfront::wire::{Extra, ExtraKind, RxRequest, RxResponse, TxRequest, TxResponse};

    use crate::input::Input;

    /// Decoding loses nothing that means something.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let rx = input.array();
        assert_eq!(RxResponse::decode(&rx).encode(), rx);
        let request = RxRequest::decode(&rx);
        assert_eq!(RxRequest::decode(&request.encode()), request);
        let tx = input.array();
        assert_eq!(TxRequest::decode(&tx).encode(), tx);
        assert_eq!(TxResponse::decode(&tx).encode()[..4], tx[..4]);
        let extra = Extra::decode(&rx);
        assert_eq!(Extra::decode(&extra.encode()), extra);
        let number = match extra.kind {
            ExtraKind::Gso { .. } => 1,
            ExtraKind::Other(number) | ExtraKind::Invalid(number) => number,
        };
        assert_eq!(number, rx[0]);
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            vec![7, 0, 2, 0, 4, 0, 60, 0, 1, 2, 3, 4, 0, 0, 0, 0, 7, 0, 60, 0],
            vec![1, 1, 0xa8, 5, 1, 0, 0, 0],
        ]
    }
}

pub(super) mod netif_assembler {
    use netfront::rx::{Assembler, PACKET_MAX, Step};
    use netfront::tx::{CHUNK, Completion, Pool};
    use netfront::wire::PAGE;

    use crate::input::Input;

    /// No piece lies beyond its page or its packet, and no page is free twice.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let mut rx = Assembler::default();
        let mut filled = 0;
        let mut slots = 0;
        for slot in (0..256u16).cycle() {
            if input.is_empty() {
                break;
            }
            let mut bytes = input.array();
            if slot % 8 != 7 {
                bytes[..2].copy_from_slice(&slot.to_le_bytes());
            }
            let Ok(step) = rx.slot(slot, &bytes) else {
                break;
            };
            slots += 1;
            assert!(slots <= 24, "a packet without an end");
            let piece = match step {
                Step::Part(piece) | Step::Last(piece, _) => Some(piece),
                Step::Nothing | Step::Whole(_) | Step::Failed => None,
            };
            if let Some(piece) = piece {
                assert!(piece.offset + piece.len <= PAGE);
                assert!(piece.at + piece.len <= PACKET_MAX);
                assert!(piece.at == filled || piece.at == 0);
                filled = piece.at + piece.len;
            }
            if let Step::Last(_, packet) | Step::Whole(packet) = step {
                assert_eq!(packet.len, filled);
            }
            if matches!(step, Step::Last(..) | Step::Whole(_) | Step::Failed) {
                (slots, filled) = (0, 0);
            }
        }
        responses(bytes);
    }

    fn responses(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let mut pool = Pool::new(1);
        let mut free = [true; CHUNK];
        let mut extras = 0;
        while !input.is_empty() {
            match input.u8() {
                choice @ 0..64 => {
                    let len = usize::from(choice) % 18 + 1;
                    if let Some(first) = pool.take(len) {
                        let run = &mut free[first..first + len];
                        assert!(run.iter().all(|page| *page), "a page in flight");
                        run.fill(false);
                    }
                }
                64..96 => {
                    pool.sent_extra();
                    extras += 1;
                }
                _ => match pool.complete(&input.array()) {
                    Ok(Completion::Null) => {
                        assert!(extras > 0, "an extra that was not sent");
                        extras -= 1;
                    }
                    // Which one the response said is what is free now and was not.
                    Ok(Completion::Sent | Completion::Failed) => {
                        let in_flight = free.iter().filter(|page| !**page).count();
                        assert_eq!(pool.available(), CHUNK - in_flight + 1);
                        return;
                    }
                    Err(_) => return,
                },
            }
            assert_eq!(pool.available(), free.iter().filter(|page| **page).count());
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for slot in 0..8u8 {
            whole.extend([slot, 0, 0, 0, if slot % 4 == 3 { 0 } else { 4 }, 0, 0, 16]);
        }
        let with_extra = vec![0, 0, 2, 0, 0xb, 0, 60, 0, 1, 0, 0xa8, 5, 1, 0, 0, 0];
        vec![
            whole,
            with_extra,
            vec![3, 3, 70, 100, 0, 0, 1, 0],
            vec![3, 200, 2, 0, 0, 0],
        ]
    }
}

pub(super) mod checksums {
    use netfront::checksum::{Located, locate};

    /// What is found lies in the frame, and a checksum that was filled in is right.
    pub(in super::super) fn run(bytes: &[u8]) {
        let Located::Transport(transport) = locate(bytes) else {
            return;
        };
        assert!(transport.bytes.end <= bytes.len());
        assert!(transport.checksum().end <= transport.bytes.end);
        let mut frame = bytes.to_vec();
        transport.blank(&mut frame);
        assert!(locate(&frame) == Located::Transport(transport.clone()));
        transport.fill(&mut frame);
        assert!(transport.verify(&frame));
        let at = transport.bytes.end - 1;
        if !transport.checksum().contains(&at) {
            frame[at] ^= 1;
            assert!(!transport.verify(&frame), "a wrong byte goes unseen");
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let mut tcp4 = vec![0; 60];
        tcp4[12..15].copy_from_slice(&[8, 0, 0x45]);
        tcp4[17] = 46;
        tcp4[23] = 6;
        tcp4[46] = 0x50;
        let mut udp4 = tcp4.clone();
        udp4[23] = 17;
        udp4[39] = 26;
        let mut tcp6 = vec![0; 80];
        tcp6[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
        tcp6[19] = 26;
        tcp6[20] = 6;
        tcp6[66] = 0x50;
        let mut hops = vec![0; 88];
        hops[..66].copy_from_slice(&tcp6[..66]);
        hops[19] = 34;
        hops[20] = 0;
        hops[54] = 6;
        hops[74] = 0x50;
        vec![tcp4, udp4, tcp6, hops]
    }
}

pub(super) mod netif_features {
    use netfront::features::Features;

    /// Whatever the keys say, what comes of it can be served.
    pub(in super::super) fn run(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut values = text.split('\n').map(|v| (v != "-").then(|| v.to_owned()));
        let keys: [_; 8] = std::array::from_fn(|_| values.next().flatten());
        let setting = values.next().flatten();
        let Ok(features) = Features::read(&keys) else {
            return;
        };
        assert!(features.sg || !(features.tso4 || features.tso6));
        assert!(features.csum4 || !features.tso4);
        assert!(features.csum6 || !features.tso6);
        let mtu = features.mtu(setting.as_deref());
        assert!(mtu >= 1280 && mtu + 14 <= features.frame_max(), "{mtu}");
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "1\n1\n1\n1\n-\n1\n1\n8\n1500",
            "1\n-\n-\n-\n-\n-\n-\n-\n9000",
            "1\n1\n0\n1\n1\n2\n\n4294967296\n65535",
        ])
    }
}

pub(super) mod backend {
    use minios::abi::ring::RSP_PROD;
    use minios::host::{Hypervisor, Mapping, map};
    use minios::xenbus::Mac;
    use minios::{Access, DomId, Domain, Grant};
    use netfront::back::{Back, Deceit, Frame, Manner};
    use netfront::features::{Features, Wiring};
    use netfront::rx::PACKET_MAX;
    use netfront::{Config, Netfront, Phase};
    use smoltcp::phy::{Device, RxToken, TxToken};
    use smoltcp::time::Instant;

    use crate::input::Input;

    const GUEST: DomId = DomId(1);

    struct Pair {
        guest: Domain,
        host: Domain,
        front: Netfront,
        back: Back,
        rings: Vec<Mapping>,
    }

    impl Pair {
        fn new(offer: u8) -> Self {
            let hypervisor = Hypervisor::new();
            let (guest, host) = (hypervisor.domain(GUEST), hypervisor.domain(DomId::ZERO));
            let one = |bit: u8| (offer & bit != 0).then(|| "1".to_owned());
            let csum4 = (offer & 16 != 0).then(|| "0".to_owned());
            let keys = [
                Some("1".into()),
                one(1),
                one(2),
                one(4),
                csum4,
                one(8),
                one(32),
                one(64),
            ];
            let features = Features::read(&keys).expect("rx-copy is offered");
            let config = Config {
                tx_pages: 64,
                ring_index: u32::MAX - 100,
                ..Config::default()
            };
            let mac = Mac([0, 0x16, 0x3e, 0, 0, 1]);
            let (front, wiring) =
                Netfront::new(&guest, DomId::ZERO, mac, None, features, &config).expect("a device");
            let manner = Manner {
                holds: offer & 128 != 0,
                ..Manner::linux()
            };
            let back = Back::attach(&host, GUEST, &wiring, manner).expect("its backend");
            let rings = rings(&wiring)
                .map(|grant| map(&host, GUEST, grant, Access::ReadWrite).expect("a ring"));
            Pair {
                guest,
                host,
                front,
                back,
                rings: rings.into(),
            }
        }

        fn turn(&mut self) {
            self.front.flush();
            self.host.dispatch();
            if self.back.fatal().is_none() {
                self.back.poll();
            }
            self.guest.dispatch();
        }

        fn receive(&mut self) -> usize {
            let mut frames = 0;
            while let Some((rx, _)) = self.front.receive(Instant::ZERO) {
                rx.consume(|frame| assert!((14..=PACKET_MAX).contains(&frame.len())));
                frames += 1;
                assert!(frames <= 256, "more frames than slots");
            }
            frames
        }

        fn send(&mut self, len: usize) {
            if let Some(tx) = self.front.transmit(Instant::ZERO) {
                tx.consume(len, |frame| frame.fill(1));
            }
        }
    }

    fn rings(wiring: &Wiring) -> [Grant; 2] {
        [wiring.tx_ring, wiring.rx_ring].map(Grant)
    }

    /// Whatever the backend does, the device runs on or is Broken, and says which.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let mut pair = Pair::new(input.u8());
        pair.turn();
        while !input.is_empty() {
            act(&mut pair, &mut input);
        }
        for _ in 0..4 {
            pair.turn();
            pair.receive();
        }
        let stats = pair.front.stats();
        assert!(stats.rx_posted <= 256 && stats.tx_in_flight <= 256 && stats.tx_pages_free <= 64);
        match pair.front.phase() {
            Phase::Broken(lie) => {
                assert_eq!(stats.broken, 1);
                assert!(!lie.to_string().is_empty());
                // It is as a cable that is unplugged: nothing comes, everything goes nowhere.
                assert_eq!(pair.receive(), 0);
                pair.send(100);
                assert_eq!(pair.front.stats().tx_dropped, stats.tx_dropped + 1);
            }
            _ => assert_eq!(stats.broken, 0),
        }
    }

    fn act(pair: &mut Pair, input: &mut Input<'_>) {
        match input.u8() % 12 {
            0 | 1 => pair.turn(),
            2 => drop(pair.receive()),
            3 => pair.send(14 + usize::from(input.u16() % 1500)),
            4 => {
                let len = usize::from(input.u16() % 9000);
                let frame = Frame::plain(input.take(len));
                pair.back.inject(frame);
            }
            5 => {
                let (honest, mut slot) = (!input.u8().is_multiple_of(8), input.array());
                let _ = pair.back.raw_rx(|id| {
                    if honest {
                        slot[..2].copy_from_slice(&id.to_le_bytes());
                    }
                    slot
                });
                pair.back.deceive(Deceit::RxIndex(0));
            }
            6 => {
                let _ = pair.back.raw_tx(&input.array());
                pair.back.deceive(Deceit::TxIndex(0));
            }
            7 => pair.back.complete(usize::from(input.u8())),
            8 => pair.back.fail(usize::from(input.u8())),
            9 => {
                let ring = &pair.rings[usize::from(input.u8() & 1)];
                let offset = usize::from(input.u16()) % (4096 - 16);
                ring.write(offset, &input.array::<16>())
                    .expect("within its page");
            }
            10 => {
                let ring = &pair.rings[usize::from(input.u8() & 1)];
                let now = ring.load_u32(RSP_PROD).expect("a ring");
                let ahead = u32::from(input.u8());
                ring.store_u32(RSP_PROD, now.wrapping_add(ahead))
                    .expect("a ring");
            }
            _ => pair.back.postpone(),
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            // Frames in both directions.
            vec![
                0x7f, 3, 60, 0, 4, 20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                17, 18, 19, 20, 0, 2, 0,
            ],
            // Held, then completed, then answered once more.
            vec![
                0xff, 3, 200, 1, 3, 20, 0, 0, 7, 2, 0, 6, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ],
            // Raw receive slots: one of three pieces.
            vec![
                0x7f, 5, 1, 0, 0, 0, 0, 4, 0, 0, 1, 5, 1, 0, 0, 0, 0, 4, 0, 0, 1, 5, 1, 0, 0, 0, 0,
                0, 0, 0, 1, 2,
            ],
            // Indices that lie.
            vec![0x7f, 10, 0, 1, 2, 0],
            vec![
                0x7f, 9, 1, 64, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 10, 1, 3,
                2,
            ],
        ]
    }
}
