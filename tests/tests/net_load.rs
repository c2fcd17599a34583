//! `www::net` with many connections, and with peers that want it to have too many.

use std::cell::RefCell;
use std::rc::Rc;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use smoltcp::wire::TcpControl;
use tests::net::*;
use www::net::wire::{Abilities, Wire};
use www::net::{Duration, Instant, Net, NetStats};

/// A host that keeps no state: it only writes segments, and reads those that come.
struct Raw {
    net: Net<Wire>,
    far: Wire,
    now: Instant,
}

impl Raw {
    fn new(config: www::net::Config) -> Raw {
        let (near, far) = www::net::wire::pair(Abilities::default(), Abilities::default(), 1);
        let now = Instant::from_secs(500);
        Raw {
            net: Net::new(near, config, now),
            far,
            now,
        }
    }

    fn send(
        &mut self,
        source: [u8; 4],
        port: u16,
        control: TcpControl,
        seq: u32,
        ack: Option<u32>,
        payload: &[u8],
    ) {
        self.far
            .inject(&segment(source, port, control, seq, ack, payload));
    }

    fn poll(&mut self, pass: Duration) {
        self.now += pass;
        while self.net.poll(self.now).more {}
    }

    /// The segments that came: source port reversed, so the client's port; flags, seq, ack, payload.
    fn received(&mut self) -> Vec<(u16, u8, u32, u32, Vec<u8>)> {
        let mut got = Vec::new();
        while let Some(frame) = self.far.take() {
            if frame[12..14] != [8, 0] {
                continue;
            }
            let tcp = &frame[34..];
            let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
            let header = usize::from(tcp[12] >> 4) * 4;
            let port = u16::from_be_bytes([tcp[2], tcp[3]]);
            got.push((port, tcp[13], word(4), word(8), tcp[header..].to_vec()));
        }
        got
    }

    /// Opens a connection from `source` and `port`; the next numbers of both sides.
    fn open(&mut self, source: [u8; 4], port: u16) -> Option<(u32, u32)> {
        self.send(source, port, TcpControl::Syn, 1000, None, &[]);
        self.poll(Duration::from_micros(50));
        let syn_ack = self
            .received()
            .into_iter()
            .find(|got| got.0 == port && got.1 == 0x12)?;
        assert_eq!(syn_ack.3, 1001);
        let theirs = syn_ack.2.wrapping_add(1);
        self.send(source, port, TcpControl::None, 1001, Some(theirs), &[]);
        self.poll(Duration::from_micros(50));
        Some((1001, theirs))
    }

    fn stats(&self) -> NetStats {
        self.net.stats()
    }
}

#[test]
fn the_work_for_a_packet_does_not_depend_on_the_number_of_connections() {
    let work = |idle: usize| {
        let mut config = config();
        config.max_connections = 6000;
        config.memory = 256 << 20;
        let mut raw = Raw::new(config);
        let world = Tasks::default();
        let net = raw.net.clone();
        let tasks = world.clone();
        world.spawn(async move {
            loop {
                let conn = www::Stack::accept(&net).await;
                tasks.spawn(blocks(conn));
            }
        });
        // Idle ones are awake: they have asked for something within the last two seconds.
        for n in 0..idle {
            let port = 1024 + (n % 50_000) as u16;
            let (mine, theirs) = raw.open([10, 1, 0, 1], port).expect("room");
            raw.send(
                [10, 1, 0, 1],
                port,
                TcpControl::Psh,
                mine,
                Some(theirs),
                b"10\n",
            );
            raw.poll(Duration::from_micros(10));
            world.turn();
            raw.poll(Duration::from_micros(10));
            raw.send(
                [10, 1, 0, 1],
                port,
                TcpControl::None,
                mine + 3,
                Some(theirs + 10),
                &[],
            );
            raw.poll(Duration::from_micros(10));
        }
        assert_eq!(raw.stats().awake, idle);
        let (mut mine, mut theirs) = raw.open([10, 2, 0, 1], 999).expect("room");
        // No timer of the idle ones is due in what follows: they were armed a second ahead.
        let before = raw.stats();
        for _ in 0..100 {
            raw.send(
                [10, 2, 0, 1],
                999,
                TcpControl::Psh,
                mine,
                Some(theirs),
                b"100\n",
            );
            raw.poll(Duration::from_micros(10));
            world.turn();
            raw.poll(Duration::from_micros(10));
            mine += 4;
            theirs = theirs.wrapping_add(100);
        }
        let after = raw.stats();
        let answered = raw
            .received()
            .iter()
            .filter(|got| got.4.len() == 100)
            .count();
        assert_eq!(answered, 100);
        (after.lookups - before.lookups, after.polls - before.polls)
    };
    let few = work(10);
    let many = work(5000);
    assert_eq!(few, many);
    assert_eq!(few.0, 100, "one look into the table for each packet");
    assert!(few.1 <= 300, "{few:?}");
}

#[test]
fn five_thousand_connections_are_served() {
    let mut config = config();
    config.max_connections = 6000;
    config.memory = 160 << 20;
    config.backlog = 6000;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(blocks);
    let mut raw_ports = Vec::new();
    // Established by hand, since a plain client of 5,000 sockets takes a second for each packet.
    for n in 0..5000u16 {
        let source = [10, 1, (n >> 8) as u8, n as u8];
        world
            .client
            .device
            .inject(&segment(source, 2000, TcpControl::Syn, 7, None, &[]));
        raw_ports.push(source);
    }
    let mut established = 0;
    let mut answers = 0;
    for _ in 0..2000 {
        world.now += Duration::from_micros(50);
        world.step_server(|_| {});
        let mut frames = Vec::new();
        while let Some(frame) = world.client.device.take() {
            frames.push(frame);
        }
        for frame in frames {
            let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
            let to: [u8; 4] = frame[30..34].try_into().unwrap();
            let seq = word(38);
            if frame[47] == 0x12 {
                established += 1;
                let ask = segment(
                    to,
                    2000,
                    TcpControl::Psh,
                    8,
                    Some(seq.wrapping_add(1)),
                    b"700\n",
                );
                world.client.device.inject(&ask);
            } else if frame.len() > 700 {
                answers += 1;
                assert!(frame[54..] == pattern(700));
                let end = seq.wrapping_add(700);
                world.client.device.inject(&segment(
                    to,
                    2000,
                    TcpControl::None,
                    12,
                    Some(end),
                    &[],
                ));
            }
        }
        if answers == 5000 {
            break;
        }
    }
    assert_eq!(
        (established, answers),
        (5000, 5000),
        "{:?}",
        world.net.stats()
    );
    assert_eq!(world.net.stats().connections, 5000);
    // Idle, they take no sockets.
    world.run_for(Duration::from_secs(4));
    let stats = world.net.stats();
    assert_eq!((stats.connections, stats.awake, stats.memory), (5000, 0, 0));
}

fn client_is_served(world: &mut World) -> SocketHandle {
    let handle = world.client.connect(SERVER, 65535, 65535);
    let start = world.now;
    world.run_until(Duration::from_secs(1), |world| {
        world.client.socket(handle).state() == State::Established
    });
    assert_eq!(world.ask(handle, b"1000\n", 1000), pattern(1000));
    assert!(world.now - start < Duration::from_secs(1));
    handle
}

#[test]
fn twenty_thousand_syns_leave_the_service_to_others() {
    let deep = Abilities {
        depth: 100_000,
        ..Abilities::default()
    };
    let mut world = World::new(config(), Abilities::default(), deep);
    world.serve(blocks);
    let before = client_is_served(&mut world);
    for n in 0..20_000u32 {
        let source = [10, 100, (n >> 8) as u8, n as u8];
        world
            .client
            .device
            .inject(&segment(source, 3000, TcpControl::Syn, n, None, &[]));
    }
    // During the flood, with cookies.
    let during = client_is_served(&mut world);
    let stats = world.net.stats();
    assert_eq!(stats.syns, 20_002);
    assert_eq!(stats.half_open, 512);
    assert_eq!(
        (stats.cookies_taken, stats.connections),
        (1, 2),
        "{stats:?}"
    );
    assert!(world.ask(during, b"200000\n", 200_000) == pattern(200_000));
    assert_eq!(world.ask(before, b"10\n", 10), pattern(10));
    // Afterwards, without.
    world.run_for(Duration::from_secs(6));
    client_is_served(&mut world);
    let stats = world.net.stats();
    assert_eq!(stats.cookies_taken, 1);
    assert!(stats.half_open_reaped >= 512, "{stats:?}");
}

#[test]
fn a_cookie_is_good_for_its_sender_and_its_time_only() {
    let mut config = config();
    config.max_half_open = 1;
    let mut raw = Raw::new(config);
    let cookie = |raw: &mut Raw, source, port| {
        raw.send(source, port, TcpControl::Syn, 500, None, &[]);
        raw.poll(Duration::from_micros(10));
        raw.received().last().expect("an answer").2.wrapping_add(1)
    };
    raw.send([10, 9, 9, 9], 1, TcpControl::Syn, 1, None, &[]);
    let good = cookie(&mut raw, [10, 1, 1, 1], 700);
    assert_eq!(raw.stats().cookies_sent, 1);
    for (source, port, seq, ack) in [
        ([10, 1, 1, 2], 700, 501, good),
        ([10, 1, 1, 1], 701, 501, good),
        ([10, 1, 1, 1], 700, 502, good),
        ([10, 1, 1, 1], 700, 501, good ^ 1),
        ([10, 1, 1, 1], 700, 501, good ^ (1 << 24)),
    ] {
        raw.send(source, port, TcpControl::None, seq, Some(ack), &[]);
        raw.poll(Duration::from_micros(10));
        assert_eq!(raw.stats().established, 0);
    }
    raw.poll(Duration::from_secs(100));
    raw.send([10, 1, 1, 1], 700, TcpControl::None, 501, Some(good), &[]);
    raw.poll(Duration::from_micros(10));
    assert_eq!(raw.stats().established, 0, "too old");
    raw.send([10, 9, 9, 8], 1, TcpControl::Syn, 1, None, &[]);
    let good = cookie(&mut raw, [10, 1, 1, 1], 700);
    raw.send([10, 1, 1, 1], 700, TcpControl::None, 501, Some(good), &[]);
    raw.poll(Duration::from_micros(10));
    assert_eq!(raw.stats().cookies_taken, 1);
}

#[test]
fn one_spoofed_syn_does_not_close_the_port() {
    let mut config = config();
    config.max_half_open = 1;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(blocks);
    world
        .client
        .device
        .inject(&segment([10, 3, 3, 3], 5, TcpControl::Syn, 1, None, &[]));
    client_is_served(&mut world);
}

#[test]
fn a_hundred_thousand_silent_connections_lock_nobody_out() {
    let mut config = config();
    config.max_connections = 2000;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(blocks);
    let talking = client_is_served(&mut world);
    let mut silent = 0u32;
    let mut done = 0u32;
    while done < 100_000 {
        for _ in 0..200 {
            let source = [
                10,
                100 + (silent >> 16) as u8,
                (silent >> 8) as u8,
                silent as u8,
            ];
            world
                .client
                .device
                .inject(&segment(source, 4000, TcpControl::Syn, 9, None, &[]));
            silent += 1;
        }
        for _ in 0..2 {
            world.now += Duration::from_micros(50);
            world.step_server(|_| {});
            while let Some(frame) = world.client.device.take() {
                if frame.len() > 47 && frame[47] == 0x12 {
                    let to: [u8; 4] = frame[30..34].try_into().unwrap();
                    let seq = u32::from_be_bytes(frame[38..42].try_into().unwrap());
                    let ack = Some(seq.wrapping_add(1));
                    world
                        .client
                        .device
                        .inject(&segment(to, 4000, TcpControl::None, 10, ack, &[]));
                    done += 1;
                }
            }
        }
    }
    world.run_for(Duration::from_millis(1));
    let stats = world.net.stats();
    assert_eq!(stats.connections, 2000);
    assert_eq!(
        (stats.awake, stats.accepted),
        (1, 1),
        "silence costs no socket and no task"
    );
    assert!(stats.evicted_silent > 97_000, "{stats:?}");
    assert_eq!(stats.evicted_idle, 0, "who has talked was spared");
    client_is_served(&mut world);
    assert_eq!(world.ask(talking, b"10\n", 10), pattern(10));
    // And in time they are all gone.
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.net.stats().connections, 2);
}

#[test]
fn idle_connections_give_way_and_busy_ones_do_not() {
    let mut config = config();
    config.max_connections = 3;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(blocks);
    let first = client_is_served(&mut world);
    world.run_for(Duration::from_millis(200));
    let second = client_is_served(&mut world);
    client_is_served(&mut world);
    // All three were used within the last second: no room.
    let late = world.client.connect(SERVER, 1000, 1000);
    world.run_for(Duration::from_millis(100));
    world.client.socket(late).send_slice(b"5\n").unwrap();
    world.run_for(Duration::from_millis(100));
    assert!(world.net.stats().no_room > 0);
    assert_eq!(world.net.stats().evicted_idle, 0);
    // Its data, sent again, finds the first one idle for long enough.
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(5), |world| {
        collect(world.client.socket(late), &mut got);
        got.len() == 5
    });
    assert_eq!(world.net.stats().evicted_idle, 1);
    assert_eq!(world.ask(second, b"10\n", 10), pattern(10));
    world.client.socket(first).send_slice(b"10\n").unwrap();
    world.run_for(Duration::from_millis(10));
    assert_eq!(
        world.client.socket(first).state(),
        State::Closed,
        "reset when it speaks"
    );
}

#[test]
fn buffers_stay_within_the_memory_they_were_given() {
    let mut config = config();
    config.memory = 300_000;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(blocks);
    let highest = Rc::new(RefCell::new(0));
    let mut handles = Vec::new();
    for _ in 0..60 {
        let handle = world.connect();
        world.client.socket(handle).send_slice(b"300000\n").unwrap();
        handles.push((handle, 0));
    }
    world.run_until(Duration::from_secs(200), |world| {
        let stats = world.net.stats();
        let mut highest = highest.borrow_mut();
        *highest = stats.memory.max(*highest);
        let mut all = true;
        for (handle, got) in &mut handles {
            let socket = world.client.socket(*handle);
            let mut new = Vec::new();
            collect(socket, &mut new);
            *got += new.len();
            all &= *got == 300_000 || socket.state() != State::Established;
        }
        all
    });
    assert!(*highest.borrow() <= 300_000);
    let whole = handles.iter().filter(|(_, got)| *got == 300_000).count();
    assert!(
        whole == 60,
        "{whole} of 60 were served: {:?}",
        world.net.stats()
    );
}

#[test]
fn closed_connections_leave_a_bounded_number_of_records() {
    let mut config = config();
    config.max_lingering = 50;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(|mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        let _ = close(&mut conn).await;
    });
    for _ in 0..100 {
        let handle = world.connect();
        world.client.socket(handle).send_slice(b"x").unwrap();
        world.run_until(Duration::from_secs(1), |world| {
            world.client.socket(handle).state() == State::CloseWait
        });
        world.client.socket(handle).close();
        world.run_until(Duration::from_secs(1), |world| {
            world.client.socket(handle).state() == State::Closed
        });
        world.client.sockets.remove(handle);
    }
    let stats = world.net.stats();
    assert_eq!(
        (stats.connections, stats.lingering, stats.time_wait_reaped),
        (0, 50, 50)
    );
}

#[test]
fn a_fin_that_is_sent_again_is_acknowledged_again() {
    let mut raw = Raw::new(config());
    let tasks = Tasks::default();
    let (net, spawner) = (raw.net.clone(), tasks.clone());

    tasks.spawn(async move {
        loop {
            let mut conn = www::Stack::accept(&net).await;
            spawner.spawn(async move {
                let _ = read(&mut conn, &mut [0; 10]).await;
                let _ = close(&mut conn).await;
            });
        }
    });
    let source = [10, 1, 1, 1];
    let (mine, theirs) = raw.open(source, 600).unwrap();
    raw.send(source, 600, TcpControl::Psh, mine, Some(theirs), b"x");
    raw.poll(Duration::from_micros(10));
    tasks.turn();
    raw.poll(Duration::from_micros(10));
    let fin = raw.received();
    assert!(fin.iter().any(|got| got.1 & 1 != 0), "{fin:?}");
    raw.send(
        source,
        600,
        TcpControl::None,
        mine + 1,
        Some(theirs + 1),
        &[],
    );
    raw.poll(Duration::from_micros(10));
    tasks.turn();
    raw.poll(Duration::from_micros(10));
    assert_eq!((raw.stats().connections, raw.stats().lingering), (0, 1));
    for _ in 0..3 {
        raw.send(
            source,
            600,
            TcpControl::Fin,
            mine + 1,
            Some(theirs + 1),
            &[],
        );
        raw.poll(Duration::from_millis(10));
        let answer = raw.received();
        assert_eq!(answer.len(), 1);
        let (_, flags, seq, ack, _) = &answer[0];
        assert_eq!((*flags, *seq, *ack), (0x10, theirs + 1, mine + 2));
    }
    raw.poll(Duration::from_secs(11));
    raw.send(
        source,
        600,
        TcpControl::Fin,
        mine + 1,
        Some(theirs + 1),
        &[],
    );
    raw.poll(Duration::from_millis(10));
    assert_eq!(raw.received()[0].1 & 4, 4, "forgotten by then");
}

#[test]
fn a_reset_must_hit_the_exact_sequence_number() {
    let mut raw = Raw::new(config());
    let source = [10, 1, 1, 1];
    let (mine, theirs) = raw.open(source, 600).unwrap();
    raw.send(source, 600, TcpControl::Rst, mine + 1, None, &[]);
    raw.poll(Duration::from_micros(10));
    assert_eq!(raw.stats().connections, 1);
    let answer = raw.received();
    assert_eq!(
        (answer[0].1, answer[0].2, answer[0].3),
        (0x10, theirs, mine),
        "a challenge"
    );
    raw.send(source, 600, TcpControl::Rst, mine, None, &[]);
    raw.poll(Duration::from_micros(10));
    assert_eq!(raw.stats().connections, 0);
}

#[test]
fn resets_to_strangers_are_limited() {
    let mut config = config();
    config.resets_per_second = 20;
    let mut raw = Raw::new(config);
    for n in 0..500 {
        raw.send([10, 7, 7, 7], 1000 + n, TcpControl::None, 1, Some(1), &[]);
    }
    raw.poll(Duration::from_micros(10));
    assert_eq!(raw.received().len(), 20);
    raw.poll(Duration::from_secs(1));
    raw.send([10, 7, 7, 7], 10, TcpControl::None, 1, Some(77), &[]);
    raw.poll(Duration::from_micros(10));
    let answer = raw.received();
    assert_eq!((answer[0].1, answer[0].2), (4, 77));
}

#[test]
fn initial_sequence_numbers_differ_by_peer_and_run_with_the_clock() {
    let mut config = config();
    config.half_open_timeout = Duration::from_secs(5);
    let mut raw = Raw::new(config);
    let mut iss = |port: u16, pass: Duration| {
        raw.poll(pass);
        let reset = Some(0);
        let _ = reset;
        raw.send([10, 5, 5, 5], port, TcpControl::Syn, 1, None, &[]);
        raw.poll(Duration::ZERO);
        let iss = raw.received()[0].2;
        raw.send([10, 5, 5, 5], port, TcpControl::Rst, 2, None, &[]);
        raw.poll(Duration::ZERO);
        iss
    };
    let first = iss(100, Duration::ZERO);
    let later = iss(100, Duration::from_millis(400));
    assert_eq!(
        later.wrapping_sub(first),
        100_000,
        "one for each four microseconds"
    );
    let mut others: Vec<u32> = (101..200).map(|port| iss(port, Duration::ZERO)).collect();
    others.sort_unstable();
    others.dedup();
    assert_eq!(others.len(), 99);
    let near = others
        .windows(2)
        .filter(|pair| pair[1] - pair[0] < 1000)
        .count();
    assert!(near < 5, "they look random");
}
