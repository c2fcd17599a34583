//! Connecting and letting go over xenstore, with backends that offer, say and do anything.

mod common;

use std::rc::Rc;
use std::time::Duration;

use blkfront::back::{Manner, Media, Offer};
use blkfront::features::{Features, Properties, RING_KEYS};
use blkfront::{Blkfront, Config, ConnectError, Disk, Phase, ResolveError, SetupError, Vdev};
use common::{GUEST, Pair, Rig, XVDA, config, pattern};
use minios::EventError;
use minios::host::store::Lie;
use minios::xenbus::{XenbusError, XenbusState};

fn media() -> Media {
    Media::new(pattern(64 * 1024))
}

#[test]
fn what_is_agreed_is_written_and_nothing_else() {
    for (order, expected) in [(0, 0), (1, 1), (2, 2), (4, 2)] {
        let manner = Manner {
            ring_order: order,
            ..Manner::linux()
        };
        let pair = Pair::new(&media(), manner, Config::default());
        let key = |key: &str| pair.backend.bus.read(key);
        assert_eq!(key("protocol").as_deref(), Some("x86_64-abi"));
        assert_eq!(key("feature-persistent").as_deref(), Some("1"));
        assert_eq!(key("state").as_deref(), Some("4"));
        assert_eq!(key("feature-large-sector-size"), None);
        assert_eq!(key("ring-ref").is_some(), expected == 0);
        assert_eq!(key("ring-ref0").is_some(), expected > 0);
        assert_eq!(key("ring-ref1").is_some(), expected > 0);
        assert_eq!(key("ring-ref4"), None);
        let number = |number: u32| (expected > 0).then(|| number.to_string());
        assert_eq!(key("ring-page-order"), number(expected));
        assert_eq!(key("num-ring-pages"), number(1 << expected));
        assert_eq!(pair.rig.hypervisor.grants(GUEST), 272 + (1 << expected));
        pair.close();
    }
}

/// Each key of the backend's offer absent, garbage or extreme: it connects and reads, and uses no
/// more than was offered.
#[test]
fn any_offer_is_taken_for_what_it_is_worth() {
    let values = [
        None,
        Some(""),
        Some("0"),
        Some("1"),
        Some("-1"),
        Some("4294967296"),
        Some("99999999999999999999999"),
        Some("x"),
        Some("\u{1F980}"),
    ];
    for key in RING_KEYS {
        for value in values {
            let mut offer = Offer::new(Manner::linux());
            for key in RING_KEYS {
                offer = offer.without(key);
            }
            if let Some(value) = value {
                offer = offer.with(key, value);
            }
            let mut pair = Pair::with(&media(), &offer, config());
            let read = pair.read_at(0, 64 * 1024);
            assert_eq!(
                pair.finish(&read),
                Ok(pattern(64 * 1024)),
                "{key} {value:?}"
            );
            pair.close();
        }
    }
    for key in Features::KEYS {
        for value in values {
            let mut offer = Offer::new(Manner::linux()).with_connected(key, value);
            match key {
                "feature-max-indirect-segments" => {
                    offer = offer.without(key);
                    offer.manner.segments = match value {
                        Some("4294967296") => 512,
                        _ => 11,
                    };
                }
                "feature-flush-cache" => {
                    offer.manner.flush = matches!(value, Some("1" | "4294967296"));
                }
                _ => {}
            }
            let mut pair = Pair::with(&media(), &offer, config());
            let read = pair.read_at(0, 64 * 1024);
            assert_eq!(
                pair.finish(&read),
                Ok(pattern(64 * 1024)),
                "{key} {value:?}"
            );
            let flush = pair.flush();
            assert_eq!(
                pair.finish(&flush).is_ok(),
                offer.manner.flush,
                "{key} {value:?}"
            );
            pair.close();
        }
    }
}

/// Each property that must be there, absent for a while: it is waited for, but not for ever.
#[test]
fn properties_may_come_late() {
    for key in &Properties::KEYS[..Properties::NEEDED] {
        for comes in [true, false] {
            let rig = Rig::new();
            let offer = Offer::new(Manner::linux()).with_connected(key, None);
            let backend = rig.plug(&media(), &offer);
            let (back, front) = (rig.accept(&backend), rig.connect(config()));
            rig.run_for(Duration::from_secs(5));
            assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Initialised));
            assert!(front.borrow().is_none(), "{key}");
            let back = back.take().expect("accepted").expect("joined");
            if comes {
                backend.bus.write(key, "512");
                rig.settle();
                let (front, link) = front.take().expect("an outcome").expect("a device");
                assert_eq!(front.phase(), Phase::Running);
                assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Connected));
                drop((back, link));
                assert_eq!(front.phase(), Phase::Closed);
            } else {
                drop(back);
                rig.run_for(Duration::from_secs(30));
                let timed_out = ConnectError::Xenbus(XenbusError::TimedOut);
                assert_eq!(front.take().expect("an outcome").err(), Some(timed_out));
            }
            rig.clean();
        }
    }
}

#[test]
fn properties_that_cannot_be_are_refused() {
    let bad = |key: &str, value: &str| {
        ConnectError::Xenbus(XenbusError::BadValue {
            key: key.into(),
            value: value.chars().take(40).collect(),
        })
    };
    let long = "9".repeat(4000);
    for (key, value, error) in [
        ("sectors", "-1", bad("sectors", "-1")),
        ("sectors", "", bad("sectors", "")),
        ("sectors", "many", bad("sectors", "many")),
        ("sectors", &long, bad("sectors", &long)),
        (
            "sectors",
            "18014398509481984",
            bad("sectors", "18014398509481984"),
        ),
        ("info", "x", bad("info", "x")),
        ("sector-size", "x", bad("sector-size", "x")),
        ("sector-size", "0", ConnectError::SectorSize(0)),
        ("sector-size", "511", ConnectError::SectorSize(511)),
        ("sector-size", "8192", ConnectError::SectorSize(8192)),
        ("sector-size", "65536", ConnectError::SectorSize(65536)),
    ] {
        let rig = Rig::new();
        let offer = Offer::new(Manner::linux()).with_connected(key, Some(value));
        let backend = rig.plug(&media(), &offer);
        let serving = Rc::clone(&backend);
        let served = rig.start_on_host(async move { serving.serve().await });
        let front = rig.connect(config());
        rig.run_for(Duration::from_secs(2));
        assert_eq!(
            front.take().expect("an outcome").err(),
            Some(error),
            "{key}"
        );
        assert!(served.take().is_some_and(|served| served.is_ok()));
        assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Closed));
        rig.clean();
    }
}

#[test]
fn a_read_only_device_is_known_by_info_or_by_mode() {
    for (info, mode, read_only) in [("0", "w", false), ("4", "w", true), ("0", "r", true)] {
        let offer = Offer::new(Manner::linux())
            .with("mode", mode)
            .with_connected("info", Some(info));
        let pair = Pair::with(&media(), &offer, config());
        assert_eq!(pair.front.read_only(), read_only);
        assert_eq!(pair.front.can_flush(), !read_only);
        assert_eq!(pair.front.physical_sector_size(), 512);
        assert_eq!(pair.front.vdev(), XVDA);
        pair.close();
    }
}

/// An old QEMU counts in sectors of the device: it is noticed, whatever their size, and nothing is
/// ever read from the wrong place.
#[test]
fn a_backend_that_counts_in_other_units_is_refused() {
    for sector_size in [1024, 2048, 4096] {
        let rig = Rig::new();
        let manner = Manner {
            sector_size,
            unit: sector_size,
            ..Manner::qemu()
        };
        let backend = rig.plug(&media(), &Offer::new(manner));
        let serving = Rc::clone(&backend);
        let served = rig.start_on_host(async move { serving.serve().await });
        let front = rig.connect(config());
        rig.run_for(Duration::from_secs(2));
        let error = Some(ConnectError::Unit(sector_size as u32));
        assert_eq!(front.take().expect("an outcome").err(), error);
        assert!(served.take().is_some_and(|served| served.is_ok()));
        rig.clean();
    }
}

#[test]
fn a_backend_may_take_its_time() {
    for (before, offers, connects) in [(29, true, true), (31, false, true), (1, true, false)] {
        let rig = Rig::new();
        let backend = rig.plug(&media(), &Offer::new(Manner::linux()));
        backend.bus.set_state(XenbusState::Initialising);
        let front = rig.connect(config());
        rig.run_for(Duration::from_secs(before));
        backend.bus.set_state(XenbusState::InitWait);
        rig.run_for(Duration::from_secs(29));
        let back = connects.then(|| rig.accept(&backend));
        rig.run_for(Duration::from_secs(2));
        let front = front.take().expect("an outcome");
        if offers && connects {
            assert!(front.is_ok(), "{front:?}");
        } else {
            let timed_out = ConnectError::Xenbus(XenbusError::TimedOut);
            assert_eq!(front.err(), Some(timed_out));
            rig.clean();
        }
        drop(back);
    }
}

#[test]
fn a_backend_may_give_up_or_vanish_while_connecting() {
    for state in [Some(XenbusState::Closing), Some(XenbusState::Closed), None] {
        let rig = Rig::new();
        let backend = rig.plug(&media(), &Offer::new(Manner::linux()));
        let front = rig.connect(config());
        rig.settle();
        assert_eq!(backend.bus.frontend_state(), Some(XenbusState::Initialised));
        match state {
            Some(state) => backend.bus.set_state(state),
            None => backend.bus.vanish(),
        }
        rig.run_for(Duration::from_secs(31));
        let error = front.take().expect("an outcome").err();
        let timed_out = ConnectError::Xenbus(XenbusError::TimedOut);
        match state {
            Some(_) => assert_eq!(error, Some(ConnectError::Closed)),
            None => assert_eq!(error, Some(timed_out)),
        }
        rig.clean();
    }
}

/// What ran in this domain before left the device connected.
#[test]
fn a_device_left_in_use_is_closed_first() {
    let rig = Rig::new();
    let backend = rig.plug(&media(), &Offer::new(Manner::linux()));
    let first = Rc::clone(&backend);
    let served = rig.start_on_host(async move {
        let first = first.serve().await;
        assert!(first.is_ok());
    });
    let front = rig.connect(config());
    rig.settle();
    let (front, link) = front.take().expect("an outcome").expect("a device");
    // It is torn away without a word.
    std::mem::forget((front, link));
    let again = rig.connect(config());
    rig.run_for(Duration::from_millis(10));
    assert!(served.take().is_some());
    backend.bus.set_state(XenbusState::InitWait);
    let back = rig.accept(&backend);
    rig.settle();
    assert!(back.take().expect("accepted").is_ok());
    assert!(again.take().expect("an outcome").is_ok());
}

/// Whatever runs out, and when: an error, and nothing is left.
#[test]
fn what_runs_out_while_connecting_is_an_error() {
    let out = |pages, grants, ports| {
        let rig = Rig::new();
        let backend = rig.plug(&media(), &Offer::new(Manner::linux()));
        {
            let mut faults = rig.hypervisor.faults(GUEST);
            faults.pages_left = pages;
            faults.grants_left = grants;
            faults.ports_left = ports;
        }
        let front = rig.connect(config());
        rig.settle();
        assert_eq!(
            backend.bus.frontend_state(),
            Some(XenbusState::Initialising)
        );
        let error = front.take().expect("an outcome").err();
        rig.clean();
        error
    };
    for left in [0, 3, 4, 20, 4 + 271] {
        let error = Some(ConnectError::Setup(SetupError::OutOfMemory));
        assert_eq!(out(Some(left), None, None), error, "{left}");
        let error = Some(ConnectError::Setup(SetupError::NoGrants));
        assert_eq!(out(None, Some(left), None), error, "{left}");
    }
    let error = Some(ConnectError::Setup(SetupError::Port(EventError::NoPorts)));
    assert_eq!(out(None, None, Some(0)), error);
}

#[test]
fn a_pool_has_a_least_and_a_most() {
    for (pages, expected) in [(0, 16), (1, 16), (17, 32), (usize::MAX, 4096)] {
        let config = Config { pages, ..config() };
        let pair = Pair::new(&media(), Manner::linux(), config);
        assert_eq!(pair.front.stats().pages_free, expected);
        pair.close();
    }
}

#[test]
fn there_may_be_no_such_disk() {
    let rig = Rig::new();
    let front = rig.connect(config());
    rig.settle();
    let error = front.take().expect("an outcome").err();
    assert_eq!(error, Some(ConnectError::Absent));
    rig.clean();
}

#[test]
fn disks_are_found_by_name_and_by_slot() {
    for (text, disk) in [
        ("xvda", Disk::Vdev(XVDA)),
        ("/dev/xvda", Disk::Vdev(XVDA)),
        ("51712", Disk::Vdev(XVDA)),
        ("0xca00", Disk::Vdev(XVDA)),
        ("d0p0", Disk::Vdev(XVDA)),
        ("768", Disk::Vdev(Vdev(768))),
        ("0", Disk::Slot(0)),
        ("255", Disk::Slot(255)),
        ("256", Disk::Vdev(Vdev(256))),
    ] {
        assert_eq!(text.parse(), Ok(disk), "{text}");
    }
    assert!("sda".parse::<Disk>().is_err() && "".parse::<Disk>().is_err());
    assert_eq!(Disk::Slot(3).to_string(), "3");
    assert_eq!(Disk::Vdev(XVDA).to_string(), "xvda");

    let rig = Rig::new();
    let resolve = |disk: Disk| {
        let store = rig.store.clone();
        let resolved = rig.start(async move { disk.resolve(&store).await });
        rig.settle();
        resolved.take().expect("an outcome")
    };
    let none = |slot, disks| Err(ResolveError::NoSuchSlot { slot, disks });
    assert_eq!(resolve(Disk::Slot(0)), none(0, 0));
    let offer = Offer::new(Manner::linux());
    for vdev in [0x1000_1000, 51728, 768, 51712].map(Vdev) {
        rig.plug_as(vdev, &media(), &offer);
    }
    for (slot, number) in [(0, 768), (1, 51712), (2, 51728), (3, 0x1000_1000)] {
        assert_eq!(resolve(Disk::Slot(slot)), Ok(Vdev(number)));
    }
    assert_eq!(resolve(Disk::Slot(4)), none(4, 4));
    let elsewhere = Vdev(51760);
    assert_eq!(resolve(Disk::Vdev(elsewhere)), Ok(elsewhere));
    assert!(!resolve(Disk::Slot(9)).unwrap_err().to_string().is_empty());
}

#[test]
fn a_store_that_fails_is_an_error() {
    let rig = Rig::new();
    let (domain, store) = (rig.guest.0.clone(), rig.store.clone());
    rig.server.misbehave(GUEST).lie = Some(Lie::UnknownType);
    let front = rig.start(async move { Blkfront::connect(&domain, &store, XVDA, &config()).await });
    rig.settle();
    assert!(matches!(
        front.take().expect("an outcome").err(),
        Some(ConnectError::Xenbus(XenbusError::Store(_)))
    ));
    rig.clean();
}

/// A device of large sectors that has less than a page has nothing wrong with it.
#[test]
fn a_device_may_be_smaller_than_a_page() {
    for (bytes, sector) in [
        (0, 4096),
        (2048, 2048),
        (1024, 1024),
        (3072, 1024),
        (0, 512),
    ] {
        let manner = Manner {
            sector_size: sector,
            ..Manner::linux()
        };
        let mut pair = Pair::new(&Media::new(pattern(bytes)), manner, config());
        assert_eq!(pair.front.sectors(), (bytes / sector) as u64);
        let read = pair.read_at(0, bytes);
        assert_eq!(pair.finish(&read), Ok(pattern(bytes)));
        pair.close();
    }
}
