//! Frames that nobody should send to `www::net`: none panics, and service goes on.

use std::cell::RefCell;
use std::time::Instant as Clock;

use proptest::prelude::*;
use smoltcp::socket::tcp::State;
use tests::net::*;
use www::net::Duration;
use www::net::wire::{Abilities, Faults};

/// Frames of a real conversation, both with and without payload, IPv4 and IPv6.
fn corpus() -> Vec<Vec<u8>> {
    let frames = RefCell::new(Vec::new());
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    world.net.announce(world.now);
    let v6 = www::net::link_local(SERVER_MAC).into();
    for server in [SERVER, v6] {
        let handle = world.client.connect(server, 5000, 5000);
        for n in 0..200 {
            world.now += Duration::from_micros(500);
            world.client.iface.poll(
                world.now,
                &mut world.client.device,
                &mut world.client.sockets,
            );
            world.net.with_device(|device| {
                device.look(&mut |frame| frames.borrow_mut().push(frame.to_vec()));
            });
            world.step_server(|_| {});
            match n {
                20 => drop(world.client.socket(handle).send_slice(b"20000\n")),
                150 => world.client.socket(handle).close(),
                _ => {
                    let mut sink = Vec::new();
                    collect(world.client.socket(handle), &mut sink);
                }
            }
        }
    }
    let frames = frames.into_inner();
    assert!(frames.len() > 20, "{}", frames.len());
    frames
}

/// Makes the checksums of an IPv4 TCP frame right, so that it gets past the guard's.
fn mend(frame: &mut [u8]) {
    fn sum(bytes: &[u8], start: u32) -> u16 {
        let mut sum = start;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
    if frame.len() >= 54 && frame[12..14] == [8, 0] {
        frame[24..26].fill(0);
        let header = sum(&frame[14..34], 0);
        frame[24..26].copy_from_slice(&header.to_be_bytes());
        let total = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let end = (14 + total).clamp(54, frame.len());
        let protocol = u32::from(frame[23]);
        let pseudo = u32::from(!sum(&frame[26..34], 0)) + protocol + (end - 34) as u32;
        let at = if protocol == 1 { 36 } else { 50 };
        frame[at..at + 2].fill(0);
        let start = if protocol == 1 { 0 } else { pseudo };
        let whole = sum(&frame[34..end], start);
        frame[at..at + 2].copy_from_slice(&whole.to_be_bytes());
    }
    if frame.len() >= 74 && frame[12..14] == [0x86, 0xdd] {
        let total = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
        let end = (54 + total).clamp(74, frame.len());
        let protocol = u32::from(frame[20]);
        let pseudo = u32::from(!sum(&frame[22..54], 0)) + protocol + (end - 54) as u32;
        let at = if protocol == 58 { 56 } else { 70 };
        frame[at..at + 2].fill(0);
        let whole = sum(&frame[54..end], pseudo);
        frame[at..at + 2].copy_from_slice(&whole.to_be_bytes());
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
    Extend(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, to)| Damage::Set(at, to)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Truncate),
        1 => prop::collection::vec(any::<u8>(), 0..80).prop_map(Damage::Extend),
    ]
}

type Hit = (prop::sample::Index, Vec<Damage>, bool);

fn hits() -> impl Strategy<Value = Vec<Hit>> {
    let one = (
        any::<prop::sample::Index>(),
        prop::collection::vec(damage(), 0..4),
        prop::bool::weighted(0.8),
    );
    prop::collection::vec(one, 1..60)
}

fn apply(corpus: &[Vec<u8>], (which, damages, mended): &Hit) -> Vec<u8> {
    let mut frame = which.get(corpus).clone();
    for damage in damages {
        match damage {
            // The first bytes decide most, so they are hit as often as all the rest.
            Damage::Set(at, to) if !frame.is_empty() => {
                let len = if to & 1 == 0 {
                    frame.len()
                } else {
                    frame.len().min(74)
                };
                let at = at.index(len);
                frame[at] = *to;
            }
            Damage::Set(..) => {}
            Damage::Truncate(at) => frame.truncate(at.index(frame.len() + 1)),
            Damage::Extend(more) => frame.extend_from_slice(more),
        }
    }
    if *mended {
        mend(&mut frame);
    }
    frame
}

fn is_served(world: &mut World) {
    let start = world.now;
    let handle = world.client.connect(SERVER, 65535, 65535);
    world.run_until(Duration::from_secs(1), |world| {
        world.client.socket(handle).state() == State::Established
    });
    assert_eq!(world.ask(handle, b"3000\n", 3000), pattern(3000));
    assert!(world.now - start < Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_frames_of_a_conversation_do_no_harm(hits in hits()) {
        let corpus = corpus();
        let mut world = World::new(config(), Abilities::default(), Abilities::default());
        world.serve(blocks);
        // One that is open while it happens; it need not survive.
        let handle = world.client.connect(SERVER, 5000, 5000);
        world.run_for(Duration::from_millis(1));
        let _ = world.client.socket(handle).send_slice(b"100000\n");
        for hit in &hits {
            world.client.device.inject(&apply(&corpus, hit));
            world.now += Duration::from_millis(20);
            world.step();
        }
        world.run_for(Duration::from_secs(3));
        is_served(&mut world);
        prop_assert!(world.net.stats().memory <= config().memory);
    }

    #[test]
    fn any_bytes_do_no_harm(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..50)) {
        let mut world = World::new(config(), Abilities::default(), Abilities::default());
        world.serve(blocks);
        for mut frame in frames {
            if frame.len() >= 20 && frame[19] & 1 == 0 {
                frame[..6].copy_from_slice(&SERVER_MAC);
                let kind = if frame[19] & 2 == 0 { [8, 0] } else { [0x86, 0xdd] };
                frame[12..14].copy_from_slice(&kind);
            }
            mend(&mut frame);
            world.client.device.inject(&frame);
        }
        world.run_for(Duration::from_millis(10));
        is_served(&mut world);
    }
}

/// Segments to one open connection with every kind of number, flag and length, all checksums right.
#[test]
fn segments_of_a_hostile_peer_do_no_harm() {
    let limit = Clock::now() + std::time::Duration::from_secs(10);
    let mut state = 1u64;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let corpus = corpus();
    let sample = corpus
        .iter()
        .find(|frame| frame[12..14] == [8, 0] && frame.len() >= 54);
    let sample = sample.expect("a TCP frame").clone();
    let mut established = 0;
    for round in 0..400u64 {
        let mut config = config();
        config.max_connections = 3;
        config.defer_accept = round % 2 == 0;
        config.sleep_after = Duration::from_millis(draw() % 300);
        let mut world = World::new(config, Abilities::default(), Abilities::default());
        world.serve(blocks);
        let (port, mut mine, mut theirs) = (7000u16, 0x7fff_ff00u32, 0u32);
        for n in 0..80 {
            let mut frame = sample[..54].to_vec();
            let payload = match draw() % 5 {
                0 => pattern((draw() % 1400) as usize),
                1 => b"5000\n".to_vec(),
                2 => b"1\n".to_vec(),
                _ => Vec::new(),
            };
            let near = |base: u32, draw: u64| match draw % 8 {
                0 => base.wrapping_sub(1),
                1 => base.wrapping_add((draw >> 8) as u32 % 5000),
                2 => base.wrapping_sub((draw >> 8) as u32 % 5000),
                3 if draw & 0x300 == 0 => (draw >> 20) as u32,
                _ => base,
            };
            let flags = match (n, draw() % 40) {
                (0, _) => 0x02,
                (1..4, _) => 0x10,
                (_, rare @ 0..8) => [0x11, 0x14, 0x04, 0x02, 0x12, 0x19, 0x11, 0x30][rare as usize],
                (_, often) => 0x10 | (((often & 1) as u8) << 3),
            };
            frame[16..18].copy_from_slice(&((40 + payload.len()) as u16).to_be_bytes());
            frame[34..36].copy_from_slice(&port.to_be_bytes());
            let seq = if n < 4 { mine } else { near(mine, draw()) };
            frame[38..42].copy_from_slice(&seq.to_be_bytes());
            let ack = if n < 4 { theirs } else { near(theirs, draw()) };
            frame[42..46].copy_from_slice(&ack.to_be_bytes());
            frame[46] = 0x50;
            frame[47] = flags;
            frame[48..50].copy_from_slice(&(draw() as u16).to_be_bytes());
            frame.extend_from_slice(&payload);
            mend(&mut frame);
            world.client.device.inject(&frame);
            world.now += Duration::from_millis(draw() % 400);
            world.step_server(|_| {});
            while let Some(frame) = world.client.device.take() {
                if frame.len() >= 54 && frame[12..14] == [8, 0] {
                    let word =
                        |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
                    let control = u32::from(frame[47] & 1) + u32::from(frame[47] >> 1 & 1);
                    if frame[47] & 4 == 0 {
                        mine = word(42);
                        theirs = word(38).wrapping_add(
                            (frame.len() - 34 - usize::from(frame[46] >> 4) * 4) as u32 + control,
                        );
                    }
                }
            }
        }
        world.client.device.set_faults(Faults::default());
        world.run_for(Duration::from_secs(100));
        let stats = world.net.stats();
        established += stats.established;
        assert!(
            stats.memory <= 4 << 20 && stats.connections <= 3,
            "round {round}: {stats:?}"
        );
        is_served(&mut world);
        if Clock::now() > limit {
            break;
        }
    }
    assert!(established > 20, "only {established} connections were hit");
}
