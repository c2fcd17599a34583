//! What `Conn` promises, on `www::net`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration as StdDuration;

use smoltcp::socket::tcp::State;
use tests::net::*;
use www::net::wire::{Abilities, Wire};
use www::net::{Duration, NetConn};
use www::{Conn, ConnError};

fn world() -> World {
    World::new(config(), Abilities::default(), Abilities::default())
}

/// Serves with `f`, keeping what it returns.
fn outcome<T: 'static, F: Future<Output = T> + 'static>(
    world: &World,
    f: impl Fn(NetConn<Wire>) -> F + 'static,
) -> Rc<RefCell<Vec<T>>> {
    let results = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&results);
    world.serve(move |conn| {
        let (keep, served) = (Rc::clone(&keep), f(conn));
        async move {
            let result = served.await;
            keep.borrow_mut().push(result);
        }
    });
    results
}

#[test]
fn a_gathered_write_is_one_segment() {
    let mut world = world();
    world.serve(|mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        let n = poll_fn(|cx| conn.poll_write(cx, &[b"head", b"", b"er ", b"body"])).await;
        assert_eq!(n, Ok(11));
        let n = poll_fn(|cx| conn.poll_write(cx, &[b" more"])).await;
        assert_eq!(n, Ok(5));
        let _ = read(&mut conn, &mut buf).await;
    });
    let handle = world.connect();
    let before = world.net.with_device(|device| device.sent().frames);
    assert_eq!(world.ask(handle, b"x", 16), b"header body more");
    let after = world.net.with_device(|device| device.sent().frames);
    assert_eq!(after - before, 1, "the acknowledgement rides on the answer");
}

#[test]
fn the_buffer_fits_what_is_said_to_follow() {
    for (more, at_once) in [(0, 1), (96 << 10, 7), (usize::MAX, 8)] {
        let mut world = world();
        let taken = outcome(&world, move |mut conn| async move {
            let mut buf = [0; 10];
            let _ = read(&mut conn, &mut buf).await;
            let block = pattern(16 << 10);
            let mut blocks = 0;
            poll_fn(|cx| {
                while let Poll::Ready(Ok(n)) = conn.poll_write_of(cx, &[&block], more) {
                    if n < block.len() {
                        break;
                    }
                    blocks += 1;
                }
                Poll::Ready(())
            })
            .await;
            blocks
        });
        let handle = world.connect();
        world.client.socket(handle).send_slice(b"x").unwrap();
        world.run_for(Duration::from_secs(1));
        assert!(
            taken.borrow()[0] >= at_once,
            "{more}: {} blocks",
            taken.borrow()[0]
        );
        assert_eq!(more > 0, taken.borrow()[0] > 1, "{more}");
    }
}

#[test]
fn half_a_close_by_the_peer_leaves_the_other_half() {
    let mut world = world();
    world.serve(|mut conn| async move {
        let mut buf = [0; 100];
        let mut got = Vec::new();
        while let Ok(n @ 1..) = read(&mut conn, &mut buf).await {
            got.extend_from_slice(&buf[..n]);
        }
        write_all(&mut conn, &pattern(300_000)).await.unwrap();
        write_all(&mut conn, &got).await.unwrap();
        close(&mut conn).await.unwrap();
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"question").unwrap();
    world.client.socket(handle).close();
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(10), |world| {
        collect(world.client.socket(handle), &mut got);
        matches!(world.client.socket(handle).state(), State::TimeWait)
    });
    assert_eq!(got[..300_000], pattern(300_000));
    assert_eq!(&got[300_000..], b"question");
}

#[test]
fn closing_with_unread_input_resets_nothing() {
    let mut world = world();
    let results = outcome(&world, |mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        write_all(&mut conn, b"too large").await?;
        close(&mut conn).await
    });
    let handle = world.connect();
    let mut sent = 0;
    let upload = pattern(100_000);
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(30), |world| {
        let socket = world.client.socket(handle);
        sent += socket.send_slice(&upload[sent..]).unwrap_or(0);
        collect(socket, &mut got);
        if sent == upload.len() && socket.send_queue() == 0 {
            socket.close();
        }
        socket.state() == State::Closed
    });
    assert_eq!(sent, upload.len());
    assert_eq!(got, b"too large");
    assert_eq!(world.net.stats().resets_sent, 0);
    assert_eq!(*results.borrow(), [Ok(())]);
}

#[test]
fn dropping_resets() {
    let mut world = world();
    world.serve(|mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_until(Duration::from_secs(1), |world| {
        world.client.socket(handle).state() == State::Closed
    });
    assert_eq!(world.net.stats().connections, 0);
}

#[test]
fn dropping_a_sleeping_connection_resets_too() {
    let mut world = world();
    let held = Rc::new(RefCell::new(Vec::new()));
    let hold = Rc::clone(&held);
    world.serve(move |mut conn| {
        let hold = Rc::clone(&hold);
        async move {
            let mut buf = [0; 10];
            let _ = read(&mut conn, &mut buf).await;
            hold.borrow_mut().push(conn);
        }
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.net.stats().awake, 0);
    held.borrow_mut().clear();
    world.run_until(Duration::from_secs(1), |world| {
        world.client.socket(handle).state() == State::Closed
    });
    assert_eq!(world.net.stats().connections, 0);
}

#[test]
fn a_reset_by_the_peer_is_told() {
    let mut world = world();
    let results = outcome(&world, |mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        read(&mut conn, &mut buf).await
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_millis(50));
    world.client.socket(handle).abort();
    world.run_for(Duration::from_millis(50));
    assert_eq!(*results.borrow(), [Err(ConnError::Reset)]);
    let stats = world.net.stats();
    assert_eq!((stats.connections, stats.resets_received), (0, 1));
}

#[test]
fn deadlines_fail_reads_writes_and_closes() {
    let mut world = world();
    let results = outcome(&world, |mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        conn.set_deadline(Some(StdDuration::from_secs(3)));
        let first = read(&mut conn, &mut buf).await;
        conn.set_deadline(Some(StdDuration::from_secs(3)));
        let second = write_all(&mut conn, &[0; 1 << 20]).await;
        conn.set_deadline(Some(StdDuration::from_secs(3)));
        let third = close(&mut conn).await;
        (first, second, third)
    });
    let handle = world.client.connect(SERVER, 1000, 1000);
    world.run_for(Duration::from_millis(10));
    world.client.socket(handle).send_slice(b"x").unwrap();
    let start = world.now;
    world.run_until(Duration::from_secs(60), |_| !results.borrow().is_empty());
    let late = Err(ConnError::TimedOut);
    assert_eq!(*results.borrow(), [(Err(ConnError::TimedOut), late, late)]);
    let took = world.now - start;
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_millis(9100),
        "{took}"
    );
    world.run_for(Duration::from_millis(10));
    assert_eq!(
        world.net.stats().connections,
        0,
        "a close that times out resets"
    );
}

#[test]
fn a_deadline_can_be_taken_back() {
    let mut world = world();
    let results = outcome(&world, |mut conn| async move {
        let mut buf = [0; 10];
        conn.set_deadline(Some(StdDuration::from_secs(3)));
        let _ = read(&mut conn, &mut buf).await;
        conn.set_deadline(None);
        read(&mut conn, &mut buf).await
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_secs(20));
    world.client.socket(handle).send_slice(b"y").unwrap();
    world.run_for(Duration::from_secs(1));
    assert_eq!(*results.borrow(), [Ok(1)]);
}

#[test]
fn closing_waits_for_the_acknowledgement() {
    let mut world = world();
    let closed = Rc::new(Cell::new(false));
    let note = Rc::clone(&closed);
    world.serve(move |mut conn| {
        let note = Rc::clone(&note);
        async move {
            let mut buf = [0; 10];
            let _ = read(&mut conn, &mut buf).await;
            write_all(&mut conn, &pattern(5000)).await.unwrap();
            close(&mut conn).await.unwrap();
            note.set(true);
        }
    });
    let handle = world.client.connect(SERVER, 1000, 1000);
    world.run_for(Duration::from_millis(10));
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_secs(5));
    assert!(!closed.get(), "the peer has not read all");
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(20), |world| {
        collect(world.client.socket(handle), &mut got);
        closed.get()
    });
    assert_eq!(got, pattern(5000));
}

#[test]
fn a_connection_dropped_while_it_closes_still_delivers() {
    let mut world = world();
    world.serve(|mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        write_all(&mut conn, &pattern(5000)).await.unwrap();
        poll_fn(|cx| {
            assert!(conn.poll_close(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    });
    let handle = world.client.connect(SERVER, 1000, 1000);
    world.run_for(Duration::from_millis(10));
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_secs(5));
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(20), |world| {
        collect(world.client.socket(handle), &mut got);
        world.client.socket(handle).state() == State::CloseWait
    });
    assert_eq!(got, pattern(5000));
    world.client.socket(handle).close();
    world.run_for(Duration::from_secs(30));
    let stats = world.net.stats();
    assert_eq!((stats.connections, stats.memory), (0, 0), "{stats:?}");
}

#[test]
fn an_orphan_that_nobody_reads_is_given_up() {
    let mut world = world();
    world.serve(|mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        write_all(&mut conn, &pattern(5000)).await.unwrap();
        poll_fn(|cx| {
            assert!(conn.poll_close(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    });
    let handle = world.client.connect(SERVER, 1000, 1000);
    world.run_for(Duration::from_millis(10));
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_secs(40));
    let stats = world.net.stats();
    assert_eq!((stats.connections, stats.memory), (0, 0), "{stats:?}");
    assert_eq!(world.client.socket(handle).state(), State::Closed);
}

#[test]
fn idle_connections_sleep_and_wake() {
    let mut world = world();
    world.serve(blocks);
    let handle = world.connect();
    for round in 0..5 {
        assert!(world.ask(handle, b"70000\n", 70_000) == pattern(70_000));
        world.run_for(Duration::from_secs(3));
        let stats = world.net.stats();
        assert_eq!((stats.awake, stats.memory), (0, 0), "{stats:?}");
        assert_eq!(stats.slept, round + 1);
    }
    // One that is asleep can be written to, and closed.
    world.client.socket(handle).close();
    world.run_until(Duration::from_secs(5), |world| {
        world.client.socket(handle).state() == State::TimeWait
    });
}

#[test]
fn a_sleeping_connection_can_be_written_to() {
    let mut world = world();
    let held: Rc<RefCell<Vec<NetConn<Wire>>>> = Rc::default();
    let hold = Rc::clone(&held);
    world.serve(move |mut conn| {
        let hold = Rc::clone(&hold);
        async move {
            let mut buf = [0; 10];
            let _ = read(&mut conn, &mut buf).await;
            hold.borrow_mut().push(conn);
        }
    });
    let handle = world.connect();
    world.client.socket(handle).send_slice(b"x").unwrap();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.net.stats().awake, 0);
    let mut conn = held.borrow_mut().pop().unwrap();
    world.tasks.spawn(async move {
        write_all(&mut conn, &pattern(200_000)).await.unwrap();
        close(&mut conn).await.unwrap();
    });
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(5), |world| {
        collect(world.client.socket(handle), &mut got);
        got.len() == 200_000
    });
    assert!(got == pattern(200_000));
}

#[test]
fn a_request_larger_than_the_window_arrives() {
    let mut world = world();
    let results = outcome(&world, |mut conn| async move {
        let mut got = Vec::new();
        let mut buf = [0; 500];
        while got.len() < 60_000 {
            let n = read(&mut conn, &mut buf).await.unwrap();
            got.extend_from_slice(&buf[..n]);
            yield_now().await;
        }
        got
    });
    let handle = world.connect();
    world
        .client
        .socket(handle)
        .send_slice(&pattern(60_000))
        .unwrap();
    world.run_until(Duration::from_secs(20), |_| !results.borrow().is_empty());
    assert!(results.borrow()[0] == pattern(60_000));
}

#[test]
fn pipelined_requests_are_all_answered() {
    let mut world = world();
    world.serve(blocks);
    let handle = world.connect();
    let request = b"3000\n".repeat(40);
    let got = world.ask(handle, &request, 120_000);
    assert!(got == pattern(3000).repeat(40));
}

#[test]
fn accepting_can_be_at_once() {
    let mut config = config();
    config.defer_accept = false;
    let mut world = World::new(config, Abilities::default(), Abilities::default());
    world.serve(|mut conn| async move {
        write_all(&mut conn, b"welcome").await.unwrap();
        let _ = read(&mut conn, &mut [0; 10]).await;
    });
    let handle = world.connect();
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(1), |world| {
        collect(world.client.socket(handle), &mut got);
        got == b"welcome"
    });
}

#[test]
fn a_port_used_again_after_our_close_is_a_new_connection() {
    let mut world = world();
    world.serve(|mut conn| async move {
        let mut buf = [0; 10];
        let _ = read(&mut conn, &mut buf).await;
        write_all(&mut conn, b"bye").await.unwrap();
        close(&mut conn).await.unwrap();
    });
    for _ in 0..5 {
        let handle = world.connect();
        assert_eq!(world.ask(handle, b"x", 3), b"bye");
        world.client.socket(handle).close();
        world.run_until(Duration::from_secs(5), |world| {
            matches!(
                world.client.socket(handle).state(),
                State::Closed | State::TimeWait
            )
        });
        world.run_for(Duration::from_millis(5));
        assert_eq!(world.net.stats().lingering, 1);
        // The same port again, at once.
        world.client.sockets.remove(handle);
        world.client.reuse_port();
    }
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.net.stats().connections, 0);
}

#[test]
fn a_send_buffer_grows_with_requests_unread() {
    let mut world = world();
    world.serve(blocks);
    let handle = world.connect();
    // More than the service reads at once, and answers larger than the first buffer.
    let request = b"50000\n".repeat(100);
    let got = world.ask(handle, &request, 5_000_000);
    assert!(got == pattern(50_000).repeat(100));
    assert!(world.net.stats().grown > 0);
}

#[test]
fn a_send_buffer_grows_after_the_peer_has_closed_its_half() {
    let mut world = world();
    world.serve(blocks);
    let handle = world.connect();
    world
        .client
        .socket(handle)
        .send_slice(b"10\n400000\n")
        .unwrap();
    world.client.socket(handle).close();
    let mut got = Vec::new();
    world.run_until(Duration::from_secs(10), |world| {
        collect(world.client.socket(handle), &mut got);
        world.client.socket(handle).state() == State::TimeWait
    });
    assert!(got[10..] == pattern(400_000));
    world.run_for(Duration::from_millis(10));
    let stats = world.net.stats();
    assert_eq!(
        (stats.grown, stats.connections, stats.memory),
        (1, 0, 0),
        "{stats:?}"
    );
}
