//! Every combination of what matters, against the rules and against the program's own parser.

use www::config::Command;

use super::*;

type Choice = &'static [(Key, &'static str)];

const TARGETS: [Choice; 3] = [&[], &[(Key::Target, "unix")], &[(Key::Target, "xen")]];

const KV_RO: [Choice; 4] = [
    &[],
    &[(Key::KvRo, "crunch")],
    &[(Key::KvRo, "fat")],
    &[(Key::KvRo, "direct")],
];

const NET: [Choice; 3] = [&[], &[(Key::Net, "socket")], &[(Key::Net, "direct")]];

const IPV4: [Choice; 13] = [
    &[],
    &[(Key::Dhcp, "no")],
    &[(Key::Dhcp, "yes")],
    &[(Key::Ipv4, "10.1.0.2/16")],
    &[(Key::Ipv4, "10.1.0.2")],
    &[(Key::Ipv4, "10.1.0.2/16"), (Key::Dhcp, "yes")],
    &[(Key::Ipv4, "10.1.0.2/16"), (Key::Ipv4Gateway, "10.1.0.1")],
    &[(Key::Ipv4, "10.1.0.2/16"), (Key::Ipv4Gateway, "10.2.0.1")],
    &[(Key::Ipv4, "10.1.0.2/32"), (Key::Ipv4Gateway, "10.1.0.2")],
    &[(Key::Ipv4, "10.1.0.1"), (Key::Ipv4Gateway, "10.2.0.1")],
    &[(Key::Ipv4Gateway, "10.0.0.1")],
    &[(Key::Ipv4Gateway, "10.9.0.1")],
    &[(Key::Dhcp, "yes"), (Key::Ipv4Gateway, "10.0.0.1")],
];

const IPV6: [Choice; 8] = [
    &[],
    &[(Key::Ipv6, "auto")],
    &[(Key::Ipv6, "link-local"), (Key::Ipv6Gateway, "2001:db8::1")],
    &[(Key::Ipv6, "2001:db8::2/64")],
    &[(Key::Ipv6, "2001:db8::2")],
    &[
        (Key::Ipv6, "2001:db8::2/64"),
        (Key::Ipv6Gateway, "2001:db8::1"),
    ],
    &[
        (Key::Ipv6, "2001:db8::2/64"),
        (Key::Ipv6Gateway, "2001:db9::1"),
    ],
    &[(Key::Ipv6Gateway, "fe80::1")],
];

const OTHERS: [Choice; 14] = [
    &[],
    &[(Key::Memory, "64")],
    &[(Key::Bridge, "br0")],
    &[(Key::Name, "www")],
    &[(Key::VifIp, "10.1.0.2")],
    &[
        (Key::VifIp, "10.0.0.9"),
        (Key::Memory, "64"),
        (Key::Tap, "tap1"),
    ],
    &[(Key::Mac, "02:00:00:00:00:01")],
    &[(Key::Tap, "tap1")],
    &[(Key::Cache, "4M")],
    &[(Key::Reload, "no")],
    &[
        (Key::Reload, "yes"),
        (Key::Cache, "4M"),
        (Key::Bridge, "br0"),
    ],
    &[(Key::HttpPort, "0")],
    &[
        (Key::HttpPort, "8000"),
        (Key::AccessLog, "no"),
        (Key::MaxConnections, "9"),
        (Key::Redirect, "https://example.org:8443/a"),
    ],
    &[(Key::Logs, "net:debug,*:info"), (Key::Site, "my site")],
];

fn all(mut each: impl FnMut(Settings)) {
    for target in TARGETS {
        for kv_ro in KV_RO {
            for net in NET {
                for ipv4 in IPV4 {
                    for ipv6 in IPV6 {
                        for others in OTHERS {
                            let mut settings = Settings::default();
                            let parts = [target, kv_ro, net, ipv4, ipv6, others];
                            for (key, text) in parts.into_iter().flatten() {
                                settings.set(*key, *text, Source::Argument);
                            }
                            each(settings);
                        }
                    }
                }
            }
        }
    }
}

/// Whether the program takes the words for settings.
fn taken(settings: &Settings) -> Result<(), String> {
    let words = words::words(settings, "/the/site", "/the/dist");
    let words = words.iter().map(String::as_str);
    let parsed = Command::parse(settings.target().platform(), words, []);
    parsed.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn what_is_accepted_the_program_takes_and_what_is_refused_has_a_nearest() {
    let (mut accepted, mut refused) = (0, 0);
    all(|settings| match rules::check(&settings) {
        None => {
            accepted += 1;
            assert_eq!(taken(&settings), Ok(()), "{:?}", settings.arguments());
        }
        Some(refusal) => {
            refused += 1;
            let shown = settings.arguments();
            assert!(rules::check(&refusal.mended).is_none(), "{shown:?}");
            assert_eq!(taken(&refusal.mended), Ok(()), "{shown:?}");
            assert_ne!(refusal.mended.arguments(), shown);
            assert!(!refusal.mended.arguments().is_empty(), "{shown:?}");
            assert!(refusal.given.starts_with("--"), "{refusal}");
        }
    });
    assert_eq!(accepted + refused, 3 * 4 * 3 * 13 * 8 * 14);
    assert!(
        accepted > 1000 && refused > 1000,
        "{accepted} and {refused}"
    );
}

#[test]
fn nothing_is_refused_that_the_program_would_take() {
    // What the program never hears of, and what it would not be asked on this platform.
    let of_the_tool = [Key::Memory, Key::Bridge, Key::Name, Key::VifIp];
    let mut compared = 0;
    all(|settings| {
        let silent = of_the_tool.iter().any(|key| settings.given(*key).is_some());
        let xen = settings.target() == Target::Xen;
        let other_net = settings.get(Key::Net).is_some() || settings.get(Key::Tap).is_some();
        // Without an address the program may hear of one from dom0, the tool knows that it will not.
        let default = settings.get(Key::Ipv4).is_none() && settings.get(Key::Ipv4Gateway).is_some();
        if silent || xen && other_net || default || rules::check(&settings).is_none() {
            return;
        }
        compared += 1;
        assert!(taken(&settings).is_err(), "{:?}", settings.arguments());
    });
    assert!(compared > 1000, "{compared}");
}

fn settings(source: Source, given: &[(Key, &str)]) -> Settings {
    let mut settings = Settings::default();
    given
        .iter()
        .for_each(|(key, text)| settings.set(*key, *text, source));
    settings
}

#[test]
fn an_argument_puts_out_of_the_file_what_it_leaves_without_sense() {
    for (file, arguments, left) in [
        (
            &[
                (Key::Target, "xen"),
                (Key::Memory, "64"),
                (Key::HttpPort, "81"),
            ][..],
            &[(Key::Target, "unix")][..],
            "-t unix --http-port 81",
        ),
        (
            &[(Key::Net, "direct"), (Key::Dhcp, "yes"), (Key::Tap, "tap1")],
            &[(Key::Net, "socket")],
            "--net socket",
        ),
        (
            &[(Key::Net, "direct"), (Key::Dhcp, "yes")],
            &[(Key::Ipv4, "10.0.0.3/24")],
            "--net direct --ipv4 10.0.0.3/24",
        ),
        (
            &[
                (Key::Target, "xen"),
                (Key::Ipv4, "10.0.0.3/24"),
                (Key::Ipv4Gateway, "10.0.0.1"),
            ],
            &[(Key::Dhcp, "yes")],
            "-t xen --dhcp",
        ),
        (
            &[
                (Key::Target, "xen"),
                (Key::Ipv4, "10.0.0.3/24"),
                (Key::Memory, "64"),
            ],
            &[(Key::Target, "unix")],
            "-t unix",
        ),
        (
            &[
                (Key::Target, "xen"),
                (Key::Ipv4, "10.0.0.3/24"),
                (Key::Name, "a"),
            ],
            &[(Key::Target, "unix"), (Key::Ipv4, "127.0.0.1")],
            "-t unix --ipv4 127.0.0.1",
        ),
        (
            &[(Key::KvRo, "direct"), (Key::Reload, "no")],
            &[(Key::Target, "xen")],
            "-t xen",
        ),
    ] {
        let file = File::of(settings(Source::File(1), file));
        let arguments = settings(Source::Argument, arguments);
        let merged = Configuration::merge(Some(file), arguments, PathBuf::from("."));
        let Ok(merged) = merged else { panic!("{left}") };
        assert_eq!(merged.settings.arguments().join(" "), left);
        assert!(!merged.dropped.is_empty());
    }
}

#[test]
fn what_contradicts_itself_within_one_source_is_refused() {
    let both = [(Key::Target, "xen"), (Key::KvRo, "direct")];
    let file = File::of(settings(Source::File(1), &both));
    let merged = Configuration::merge(Some(file), Settings::default(), PathBuf::new());
    assert!(matches!(merged, Err(Unsettled::Contradiction(..))));
    let arguments = settings(Source::Argument, &both);
    let Err(Unsettled::Refused(refusal)) = Configuration::merge(None, arguments, PathBuf::new())
    else {
        panic!("accepted");
    };
    assert_eq!(refusal.mended.arguments().join(" "), "-t xen --kv_ro fat");
    assert_eq!(
        refusal.to_string(),
        "--kv_ro direct: the guest renders nothing: direct is for -t unix"
    );
}

#[test]
fn words_are_those_that_were_given() {
    let given = [
        (Key::KvRo, "fat"),
        (Key::Net, "direct"),
        (Key::Dhcp, "yes"),
        (Key::HttpPort, "81"),
        (Key::Site, "elsewhere"),
    ];
    let mut settings = settings(Source::Argument, &given);
    assert_eq!(
        words::words(&settings, "/s", "/d").join(" "),
        "--kv_ro=fat --files=/d/files.img --pages=/d/pages.img --net=direct --http-port=81 --dhcp"
    );
    settings.set(Key::Target, "xen", Source::Argument);
    settings.set(Key::Mac, "02:00:00:00:00:01", Source::Argument);
    assert_eq!(
        words::words(&settings, "/s", "/d").join(" "),
        "--kv_ro=fat --http-port=81 --dhcp"
    );
    assert!(words::words(&Settings::default(), "/s", "/d").is_empty());
}
