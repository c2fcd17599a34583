//! Memory that a peer writes as it likes: rings, and the console on one of them.

use minios::host::{Hypervisor, Mapping, map};
use minios::{Access, DomId, Share};

use crate::input::Input;

/// A page of domain 1, mapped by domain 0.
fn page() -> (Share, Mapping) {
    let hypervisor = Hypervisor::new();
    let (guest, host) = (hypervisor.domain(DomId(1)), hypervisor.domain(DomId::ZERO));
    let pages = guest.pages(1).expect("memory");
    let share = guest.share(pages, DomId::ZERO).expect("a grant");
    let mapping = map(&host, DomId(1), share.grants()[0], Access::ReadWrite).expect("a page");
    (share, mapping)
}

/// Writes anything anywhere, but mostly to where indices are.
fn scribble(page: &Mapping, indices: &[usize], input: &mut Input<'_>) {
    let choice = usize::from(input.u8());
    match indices.get(choice % (indices.len() + 1)) {
        Some(&at) => {
            let now = page.load_u32(at).expect("within the page");
            let new = match choice & 0x80 {
                0 => now.wrapping_add(u32::from(input.u8())),
                _ => input.u32(),
            };
            page.store_u32(at, new).expect("within the page");
        }
        None => {
            let at = usize::from(input.u16()) % 4080;
            page.write(at, &input.array::<16>())
                .expect("within the page");
        }
    }
}

pub(super) mod byte_ring {
    use minios::abi::xenstore::{REQ_CONS, REQ_PROD, RSP_CONS, RSP_PROD};
    use minios::ring::byte::{Front, XENSTORE};

    use super::{Input, page, scribble};

    /// No more is moved than the ring holds, and an end that found a lie moves nothing.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let (share, mapping) = page();
        let mut front = None;
        let mut buffer = [0; 2000];
        while !input.is_empty() {
            match input.u8() % 5 {
                0 | 1 => scribble(
                    &mapping,
                    &[REQ_CONS, RSP_PROD, REQ_PROD, RSP_CONS],
                    &mut input,
                ),
                2 => front = Front::new(&*share, XENSTORE).ok(),
                choice => {
                    let Some(front) = &mut front else { continue };
                    let len = usize::from(input.u16()) % buffer.len();
                    let (lies, moved) = match choice {
                        3 => (front.room().is_err(), front.write(&buffer[..len])),
                        _ => (front.waiting().is_err(), front.read(&mut buffer[..len])),
                    };
                    assert_eq!(lies, moved.is_err());
                    assert!(moved.is_err() || moved.is_ok_and(|moved| moved <= len.min(1024)));
                }
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            vec![2, 3, 10, 0, 0, 0, 5, 0, 1, 7, 4, 100, 0],
            vec![
                0, 0x82, 0xff, 0xff, 0xff, 0xff, 0, 0x83, 0xff, 0xff, 0xff, 0xff, 2, 3, 0, 4, 4, 9,
                0,
            ],
        ]
    }
}

pub(super) mod request_ring {
    use minios::abi::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
    use minios::ring::request::Front;
    use netfront::wire::TxRing;

    use super::{Input, page, scribble};

    /// No response comes to a request that was not shown.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let (share, mapping) = page();
        let start = input.u32();
        let Ok(mut front) = Front::<TxRing, _>::starting_at(&*share, start) else {
            return;
        };
        let (mut shown, mut pushed, mut popped) = (0u64, 0u64, 0u64);
        while !input.is_empty() {
            let broken = match input.u8() % 7 {
                0 => {
                    scribble(
                        &mapping,
                        &[RSP_PROD, REQ_EVENT, REQ_PROD, RSP_EVENT],
                        &mut input,
                    );
                    false
                }
                1 | 2 => front
                    .push(&input.array())
                    .map(|slot| pushed += u64::from(slot.is_some()))
                    .is_err(),
                3 => front.publish().map(|_| shown = pushed).is_err(),
                4 => front.rearm().is_err(),
                _ => front
                    .pop()
                    .map(|response| popped += u64::from(response.is_some()))
                    .is_err(),
            };
            assert!(popped <= shown && pushed - popped <= 256);
            assert_eq!(u64::from(front.outstanding()), pushed - popped);
            if broken {
                return;
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        let pushed = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let all = [
            &[0xf0, 0xff, 0xff, 0xff][..],
            &pushed,
            &pushed,
            &[3, 0, 0, 1, 5, 0, 0, 1, 5, 4, 5],
        ];
        vec![all.concat()]
    }
}

pub(super) mod console {
    use std::rc::Rc;

    use minios::DomId;
    use minios::abi::console::{IN_CONS, IN_PROD, OUT_CONS, OUT_PROD};
    use minios::console::Console;
    use minios::exec::Executor;
    use minios::host::Hypervisor;

    use super::{Input, scribble};

    /// Printing never waits, whatever the terminal does; what waits for room is bounded.
    pub(in super::super) fn run(bytes: &[u8]) {
        let mut input = Input::new(bytes);
        let hypervisor = Hypervisor::new();
        let guest = (hypervisor.domain(DomId(1)), Executor::new());
        let dom0 = hypervisor.domain(DomId::ZERO);
        let (page, port) = hypervisor.console_ring(&dom0, DomId(1)).expect("a console");
        if input.u8().is_multiple_of(4) {
            scribble(&page, &[OUT_CONS, OUT_PROD, IN_PROD, IN_CONS], &mut input);
        }
        let Some(console) = Console::new(&guest.0) else {
            return;
        };
        let console = Rc::new(console);
        for task in 0..2 {
            let console = Rc::clone(&console);
            let running = async move {
                match task {
                    0 => console.run().await,
                    _ => while console.read(&mut [0; 7]).await > 0 {},
                }
            };
            guest.1.spawner().spawn(running).expect("a task");
        }
        while !input.is_empty() {
            match input.u8() % 4 {
                0 => scribble(&page, &[OUT_CONS, IN_PROD, OUT_PROD, IN_CONS], &mut input),
                1 => {
                    let len = usize::from(input.u16());
                    console.write(input.take(len));
                }
                2 => console.write("a line\n".repeat(usize::from(input.u8())).as_bytes()),
                _ => {
                    port.notify();
                    hypervisor.settle(&[(&guest.0, &guest.1)]);
                }
            }
        }
        let mut waiting = 0;
        console.take_backlog(|bytes| waiting += bytes.len());
        assert!(waiting <= 80 * 1024, "{waiting} bytes");
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        vec![
            vec![
                1, 1, 5, 0, b'h', b'e', b'l', b'l', b'\n', 3, 2, 200, 2, 200, 3, 0, 0, 100, 3,
            ],
            vec![
                0, 0x81, 0xfe, 0xff, 0xff, 0xff, 2, 9, 3, 0, 1, 20, 3, 2, 255, 2, 255,
            ],
        ]
    }
}
