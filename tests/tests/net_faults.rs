//! `www::net` over a bad cable, with difficult peers, at the edges of number spaces.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;

use smoltcp::socket::tcp::State;
use tests::net::*;
use www::net::wire::{Abilities, Faults};
use www::net::{Duration, Instant, NetConn};

const LOSSY: Faults = Faults {
    loss: 3277,
    duplicate: 655,
    reorder: 1966,
    corrupt: 0,
};

#[test]
fn a_download_survives_loss_duplication_and_reordering() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    world.net.with_device(|device| device.set_faults(LOSSY));
    world.client.device.set_faults(LOSSY);
    let handle = world.connect();
    let len = 400_000;
    world.client.socket(handle).send_slice(b"400000\n").unwrap();
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(3600), |world| {
        collect(world.client.socket(handle), &mut got);
        got.len() >= len
    });
    assert_eq!(got, pattern(len));
}

#[test]
fn an_upload_survives_loss_duplication_and_reordering() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    let received = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&received);
    world.serve(move |mut conn| {
        let sink = Rc::clone(&sink);
        async move {
            let mut buf = [0; 3000];
            while let Ok(n @ 1..) = read(&mut conn, &mut buf).await {
                sink.borrow_mut().extend_from_slice(&buf[..n]);
            }
        }
    });
    world.net.with_device(|device| device.set_faults(LOSSY));
    world.client.device.set_faults(LOSSY);
    let handle = world.connect();
    let data = pattern(200_000);
    let mut sent = 0;
    world.run_until(Duration::from_secs(3600), |world| {
        if let Ok(n) = world.client.socket(handle).send_slice(&data[sent..]) {
            sent += n;
        }
        received.borrow().len() >= data.len()
    });
    assert_eq!(*received.borrow(), data);
}

#[test]
fn corrupted_frames_are_dropped_and_the_data_is_right() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    let faults = Faults {
        corrupt: 3277,
        ..Faults::default()
    };
    world.net.with_device(|device| device.set_faults(faults));
    world.client.device.set_faults(faults);
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"300000\n").unwrap();
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(3600), |world| {
        collect(world.client.socket(handle), &mut got);
        got.len() >= 300_000
    });
    assert_eq!(got, pattern(300_000));
    let stats = world.net.stats();
    assert!(stats.refused.iter().sum::<u64>() > 0, "{stats:?}");
}

#[test]
fn a_peer_with_a_tiny_window_gets_everything() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    world.serve(blocks);
    let handle = world.client.connect(SERVER, 700, 1000);
    world.run_until(Duration::from_secs(5), |world| {
        world.client.socket(handle).state() == State::Established
    });
    world.client.socket(handle).send_slice(b"50000\n").unwrap();
    // It does not read for a minute: its window is shut, and is probed.
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.client.socket(handle).recv_queue(), 700);
    assert_eq!(world.net.stats().connections, 1);
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(600), |world| {
        collect(world.client.socket(handle), &mut got);
        got.len() >= 50_000
    });
    assert_eq!(got, pattern(50_000));
}

#[test]
fn sequence_numbers_wrap() {
    // Our sequence numbers run with the clock, so a second world can begin shortly before zero.
    let start = Instant::from_secs(1000);
    let world = |now, seed| {
        World::at(
            now,
            seed,
            config(),
            Abilities::default(),
            Abilities::default(),
        )
    };
    let mut first = world(start, 99);
    let first = initial_sequence_number(&mut first);
    let shift = u64::from(first.wrapping_neg().wrapping_sub(30_000)) * 4;
    let seed = seed_before_zero();
    let mut world = world(start + Duration::from_micros(shift), seed);
    let ours = initial_sequence_number(&mut world);
    assert!(ours > u32::MAX - 40_000, "{ours:#x}");
    world.serve(|mut conn| async move {
        let mut buf = vec![0; 60_000];
        let mut got = 0;
        while got < buf.len() {
            got += read(&mut conn, &mut buf[got..]).await.unwrap();
        }
        assert!(buf == pattern(60_000));
        write_all(&mut conn, &pattern(10_000)).await.unwrap();
        yield_now().await;
        write_all(&mut conn, &pattern(200_000)).await.unwrap();
        close(&mut conn).await.unwrap();
    });
    let handle = world.connect();
    let got = world.ask(handle, &pattern(60_000), 210_000);
    assert!(got[..10_000] == pattern(10_000));
    assert!(got[10_000..] == pattern(200_000));
    world.client.socket(handle).close();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.net.stats().connections, 0);
}

/// The sequence number of the first SYN|ACK to a client, from a frame that goes nowhere.
fn initial_sequence_number(world: &mut World) -> u32 {
    let handle = world.client.connect(SERVER, 1000, 1000);
    let mut seen = None;
    for _ in 0..4 {
        world.now += Duration::from_micros(50);
        world.client.iface.poll(
            world.now,
            &mut world.client.device,
            &mut world.client.sockets,
        );
        world.step_server(|frame| {
            if frame.len() > 54 && frame[47] == 0x12 {
                seen = Some(u32::from_be_bytes([
                    frame[38], frame[39], frame[40], frame[41],
                ]));
            }
        });
    }
    world.client.socket(handle).abort();
    world.run_for(Duration::from_millis(10));
    world.client.sockets.remove(handle);
    world.client.reuse_port();
    seen.expect("a SYN|ACK")
}

/// A seed with which smoltcp's second client socket begins shortly before zero.
fn seed_before_zero() -> u64 {
    let draw = |state: &mut u64| {
        *state = state
            .wrapping_mul(0xbb2e_fcec_3c39_611d)
            .wrapping_add(0x7590_ef39);
        (*state >> (29 - (*state >> 61))) as u32
    };
    (1..)
        .find(|&seed| {
            let mut state = seed;
            draw(&mut state);
            draw(&mut state);
            draw(&mut state) > u32::MAX - 20_000
        })
        .expect("some seed")
}

#[test]
fn a_device_that_cuts_segments_is_given_large_ones() {
    let able = Abilities {
        checksums: true,
        segmentation: NonZeroUsize::new(65549),
        ..Abilities::default()
    };
    let client = Abilities {
        checksums: true,
        ..Abilities::default()
    };
    let mut world = World::new(config(), able, client);
    world.serve(blocks);
    let handle = world.connect();
    let len = 4_000_000;
    assert!(world.ask(handle, b"4000000\n", len) == pattern(len));
    let sent = world.net.with_device(|device| device.sent());
    assert!(sent.longest > 30_000, "{sent:?}");
    assert!(sent.frames < 600, "{sent:?}");
}

#[test]
fn large_segments_survive_loss() {
    let able = Abilities {
        checksums: true,
        segmentation: NonZeroUsize::new(65549),
        ..Abilities::default()
    };
    let client = Abilities {
        checksums: true,
        ..Abilities::default()
    };
    let mut world = World::new(config(), able, client);
    world.serve(blocks);
    world.net.with_device(|device| device.set_faults(LOSSY));
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"400000\n").unwrap();
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(3600), |world| {
        collect(world.client.socket(handle), &mut got);
        got.len() >= 400_000
    });
    assert!(got == pattern(400_000));
}

#[test]
fn a_device_that_is_full_is_waited_for() {
    let narrow = Abilities {
        depth: 2,
        ..Abilities::default()
    };
    let mut world = World::new(config(), narrow, Abilities::default());
    world.serve(blocks);
    let handle = world.connect();
    assert!(world.ask(handle, b"200000\n", 200_000) == pattern(200_000));
}

#[test]
fn a_peer_that_vanishes_is_given_up() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    let ended = Rc::new(Cell::new(None));
    let note = Rc::clone(&ended);
    world.serve(move |mut conn: NetConn<_>| {
        let note = Rc::clone(&note);
        async move {
            let mut buf = [0; 10];
            let _ = read(&mut conn, &mut buf).await;
            note.set(Some(write_all(&mut conn, &pattern(1 << 20)).await));
        }
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_micros(200));
    world.client.device.set_faults(Faults {
        loss: u16::MAX,
        ..Faults::default()
    });
    world.run_for(Duration::from_secs(100));
    assert_eq!(ended.get(), Some(Err(www::ConnError::Reset)));
    let stats = world.net.stats();
    assert_eq!(
        (stats.connections, stats.memory, stats.vanished),
        (0, 0, 1),
        "{stats:?}"
    );
}

#[test]
fn an_idle_peer_that_vanishes_is_probed_and_given_up() {
    let mut world = World::new(config(), Abilities::default(), Abilities::default());
    let ended = Rc::new(Cell::new(None));
    let note = Rc::clone(&ended);
    world.serve(move |mut conn: NetConn<_>| {
        let note = Rc::clone(&note);
        async move {
            let mut buf = [0; 10];
            let _ = read(&mut conn, &mut buf).await;
            note.set(Some(read(&mut conn, &mut buf).await));
        }
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    // An idle peer that is there answers probes.
    world.run_for(Duration::from_secs(600));
    assert_eq!(ended.get(), None);
    world.client.device.set_faults(Faults {
        loss: u16::MAX,
        ..Faults::default()
    });
    world.run_for(Duration::from_secs(200));
    assert_eq!(ended.get(), Some(Err(www::ConnError::Reset)));
}
