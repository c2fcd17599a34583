use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::host::{Hypervisor, Mapping, map};
use crate::shared::Fault;
use crate::{Access, DomId, Domain, Share};

/// A page shared by domain 1 with domain 0, each of its indices at `start`.
fn page(start: u32) -> (Share, Mapping) {
    let hypervisor = Hypervisor::new();
    let (guest, server): (Domain, Domain) =
        (hypervisor.domain(DomId(1)), hypervisor.domain(DomId(0)));
    let share = guest.share(guest.pages(1).unwrap(), DomId(0)).unwrap();
    for layout in [XENSTORE, CONSOLE] {
        for lane in [&layout.to_back, &layout.to_front] {
            share.store_u32(lane.cons, start).unwrap();
            share.store_u32(lane.prod, start).unwrap();
        }
    }
    let mapping = map(&server, DomId(1), share.grants()[0], Access::ReadWrite).unwrap();
    (share, mapping)
}

#[derive(Clone, Debug)]
enum Step {
    Write(bool, usize),
    Read(bool, usize),
    /// Forget the private indices and attach again.
    Attach,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (any::<bool>(), 0..3000usize).prop_map(|(front, len)| Step::Write(front, len)),
        8 => (any::<bool>(), 0..3000usize).prop_map(|(front, len)| Step::Read(front, len)),
        1 => Just(Step::Attach),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever is written in whatever chunks is read, in order, and never more than there is room for.
    #[test]
    fn carries_every_byte(
        start in prop_oneof![Just(0u32), any::<u32>(), (u32::MAX - 3000)..=u32::MAX],
        console in any::<bool>(),
        steps in steps(),
    ) {
        let layout = if console { CONSOLE } else { XENSTORE };
        let (share, mapping) = page(start);
        let mut front = Front::new(&*share, layout).unwrap();
        let mut back = Back::new(&*mapping, layout).unwrap();
        let (mut to_back, mut to_front) = (VecDeque::new(), VecDeque::new());
        let mut next = 0u8;
        for step in steps {
            match step {
                Step::Write(is_front, len) => {
                    let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(7); next }).collect();
                    let (written, model, lane) = if is_front {
                        (front.write(&bytes).unwrap(), &mut to_back, &layout.to_back)
                    } else {
                        (back.write(&bytes).unwrap(), &mut to_front, &layout.to_front)
                    };
                    prop_assert_eq!(written, len.min(lane.bytes.len() - model.len()));
                    model.extend(&bytes[..written]);
                }
                Step::Read(is_front, len) => {
                    let mut bytes = vec![0; len];
                    let (read, model) = if is_front {
                        (front.read(&mut bytes).unwrap(), &mut to_front)
                    } else {
                        (back.read(&mut bytes).unwrap(), &mut to_back)
                    };
                    prop_assert_eq!(read, len.min(model.len()));
                    let expected: Vec<u8> = model.drain(..read).collect();
                    prop_assert_eq!(&bytes[..read], &expected[..]);
                    prop_assert!(bytes[read..].iter().all(|byte| *byte == 0));
                }
                Step::Attach => {
                    front = Front::new(&*share, layout).unwrap();
                    back = Back::new(&*mapping, layout).unwrap();
                }
            }
            prop_assert_eq!(front.waiting().unwrap(), to_front.len());
            prop_assert_eq!(back.waiting().unwrap(), to_back.len());
            prop_assert_eq!(front.room().unwrap(), layout.to_back.bytes.len() - to_back.len());
            prop_assert_eq!(back.room().unwrap(), layout.to_front.bytes.len() - to_front.len());
        }
    }

    /// An index may lie in any way: the other end neither panics nor touches more than the ring holds.
    #[test]
    fn bears_any_index(lies in prop::collection::vec((any::<bool>(), any::<u32>()), 1..20)) {
        let (share, mapping) = page(0);
        let mut front = Front::new(&*share, XENSTORE).unwrap();
        let mut bytes = [0; 4096];
        for (produced, lie) in lies {
            let at = if produced { xenstore::RSP_PROD } else { xenstore::REQ_CONS };
            mapping.store_u32(at, lie).unwrap();
            if let Ok(read) = front.read(&mut bytes) {
                prop_assert!(read <= 1024);
            }
            if let Ok(written) = front.write(&bytes) {
                prop_assert!(written <= 1024);
            }
        }
    }
}

#[test]
fn a_lying_producer_is_found_out() {
    let (share, mapping) = page(u32::MAX - 1);
    let mut front = Front::new(&*share, XENSTORE).unwrap();
    mapping.store_u32(xenstore::RSP_PROD, 1023).unwrap();
    let lie = Broken::Indices {
        produced: 1023,
        consumed: u32::MAX - 1,
    };
    assert_eq!(front.read(&mut [0; 8]), Err(lie));
    assert_eq!(front.waiting(), Err(lie));
    mapping.store_u32(xenstore::RSP_PROD, 1022).unwrap();
    assert_eq!(front.waiting(), Ok(1024));
}

#[test]
fn a_lying_consumer_is_found_out() {
    let (share, mapping) = page(5);
    let mut front = Front::new(&*share, CONSOLE).unwrap();
    assert_eq!(front.write(b"abc"), Ok(3));
    // More consumed than was produced.
    mapping.store_u32(console::OUT_CONS, 9).unwrap();
    let lie = Broken::Indices {
        produced: 8,
        consumed: 9,
    };
    assert_eq!(front.write(b"d"), Err(lie));
}

#[test]
fn nobody_attaches_to_indices_that_lie() {
    let (share, mapping) = page(0);
    mapping.store_u32(xenstore::REQ_PROD, 1025).unwrap();
    assert!(Front::new(&*share, XENSTORE).is_err());
    assert!(Back::new(&*mapping, XENSTORE).is_err());
}

#[test]
fn overwriting_our_own_index_harms_nobody_else() {
    let (share, mapping) = page(0);
    let mut front = Front::new(&*share, XENSTORE).unwrap();
    assert_eq!(front.write(b"abc"), Ok(3));
    mapping.store_u32(xenstore::REQ_PROD, 77).unwrap();
    assert_eq!(front.write(b"def"), Ok(3));
    assert_eq!(share.load_u32(xenstore::REQ_PROD), Ok(6));
}

#[test]
fn memory_that_is_read_only_is_refused() {
    let (share, _) = page(0);
    let hypervisor = Hypervisor::new();
    let guest = hypervisor.domain(DomId(1));
    let published = guest.publish(guest.pages(1).unwrap(), DomId(0)).unwrap();
    let server = hypervisor.domain(DomId(0));
    let readable = map(&server, DomId(1), published.grants()[0], Access::ReadOnly).unwrap();
    let mut back = Back::new(&*readable, CONSOLE).unwrap();
    assert_eq!(back.write(b"x"), Err(Broken::Memory(Fault::ReadOnly)));
    drop(share);
}

/// The layout of `struct xenstore_domain_interface` and `struct xencons_interface`, by bytes.
#[test]
fn bytes_lie_where_xen_puts_them() {
    let (share, _mapping) = page(0);
    let mut front = Front::new(&*share, XENSTORE).unwrap();
    front.write(b"request").unwrap();
    let mut page = [0; 4096];
    share.read(0, &mut page).unwrap();
    assert_eq!(&page[..8], b"request\0");
    assert_eq!(
        &page[2048..2064],
        &[0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );

    let (share, mapping) = self::page(0);
    let mut front = Front::new(&*share, CONSOLE).unwrap();
    let mut back = Back::new(&*mapping, CONSOLE).unwrap();
    front.write(b"out").unwrap();
    back.write(b"typed").unwrap();
    share.read(0, &mut page).unwrap();
    assert_eq!(&page[..6], b"typed\0");
    assert_eq!(&page[1024..1028], b"out\0");
    assert_eq!(
        &page[3072..3088],
        &[0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]
    );
}
