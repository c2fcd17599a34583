//! Frames from the wire into the TCP stack.

pub(super) mod tcp_ip {
    use std::cell::RefCell;

    use netfront::checksum::{Located, locate, sum};
    use smoltcp::socket::tcp::State;
    use tests::net::{PORT, SERVER, SERVER_MAC, World, blocks, collect, config, pattern};
    use www::net::wire::Abilities;
    use www::net::{Config, Duration};

    use crate::input::Input;

    /// The length of a frame, and what is done with it.
    const LENGTH: u16 = 0x0fff;
    const MEND: u16 = 0x8000;
    const LATER: u16 = 0x4000;
    const MUCH_LATER: u16 = 0x2000;
    const OURS: u16 = 0x1000;

    /// Frames at a time.
    const FRAMES: usize = 400;

    fn limited() -> Config {
        Config {
            max_connections: 8,
            max_half_open: 4,
            max_lingering: 8,
            memory: 1 << 20,
            ..config()
        }
    }

    /// Whatever comes, memory stays within its limit and others are served within a second.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let limits = limited();
        let mut world = World::new(limits.clone(), Abilities::default(), Abilities::default());
        world.serve(blocks);
        let handle = world.client.connect(SERVER, 5000, 5000);
        world.run_for(Duration::from_millis(1));
        let _ = world.client.socket(handle).send_slice(b"20000\n");
        for _ in 0..FRAMES {
            if input.is_empty() {
                break;
            }
            let header = input.u16();
            let mut frame = input.take(usize::from(header & LENGTH)).to_vec();
            if header & OURS != 0 && frame.len() >= 6 {
                frame[..6].copy_from_slice(&SERVER_MAC);
            }
            if header & MEND == 0 {
                mend(&mut frame);
            }
            world.client.device.inject(&frame);
            if header & LATER != 0 {
                world.now += Duration::from_millis(20);
                world.step();
            }
            if header & MUCH_LATER != 0 {
                world.run_for(Duration::from_secs(3));
            }
            let stats = world.net.stats();
            assert!(stats.memory <= limits.memory, "{stats:?}");
            assert!(stats.connections <= limits.max_connections, "{stats:?}");
        }
        // Connections that were used a moment ago are not cut off for others: let them be idle.
        world.run_for(Duration::from_secs(40));
        let handle = world.client.connect(SERVER, 65535, 65535);
        world.run_until(Duration::from_secs(1), |world| {
            world.client.socket(handle).state() == State::Established
        });
        assert_eq!(world.ask(handle, b"3000\n", 3000), pattern(3000));
    }

    /// Makes checksums right, so that a frame gets past the first look.
    fn mend(frame: &mut [u8]) {
        if frame.len() >= 34 && frame[12..14] == [8, 0] {
            let header = 14..14 + usize::from(frame[14] & 15).clamp(5, 15) * 4;
            if header.end <= frame.len() {
                frame[24..26].fill(0);
                let checksum = !sum(&frame[header]);
                frame[24..26].copy_from_slice(&checksum.to_be_bytes());
            }
        }
        if let Located::Transport(transport) = locate(frame) {
            transport.fill(frame);
        }
    }

    /// What a client sends in a conversation, and a few frames that it does not.
    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        for server in [SERVER, www::net::link_local(SERVER_MAC).into()] {
            let frames = RefCell::new(Vec::new());
            let mut world = World::new(limited(), Abilities::default(), Abilities::default());
            world.serve(blocks);
            let handle = world.client.connect(server, 5000, 5000);
            for turn in 0..120 {
                world.now += Duration::from_micros(500);
                let client = &mut world.client;
                client
                    .iface
                    .poll(world.now, &mut client.device, &mut client.sockets);
                world.net.with_device(|device| {
                    device.look(&mut |frame| {
                        let mut frames = frames.borrow_mut();
                        frames.extend_from_slice(&(frame.len() as u16 | LATER).to_le_bytes());
                        frames.extend_from_slice(frame);
                    });
                });
                world.step_server(|_| {});
                let socket = world.client.socket(handle);
                match turn {
                    20 => drop(socket.send_slice(b"8000\n")),
                    90 => socket.close(),
                    _ => collect(socket, &mut Vec::new()),
                }
            }
            let frames = frames.into_inner();
            assert!(frames.len() > 500, "a conversation");
            seeds.push(frames);
        }
        seeds.push(handshakes());
        seeds
    }

    /// SYNs of strangers, each from another address.
    fn handshakes() -> Vec<u8> {
        let mut all = Vec::new();
        for host in 0..20 {
            let mut frame = [0; 54];
            frame[..6].copy_from_slice(&SERVER_MAC);
            frame[6..12].copy_from_slice(&[2, 0, 0, 0, 1, host]);
            frame[12..15].copy_from_slice(&[8, 0, 0x45]);
            frame[17] = 40;
            frame[22..24].copy_from_slice(&[64, 6]);
            frame[26..34].copy_from_slice(&[10, 0, 1, host, 10, 0, 0, 2]);
            frame[34..36].copy_from_slice(&[0x30, host]);
            frame[36..38].copy_from_slice(&PORT.to_be_bytes());
            frame[46..50].copy_from_slice(&[0x50, 2, 0x10, 0]);
            all.extend_from_slice(&(frame.len() as u16).to_le_bytes());
            all.extend_from_slice(&frame);
        }
        all
    }
}
