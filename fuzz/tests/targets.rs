//! Every target, for a bounded number of inputs; `docs/fuzzing.md` tells how to run more.

use fuzz::mutate::Inputs;
use fuzz::{TARGETS, Target};

/// Always the same inputs, so that a failure is one that can be repeated.
fn hammer(name: &str) {
    let target = Target::find(name).expect("a target of this name");
    let mut inputs = Inputs::new((target.seeds)(), 1);
    for _ in 0..target.rounds {
        (target.run)(inputs.make());
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                hammer(stringify!($name));
            }
        )*

        #[test]
        fn none_is_left_out() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    http_conversation,
    http_ranges,
    http_date,
    accept_encoding,
    arguments,
    log_filter,
    pack_load,
    pack_trailer,
    image,
    fat_volume,
    tcp_ip,
    dhcp,
    slaac,
    netif_wire,
    netif_assembler,
    checksums,
    netif_features,
    backend,
    blkif_wire,
    blkif_features,
    blkif_backend,
    xenstore_codec,
    xenstore_connection,
    byte_ring,
    request_ring,
    console,
    site_folder,
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let make = |seed| {
        let mut inputs = Inputs::new(vec![b"some bytes".to_vec(), vec![0; 40]], seed);
        (0..50).map(|_| inputs.make().to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
    assert_eq!(make(3)[0], b"some bytes");
}
