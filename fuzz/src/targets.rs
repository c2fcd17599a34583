//! The targets, by the part of the system that they are for.

mod addresses;
mod blkfront;
mod fat;
mod guest;
mod http;
mod net;
mod netfront;
mod pack;
mod site;
mod text;
mod xenstore;

/// Something that reads bytes.
pub struct Target {
    /// What it is called.
    pub name: &'static str,
    /// Gives it bytes.
    pub run: fn(&[u8]),
    /// Inputs that it understands.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many inputs it gets in `cargo test`.
    pub rounds: usize,
}

impl Target {
    /// The target of this name.
    pub fn find(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

macro_rules! targets {
    ($($rounds:literal $module:ident $target:ident),* $(,)?) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($target),
            run: $module::$target::run,
            seeds: $module::$target::seeds,
            rounds: $rounds,
        }),*];

        $(
            #[doc = concat!("The target of this name, for other fuzzers. See [`TARGETS`].")]
            pub fn $target(bytes: &[u8]) {
                $module::$target::run(bytes);
            }
        )*
    };
}

targets! {
    400 http http_conversation,
    2000 http http_ranges,
    3000 text http_date,
    3000 text accept_encoding,
    3000 text arguments,
    3000 text log_filter,
    1000 pack pack_load,
    2000 pack pack_trailer,
    1000 pack image,
    3000 fat fat_volume,
    120 net tcp_ip,
    2000 addresses dhcp,
    2000 addresses slaac,
    3000 netfront netif_wire,
    3000 netfront netif_assembler,
    3000 netfront checksums,
    2000 netfront netif_features,
    300 netfront backend,
    3000 blkfront blkif_wire,
    2000 blkfront blkif_features,
    200 blkfront blkif_backend,
    3000 xenstore xenstore_codec,
    1000 xenstore xenstore_connection,
    500 guest byte_ring,
    500 guest request_ring,
    300 guest console,
    60 site site_folder,
}

/// The bytes of texts.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
