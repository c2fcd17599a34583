//! The block device: what its backend puts on the ring and into xenstore.

pub(super) mod blkif_wire {
    use blkfront::wire::{IndirectRequest, Operation, Request, Response, Segment};
    use minios::ring::request::Record;

    use crate::input::Input;

    /// Decoding loses nothing that means something.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let slot = input.array();
        let request = Request::decode(&slot);
        assert_eq!(Request::decode(&request.encode()), request);
        assert_eq!(request.operation, slot[0]);
        let indirect = IndirectRequest::decode(&slot);
        let encoded = indirect.encode();
        assert_eq!(IndirectRequest::decode(&encoded), indirect);
        assert_eq!(encoded[0], Operation::Indirect as u8);
        let segment = input.array();
        assert_eq!(Segment::decode(&segment).encode()[..6], segment[..6]);
        let response = input.array();
        let decoded = Response::decode(&response);
        assert_eq!(decoded.encode()[..9], response[..9]);
        assert_eq!(decoded.encode()[10..12], response[10..12]);
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            vec![0, 1, 0, 0xca, 0, 0, 0, 0, 5],
            vec![6, 0, 0, 1, 0, 0, 0, 0, 5],
        ]
    }
}

pub(super) mod blkif_features {
    use blkfront::features::{Features, Properties, ring_order};
    use blkfront::wire::DIRECT;

    /// A device that is taken has a size that can be counted and sectors that can be used.
    pub(in super::super) fn run(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut values = text
            .split('\n')
            .map(|value| (value != "-").then(|| value.to_owned()));
        let mut next = || values.next().flatten();
        assert!(ring_order(&[next(), next()]) <= 4);
        let features = Features::read(&[next(), next(), next()]);
        assert!(features.segments >= DIRECT);
        assert!(!features.to_string().is_empty());
        let Ok(properties) = Properties::read(&[next(), next(), next(), next(), next()]) else {
            return;
        };
        assert!(properties.sectors.checked_mul(512).is_some());
        assert!(matches!(properties.sector_size, 512 | 1024 | 2048 | 4096));
        assert!(properties.physical >= properties.sector_size);
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "4\n-\n256\n1\n1\n2048\n512\n4\n4096\nr",
            "-\n16\n-\n-\n-\n18014398509481983\n4096\n0\n-\nw",
        ])
    }
}

pub(super) mod blkif_backend {
    use std::cell::RefCell;
    use std::rc::Rc;

    use blkfront::back::{Back, Backend, Deceit, Manner, Media, Offer};
    use blkfront::wire::Response;
    use blkfront::{Blkfront, Config, IoError, Link, Phase, Sector, Vdev};
    use minios::abi::ring::RSP_PROD;
    use minios::exec::Executor;
    use minios::host::store::Server;
    use minios::host::{Hypervisor, Mapping, map_all};
    use minios::xenstore::Store;
    use minios::{Access, DomId, Domain, Grant};

    use crate::input::Input;

    const GUEST: DomId = DomId(1);
    const LEN: usize = 64 * 1024;
    const PAGES: u32 = 32;

    type Outcome = Rc<RefCell<Option<Result<(), IoError>>>>;

    struct Pair {
        hypervisor: Hypervisor,
        host: (Domain, Executor),
        guest: (Domain, Executor),
        backend: Backend,
        front: Blkfront,
        back: Back,
        ring: Mapping,
        calls: Vec<Outcome>,
    }

    impl Pair {
        fn new(offer: u8) -> Self {
            let hypervisor = Hypervisor::new();
            let server = Server::new(&hypervisor);
            let host = (hypervisor.domain(DomId::ZERO), Executor::new());
            let guest = (hypervisor.domain(GUEST), Executor::new());
            server.attach(GUEST).expect("a guest");
            let manner = Manner {
                segments: [11, 32][usize::from(offer & 1)],
                ring_order: u32::from(offer >> 1 & 1),
                persistent: offer & 4 != 0,
                flush: offer & 8 != 0,
                unsupported: offer & 16 != 0,
                holds: offer & 32 != 0,
                ..Manner::linux()
            };
            let media = Media::new(vec![7; LEN]);
            let vdev = Vdev(51712);
            let offer = Offer::new(manner);
            let backend = Backend::plug(&server, &host.0, GUEST, vdev, &media, &offer);
            spawn(&host, async move { server.run().await });

            let store = Store::new(&guest.0);
            let running = store.clone();
            spawn(&guest, async move {
                running.run().await;
            });
            let connected: Rc<RefCell<Option<(Blkfront, Link)>>> = Rc::default();
            let (domain, slot) = (guest.0.clone(), Rc::clone(&connected));
            spawn(&guest, async move {
                let config = Config {
                    pages: PAGES as usize,
                    ring_index: u32::MAX - 20,
                    ..Config::default()
                };
                let device = Blkfront::connect(&domain, &store, vdev, &config).await;
                *slot.borrow_mut() = Some(device.expect("a device"));
            });
            let parties = [(&host.0, &host.1), (&guest.0, &guest.1)];
            let back = hypervisor.block_on(&parties, backend.accept());
            let back = back.expect("its backend");
            hypervisor.settle(&parties);
            let (front, link) = connected.take().expect("connected");
            spawn(&guest, async move { drop(link.run().await) });
            let number = |key: &str| Some(Grant(backend.bus.read(key)?.parse().ok()?));
            let grants: Vec<_> = ["ring-ref", "ring-ref0", "ring-ref1"]
                .iter()
                .filter_map(|key| number(key))
                .collect();
            let ring = map_all(&host.0, GUEST, &grants, Access::ReadWrite).expect("a ring");
            Pair {
                hypervisor,
                host,
                guest,
                backend,
                front,
                back,
                ring,
                calls: Vec::new(),
            }
        }

        fn settle(&self) {
            let parties = [(&self.host.0, &self.host.1), (&self.guest.0, &self.guest.1)];
            self.hypervisor.settle(&parties);
        }

        fn call(&mut self, input: &mut Input<'_>) {
            let kind = input.u8();
            let (from, len) = (usize::from(input.u16()), usize::from(input.u16()));
            let (device, outcome) = (self.front.clone(), Outcome::default());
            self.calls.push(Rc::clone(&outcome));
            spawn(&self.guest, async move {
                let mut bytes = vec![0; len];
                let sector = Sector(from as u64 / 512);
                let whole = len / 512 * 512;
                let done = match kind % 4 {
                    0 => device.flush().await,
                    1 => device.write(sector, &bytes[..whole]).await,
                    2 => device.read(sector, &mut [&mut bytes[..whole]]).await,
                    _ => device.read_at(from as u64, &mut bytes).await,
                };
                *outcome.borrow_mut() = Some(done);
            });
        }
    }

    fn spawn(side: &(Domain, Executor), task: impl Future<Output = ()> + 'static) {
        side.1.spawner().spawn(task).expect("a task");
    }

    /// Whatever the backend does, the device runs on or is Broken, and says which; and every call
    /// ends with the device.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let mut pair = Pair::new(input.u8());
        while !input.is_empty() {
            act(&mut pair, &mut input);
        }
        pair.settle();
        let stats = pair.front.stats();
        assert!(stats.in_flight <= 64 && stats.pages_free <= PAGES);
        match pair.front.phase() {
            Phase::Broken(lie) => {
                assert_eq!(stats.broken, 1);
                assert!(!lie.to_string().is_empty());
                assert!(pair.calls.iter().all(|call| call.borrow().is_some()));
            }
            phase => {
                assert_eq!((phase, stats.broken), (Phase::Running, 0));
            }
        }
        pair.backend.detach();
        pair.settle();
        assert_ne!(pair.front.phase(), Phase::Running);
        for call in &pair.calls {
            assert!(call.borrow().is_some(), "a call hangs: {stats:?}");
        }
    }

    fn act(pair: &mut Pair, input: &mut Input<'_>) {
        match input.u8() % 12 {
            0 | 1 => {
                pair.settle();
                pair.back.poll();
                pair.settle();
            }
            2..=4 => pair.call(input),
            5 => pair.back.answer(usize::from(input.u8())),
            6 => {
                pair.back.answer_all();
                pair.settle();
            }
            7 => {
                let (id, operation, status) = (input.u8(), input.u8(), input.u8());
                pair.back.raw(&Response {
                    id: id.into(),
                    operation: operation & 7,
                    status: i16::from(status % 4) - 2,
                });
            }
            8 => {
                let offset = usize::from(input.u16()) % (4096 - 16);
                let bytes = input.array::<16>();
                pair.ring.write(offset, &bytes).expect("within its page");
            }
            9 => {
                let now = pair.ring.load_u32(RSP_PROD).expect("a ring");
                let ahead = u32::from(input.u8());
                let lie = pair.ring.store_u32(RSP_PROD, now.wrapping_add(ahead));
                lie.expect("a ring");
                pair.back.deceive(Deceit::Index(0));
            }
            10 => {
                let sectors = input.u16().to_string();
                pair.backend.bus.write("sectors", &sectors);
            }
            _ => {
                let text = String::from_utf8_lossy(input.take(4));
                pair.backend.bus.write("sectors", &text);
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            // Reads of several sizes, and a write, answered at once.
            vec![
                0x0f, 2, 3, 5, 0, 0, 200, 2, 2, 0, 4, 0, 16, 0, 2, 1, 0, 2, 0, 8, 0, 0, 0,
            ],
            // Held, answered last first, then once more.
            vec![
                0x2f, 2, 3, 0, 0, 0, 90, 2, 3, 0, 0, 0, 2, 0, 5, 1, 5, 0, 7, 0, 0, 2, 0,
            ],
            // Offered and not known.
            vec![0x1f, 2, 3, 0, 0, 0, 250, 0, 0, 2, 0, 0, 0, 0, 0, 0],
            // Indices and slots that lie.
            vec![0x2f, 2, 3, 0, 0, 0, 9, 0, 9, 1, 0],
            vec![
                0x2f, 2, 3, 0, 0, 0, 9, 0, 8, 8, 0, 1, 0, 0, 0, 9, 9, 9, 9, 0,
            ],
            // Sizes.
            vec![0x0f, 2, 3, 0, 0, 0, 9, 10, 8, 0, 0, 11, b'1', b'2', 8, 0, 0],
        ]
    }
}
