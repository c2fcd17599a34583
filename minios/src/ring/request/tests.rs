use std::collections::VecDeque;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::host::{Hypervisor, Mapping, map_all};
use crate::shared::Fault;
use crate::{Access, DomId, Share};

/// Shaped like netif's transmit ring: slots of 12 bytes, responses of 4.
struct Tx;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ask(u32, u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Answer(u32);

impl Protocol for Tx {
    const SLOT: usize = 12;
    type Request = Ask;
    type Response = Answer;
}

impl Record for Ask {
    type Bytes = [u8; 12];
    fn encode(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.0.to_le_bytes());
        bytes[4..].copy_from_slice(&self.1.to_le_bytes());
        bytes
    }
    fn decode(bytes: &[u8; 12]) -> Self {
        Ask(
            u32::from_le_bytes(bytes[..4].try_into().unwrap()),
            u64::from_le_bytes(bytes[4..].try_into().unwrap()),
        )
    }
}

impl Record for Answer {
    type Bytes = [u8; 4];
    fn encode(&self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
    fn decode(bytes: &[u8; 4]) -> Self {
        Answer(u32::from_le_bytes(*bytes))
    }
}

/// Shaped like blkif's ring, of which four pages hold 128 slots.
struct Block;

impl Protocol for Block {
    const SLOT: usize = 112;
    type Request = [u8; 112];
    type Response = [u8; 16];
}

fn pair<P: Protocol>(pages: usize, start: u32) -> (Front<P, Share>, Back<P, Mapping>) {
    let hypervisor = Hypervisor::new();
    let (guest, server) = (hypervisor.domain(DomId(1)), hypervisor.domain(DomId(0)));
    let share = guest.share(guest.pages(pages).unwrap(), DomId(0)).unwrap();
    let mapping = map_all(&server, DomId(1), share.grants(), Access::ReadWrite).unwrap();
    let front = Front::starting_at(share, start).unwrap();
    let back = Back::new(mapping).unwrap();
    (front, back)
}

#[test]
fn sizes_are_those_of_xen() {
    assert_eq!(pair::<Tx>(1, 0).0.size(), 256);
    assert_eq!(pair::<Block>(1, 0).0.size(), 32);
    assert_eq!(pair::<Block>(4, 0).1.size(), 128);
    assert_eq!(pair::<Block>(16, 0).1.size(), 512);
}

#[test]
fn a_page_looks_as_xen_wants_it() {
    let (mut front, mut back) = pair::<Tx>(1, 0);
    let mut page = [0; 4096];
    front.memory().read(0, &mut page).unwrap();
    let mut header = [0; 64];
    header[4] = 1;
    header[12] = 1;
    assert_eq!(page[..64], header);

    front
        .push(&Ask(0x0403_0201, 0x0c0b_0a09_0807_0605))
        .unwrap();
    front.memory().read(0, &mut page).unwrap();
    assert_eq!(page[..64], header, "not shown before it is published");
    front.publish().unwrap();
    back.pop().unwrap();
    front.memory().read(0, &mut page).unwrap();
    header[0] = 1;
    assert_eq!(page[..64], header);
    assert_eq!(
        page[64..80],
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 0]
    );

    back.push(&Answer(0xa4a3_a2a1)).unwrap();
    back.publish().unwrap();
    front.memory().read(0, &mut page).unwrap();
    header[8] = 1;
    assert_eq!(page[..64], header);
    assert_eq!(page[64..70], [0xa1, 0xa2, 0xa3, 0xa4, 5, 6]);
}

#[test]
fn a_full_ring_takes_no_more() {
    let (mut front, mut back) = pair::<Block>(1, u32::MAX - 7);
    for at in 0..32 {
        assert_eq!(front.push(&[at as u8; 112]), Ok(Some((24 + at) % 32)));
    }
    assert_eq!(front.free(), 0);
    assert_eq!(front.push(&[0; 112]), Ok(None));
    assert_eq!(back.pop(), Ok(None));
    assert_eq!(front.publish(), Ok(true));
    assert_eq!(front.publish(), Ok(false));
    assert_eq!(back.available(), Ok(32));
    assert_eq!(back.push(&[0; 16]), Ok(None), "nothing to answer");
    for at in 0..32 {
        assert_eq!(back.pop(), Ok(Some(((24 + at) % 32, [at as u8; 112]))));
    }
    for at in 0..32 {
        assert_eq!(back.push(&[at; 16]).unwrap(), Some(u32::from(24 + at) % 32));
    }
    assert_eq!(back.push(&[0; 16]), Ok(None));
    assert_eq!(back.publish(), Ok(true));
    assert_eq!(front.available(), Ok(32));
    assert_eq!(front.pop(), Ok(Some((24, [0; 16]))));
    assert_eq!(front.free(), 1);
}

#[test]
fn events_are_asked_for_and_not_missed() {
    let (mut front, mut back) = pair::<Tx>(1, u32::MAX);
    let ask = Ask(1, 2);
    front.push(&ask).unwrap();
    assert_eq!(
        front.publish(),
        Ok(true),
        "a new ring wants its first event"
    );
    front.push(&ask).unwrap();
    assert_eq!(
        front.publish(),
        Ok(false),
        "the back end has not asked again"
    );
    assert_eq!(back.pop().unwrap().map(|(slot, _)| slot), Some(255));
    assert_eq!(back.pop().unwrap().map(|(slot, _)| slot), Some(0));
    assert_eq!(back.pop(), Ok(None));
    front.push(&ask).unwrap();
    assert_eq!(front.publish(), Ok(false));
    assert_eq!(back.rearm(), Ok(true), "one came after the last look");
    assert!(back.pop().unwrap().is_some());
    assert_eq!(back.rearm(), Ok(false));
    front.push(&ask).unwrap();
    assert_eq!(front.publish(), Ok(true));
    assert!(back.pop().unwrap().is_some());

    assert_eq!(front.rearm_after(3), Ok(false));
    let mut notify = Vec::new();
    for _ in 0..4 {
        back.push(&Answer(0)).unwrap();
        notify.push(back.publish().unwrap());
    }
    assert_eq!(notify, [false, false, true, false]);
    assert_eq!(front.rearm_after(4), Ok(true));
    assert_eq!(front.rearm_after(5), Ok(false));
}

#[test]
fn responses_that_nobody_asked_for_are_a_lie() {
    let (mut front, back) = pair::<Tx>(1, u32::MAX - 1);
    front.push(&Ask(0, 0)).unwrap();
    front.push(&Ask(0, 0)).unwrap();
    front.publish().unwrap();
    front.push(&Ask(0, 0)).unwrap();
    let lie = |produced| Broken::Indices {
        produced,
        consumed: u32::MAX - 1,
    };
    // Behind; too far by what was pushed but not shown; a whole ring too far; anything.
    for produced in [u32::MAX - 2, 1, 254, 255, 0x8000_0000] {
        back.memory().store_u32(RSP_PROD, produced).unwrap();
        assert_eq!(front.pop(), Err(lie(produced)));
        assert_eq!(front.rearm(), Err(lie(produced)));
    }
    back.memory().store_u32(RSP_PROD, 0).unwrap();
    assert_eq!(front.available(), Ok(2));
}

#[test]
fn requests_beyond_the_ring_are_a_lie() {
    let (front, mut back) = pair::<Tx>(1, 7);
    for produced in [6, 264, 0x8000_0000] {
        front.memory().store_u32(REQ_PROD, produced).unwrap();
        let lie = Broken::Indices {
            produced,
            consumed: 7,
        };
        assert_eq!(back.pop(), Err(lie));
        assert_eq!(back.rearm(), Err(lie));
    }
    front.memory().store_u32(REQ_PROD, 263).unwrap();
    assert_eq!(back.available(), Ok(256));
    while back.pop().unwrap().is_some() {}
    // Their slots are not free before they are answered.
    front.memory().store_u32(REQ_PROD, 264).unwrap();
    assert!(back.pop().is_err());
    back.push(&Answer(0)).unwrap();
    assert_eq!(back.available(), Ok(1));
}

#[test]
fn memory_without_a_slot_is_refused() {
    struct Huge;
    impl Protocol for Huge {
        const SLOT: usize = 4096;
        type Request = [u8; 4];
        type Response = [u8; 4];
    }
    let hypervisor = Hypervisor::new();
    let guest = hypervisor.domain(DomId(1));
    let share = guest.share(guest.pages(1).unwrap(), DomId(0)).unwrap();
    let refused = Front::<Huge, _>::new(share).err();
    assert_eq!(refused, Some(Broken::Memory(Fault::OutOfBounds)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(u8),
    ShowRequests,
    Take(u8),
    Answer(u8),
    ShowResponses,
    Collect(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        any::<u8>().prop_map(Step::Ask),
        Just(Step::ShowRequests),
        any::<u8>().prop_map(Step::Take),
        any::<u8>().prop_map(Step::Answer),
        Just(Step::ShowResponses),
        any::<u8>().prop_map(Step::Collect),
    ];
    prop::collection::vec(step, 0..100)
}

proptest! {
    /// In any order of batches, every request is taken once and in order, its answer comes back from
    /// the same slot, and an end that has rearmed is notified.
    #[test]
    fn carries_every_record(start in any::<u8>().prop_map(|back| 0u32.wrapping_sub(back.into())), steps in steps()) {
        let (mut front, mut back) = pair::<Tx>(1, start);
        let (mut asked, mut taken, mut answered) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (mut hidden_asks, mut hidden_answers) = (0, 0);
        let (mut back_waits, mut front_waits) = (true, true);
        let mut next = 0;
        for step in steps {
            match step {
                Step::Ask(count) => for _ in 0..count {
                    next += 1;
                    let ask = Ask(next, u64::from(next) << 20);
                    let free = front.free();
                    let slot = front.push(&ask).unwrap();
                    prop_assert_eq!(slot.is_some(), free > 0);
                    if let Some(slot) = slot {
                        asked.push_back((slot, ask));
                        hidden_asks += 1;
                    }
                },
                Step::ShowRequests => {
                    let notify = front.publish().unwrap();
                    prop_assert_eq!(notify, back_waits && hidden_asks > 0);
                    if hidden_asks > 0 { back_waits = false; }
                    hidden_asks = 0;
                }
                Step::Take(count) => for _ in 0..count {
                    match back.pop().unwrap() {
                        Some(request) => {
                            prop_assert_eq!(Some(request), asked.pop_front());
                            taken.push_back(request);
                        }
                        None => {
                            prop_assert_eq!(asked.len(), hidden_asks);
                            prop_assert!(!back.rearm().unwrap());
                            back_waits = true;
                        }
                    }
                },
                Step::Answer(count) => for _ in 0..count {
                    let Some((slot, ask)) = taken.pop_front() else {
                        prop_assert_eq!(back.push(&Answer(0)), Ok(None));
                        break;
                    };
                    prop_assert_eq!(back.push(&Answer(!ask.0)), Ok(Some(slot)));
                    answered.push_back((slot, Answer(!ask.0)));
                    hidden_answers += 1;
                },
                Step::ShowResponses => {
                    let notify = back.publish().unwrap();
                    prop_assert_eq!(notify, front_waits && hidden_answers > 0);
                    if hidden_answers > 0 { front_waits = false; }
                    hidden_answers = 0;
                }
                Step::Collect(count) => for _ in 0..count {
                    match front.pop().unwrap() {
                        Some(response) => prop_assert_eq!(Some(response), answered.pop_front()),
                        None => {
                            prop_assert_eq!(answered.len(), hidden_answers);
                            prop_assert!(!front.rearm().unwrap());
                            front_waits = true;
                        }
                    }
                },
            }
            prop_assert_eq!(front.outstanding() as usize, asked.len() + taken.len() + answered.len());
            prop_assert_eq!(back.unanswered() as usize, taken.len());
        }
    }

    /// Whatever a back end writes anywhere in the ring, the front end neither panics nor loops.
    #[test]
    fn bears_any_bytes(junk in prop::collection::vec((0..1024usize, any::<u32>()), 1..40)) {
        let (mut front, back) = pair::<Tx>(1, 0);
        for (word, value) in junk {
            back.memory().store_u32(word * 4, value).unwrap();
            let _ = front.push(&Ask(1, 1));
            let _ = front.publish();
            for _ in 0..=front.size() {
                if !matches!(front.pop(), Ok(Some(_))) {
                    break;
                }
            }
            prop_assert!(!matches!(front.pop(), Ok(Some(_))), "more responses than slots");
            let _ = front.rearm();
        }
    }
}
