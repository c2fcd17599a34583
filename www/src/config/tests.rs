use alloc::string::ToString;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn parse(platform: Platform, line: &str) -> Result<Command, ConfigError> {
    let words = split(line).unwrap();
    Command::parse(platform, [], words.iter().map(String::as_str))
}

fn serve(platform: Platform, line: &str) -> Config {
    match parse(platform, line) {
        Ok(Command::Serve(config)) => config,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(platform: Platform, line: &str) -> String {
    parse(platform, line).unwrap_err().to_string()
}

#[test]
fn defaults() {
    let xen = serve(Platform::Xen, "");
    assert_eq!(xen, Config::new(Platform::Xen, NetKind::Direct));
    assert_eq!((xen.ipv4, xen.ipv6, xen.http_port), (None, Ipv6::Auto, 80));
    assert_eq!(DEFAULT_IPV4.to_string(), "10.0.0.2/24");
    assert!(!xen.access_log && !xen.dhcp);
    let unix = serve(Platform::Unix, "");
    assert_eq!(unix, Config::new(Platform::Unix, NetKind::Socket));
    assert_eq!((unix.ipv4, unix.http_port), (None, 8080));
    assert!(unix.access_log && unix.reload);
    assert_eq!(serve(Platform::Unix, "--net=direct").http_port, 80);
}

#[test]
fn all_of_them() {
    let config = serve(
        Platform::Xen,
        "--ipv4=192.168.1.7/16 --ipv4-gateway 192.168.0.1 --ipv6=2001:db8::2/64 \
         --ipv6-gateway=fe80::1 --http-port=81 --max-connections=5 --logs=http:debug,*:warn",
    );
    assert_eq!(
        config.ipv4,
        Some(Net {
            address: [192, 168, 1, 7].into(),
            prefix: 16
        })
    );
    assert_eq!(config.ipv4_gateway, Some([192, 168, 0, 1].into()));
    assert_eq!(config.ipv6.asked().unwrap().to_string(), "2001:db8::2/64");
    assert_eq!(config.ipv6_gateway.unwrap().to_string(), "fe80::1");
    assert_eq!((config.http_port, config.max_connections), (81, Some(5)));
    assert_eq!(config.logs.as_deref(), Some("http:debug,*:warn"));
    for short in [
        "-l debug",
        "-l=debug",
        "-ldebug",
        "--logs debug",
        "-l warn -l debug",
    ] {
        assert_eq!(
            serve(Platform::Xen, short).logs.as_deref(),
            Some("debug"),
            "{short}"
        );
    }
    let unix = serve(
        Platform::Unix,
        "--pack='a b.pack' --http-port=0 --ipv4=127.0.0.1",
    );
    assert_eq!(unix.pack.as_deref(), Some("a b.pack"));
    assert_eq!(unix.http_port, 0);
    assert_eq!(unix.ipv4.unwrap().address, Ipv4Addr::LOCALHOST);
    assert_eq!(unix.kv_ro, KvRo::Crunch);
    assert_eq!((unix.files, unix.pages, unix.cache), (None, None, None));
    let unix = serve(
        Platform::Unix,
        "--kv_ro=fat --files=dist/files.img --pages dist/pages.img --cache=64M",
    );
    assert_eq!((unix.kv_ro, unix.cache), (KvRo::Fat, Some(64 << 20)));
    assert_eq!(unix.files.as_deref(), Some("dist/files.img"));
    assert_eq!(unix.pages.as_deref(), Some("dist/pages.img"));
    for line in ["--help", "-h", "--http-port=81 --help"] {
        assert_eq!(parse(Platform::Unix, line), Ok(Command::Help));
    }
}

#[test]
fn one_clear_line() {
    for (line, message) in [
        (
            "--http-prot=80",
            "unknown argument '--http-prot': did you mean --http-port?",
        ),
        (
            "--ip4=10.0.0.1/8",
            "unknown argument '--ip4': did you mean --ipv4?",
        ),
        (
            "--ipv4-gatewey=1",
            "unknown argument '--ipv4-gatewey': did you mean --ipv4-gateway?",
        ),
        (
            "root=/dev/xvda",
            "unknown argument 'root': --help lists them",
        ),
        (
            "--dhcpd",
            "unknown argument '--dhcpd': did you mean --dhcp?",
        ),
        ("--dhcp=yes", "--dhcp takes no value"),
        (
            "--dhcp --ipv4=10.0.0.9/24",
            "--dhcp and --ipv4 exclude each other",
        ),
        (
            "--ipv4-gateway=10.0.0.1 --dhcp",
            "--dhcp and --ipv4-gateway exclude each other",
        ),
        ("--access-log=on", "--access-log takes yes or no, not 'on'"),
        ("--net=direct", "--net has no effect on this platform"),
        ("Zähler☃", "unknown argument 'Zähler☃': --help lists them"),
        (
            "\x1b[31m\u{9b}1m",
            "unknown argument '\\u{1b}[31m\\u{9b}1m': --help lists them",
        ),
        ("a\\\nb", "unknown argument 'a\\nb': --help lists them"),
        ("--http-port", "--http-port needs a value"),
        ("--logs=", "--logs needs a value"),
        ("--help=me", "--help takes no value"),
        ("--pack=x", "--pack has no effect on this platform"),
        (
            "--http-port=0",
            "--http-port takes a port from 1 to 65535, not '0'",
        ),
        (
            "--http-port=65536",
            "--http-port takes a port from 1 to 65535, not '65536'",
        ),
        (
            "--ipv4=10.0.0.2",
            "--ipv4 takes an address such as 10.0.0.2/24, not '10.0.0.2'",
        ),
        (
            "--ipv4=10.0.0.2/33",
            "--ipv4 takes an address such as 10.0.0.2/24, not '10.0.0.2/33'",
        ),
        (
            "--ipv4=224.0.0.1/4",
            "--ipv4 takes an address such as 10.0.0.2/24, not '224.0.0.1/4'",
        ),
        (
            "--ipv6=::/0",
            "--ipv6 takes an address such as 2001:db8::2/64, not '::/0'",
        ),
        (
            "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.1.1",
            "--ipv4-gateway takes an address in the network of --ipv4, not '10.0.1.1'",
        ),
        (
            "--ipv6=2001:db8::2/64 --ipv6-gateway=2001:db9::1",
            "--ipv6-gateway takes a link-local address or one in the network of --ipv6, \
             not '2001:db9::1'",
        ),
        (
            "--max-connections=0",
            "--max-connections takes a number from 1 to 10000000, not '0'",
        ),
    ] {
        assert_eq!(error(Platform::Xen, line), message);
    }
    for (line, message) in [
        (
            "--ipv4-gateway=10.0.0.1",
            "--ipv4-gateway needs --net=direct",
        ),
        ("--dhcp", "--dhcp needs --net=direct"),
        ("--ipv6=auto", "--ipv6 needs --net=direct"),
        ("--tap=tap1 --net=socket", "--tap needs --net=direct"),
        ("--net=tap", "--net takes socket or direct, not 'tap'"),
        (
            "--ipv4=10.0.0.2 --net=direct",
            "--ipv4 takes an address such as 10.0.0.2/24, not '10.0.0.2'",
        ),
        (
            "--net=direct --http-port=0",
            "--http-port takes a port from 1 to 65535, not '0'",
        ),
        (
            "--net=direct --tap=../tap0",
            "--tap takes a name of at most 15 bytes, not '../tap0'",
        ),
        (
            "--net=direct --mac=01:00:00:00:00:01",
            "--mac takes an address such as 02:00:00:00:00:01, not '01:00:00:00:00:01'",
        ),
        ("--kv_ro=direct", "--kv_ro=direct needs --site"),
        ("--site=www/site", "--site needs --kv_ro=direct"),
        ("--reload=no", "--reload needs --kv_ro=direct"),
        (
            "--kv_ro=direct --site=a --reload=maybe",
            "--reload takes yes or no, not 'maybe'",
        ),
        (
            "--kv_ro=direct --site=a --pack=b",
            "--pack needs --kv_ro=crunch",
        ),
    ] {
        assert_eq!(error(Platform::Unix, line), message);
    }
}

#[test]
fn a_stack_of_ones_own() {
    let config = serve(
        Platform::Unix,
        "--tap=tap7 --mac=02:aB:00:00:00:01 --pcap=a.pcap --net=direct --ipv6=link-local --dhcp \
         --access-log=no",
    );
    assert_eq!(config.net, NetKind::Direct);
    assert_eq!(config.tap.as_deref(), Some("tap7"));
    assert_eq!(config.mac, Some([2, 0xab, 0, 0, 0, 1]));
    assert_eq!(config.pcap.as_deref(), Some("a.pcap"));
    assert_eq!(config.ipv6, Ipv6::LinkLocal);
    assert!(config.dhcp && !config.access_log);
    let config = serve(Platform::Unix, "--kv_ro=direct --site=www/site --reload=no");
    assert_eq!(config.site.as_deref(), Some("www/site"));
    assert_eq!((config.kv_ro, config.reload), (KvRo::Direct, false));
    for mac in [
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "2:0:0:0:0:1",
        "02:00:00:00:00:0+",
    ] {
        let line = alloc::format!("--net=direct --mac='{mac}'");
        assert!(parse(Platform::Unix, &line).is_err(), "{mac}");
    }
}

/// What is given comes after what is built in, and takes its place where both do not fit.
#[test]
fn what_is_given_beats_what_is_built_in() {
    let both = |platform, built_in: &str, given: &str| {
        let [built_in, given] = [built_in, given].map(|line| split(line).unwrap());
        let [built_in, given] = [&built_in, &given].map(|words| words.iter().map(String::as_str));
        Command::parse(platform, built_in, given)
    };
    for (platform, built_in, given, same_as) in [
        (Platform::Xen, "--dhcp", "", "--dhcp"),
        (
            Platform::Xen,
            "--dhcp -l debug",
            "--ipv4=10.0.0.9/24",
            "-l debug --ipv4=10.0.0.9/24",
        ),
        (
            Platform::Xen,
            "--ipv4=10.0.0.9/24 --ipv4-gateway=10.0.0.1",
            "--dhcp",
            "--dhcp",
        ),
        (
            Platform::Xen,
            "--ipv6=2001:db8::2/64 --ipv6-gateway=2001:db8::1",
            "--ipv6=auto",
            "",
        ),
        (
            Platform::Xen,
            "--kv_ro=fat --files=xvdc --cache=1M",
            "--kv_ro=crunch",
            "",
        ),
        (
            Platform::Xen,
            "--kv_ro=fat --files=xvdc --cache=1M",
            "--kv_ro=fat --cache=2M",
            "--kv_ro=fat --files=xvdc --cache=2M",
        ),
        (
            Platform::Unix,
            "--kv_ro=direct --site=a --reload=no",
            "--kv_ro=crunch",
            "",
        ),
        (
            Platform::Unix,
            "--net=direct --tap=tap1 --dhcp --http-port=81",
            "--net=socket",
            "--http-port=81",
        ),
        (
            Platform::Unix,
            "--net=direct --tap=tap1",
            "--net=direct --dhcp",
            "--net=direct --tap=tap1 --dhcp",
        ),
    ] {
        let expected = parse(platform, same_as).unwrap();
        assert_eq!(
            both(platform, built_in, given),
            Ok(expected),
            "{built_in} | {given}"
        );
    }
    assert_eq!(both(Platform::Xen, "--dhcp", "-h"), Ok(Command::Help));
}

/// A guest has two disks unless one is named; a process has those that are named.
#[test]
fn disks() {
    let names = |platform, line| {
        let config = serve(platform, line);
        [config.files, config.pages].map(|name| name.unwrap_or_default())
    };
    assert_eq!(names(Platform::Xen, ""), ["", ""]);
    assert_eq!(names(Platform::Xen, "--kv_ro=fat"), ["xvda", "xvdb"]);
    let one = "--kv_ro=fat --files=51712";
    assert_eq!(names(Platform::Xen, one), ["51712", ""]);
    let one = "--kv_ro=fat --pages=xvda";
    assert_eq!(names(Platform::Xen, one), ["", "xvda"]);
    let one = "--pages=pages.img --kv_ro=fat";
    assert_eq!(names(Platform::Unix, one), ["", "pages.img"]);
    for (platform, line, message) in [
        (Platform::Xen, "--files=xvda", "--files needs --kv_ro=fat"),
        (
            Platform::Xen,
            "--pages=xvda --kv_ro=crunch",
            "--pages needs --kv_ro=fat",
        ),
        (Platform::Unix, "--cache=4M", "--cache needs --kv_ro=fat"),
        (
            Platform::Unix,
            "--kv_ro=fat",
            "--kv_ro=fat needs --files or --pages",
        ),
        (
            Platform::Unix,
            "--kv_ro=fat --files=a --pack=b",
            "--pack needs --kv_ro=crunch",
        ),
        (
            Platform::Xen,
            "--kv_ro=fat --files=xvdb --pages=xvdb",
            "--files and --pages name the same disk: one of them is enough for a disk that has \
             everything",
        ),
        (
            Platform::Xen,
            "--kv_ro=direct",
            "--kv_ro takes crunch or fat, not 'direct'",
        ),
        (
            Platform::Unix,
            "--kv_ro=tar",
            "--kv_ro takes crunch, fat or direct, not 'tar'",
        ),
        (
            Platform::Unix,
            "--kv-ro=fat",
            "unknown argument '--kv-ro': did you mean --kv_ro?",
        ),
        (
            Platform::Xen,
            "--kv_ro=fat --cache=255K",
            "--cache takes a size such as 4M, of 256K at least, not '255K'",
        ),
        (
            Platform::Xen,
            "--kv_ro=fat --cache=lots",
            "--cache takes a size such as 4M, of 256K at least, not 'lots'",
        ),
    ] {
        assert_eq!(error(platform, line), message);
    }
}

#[test]
fn help_names_what_can_be_said() {
    let text = help(Platform::Unix).to_string();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert!(lines.iter().any(|l| l.starts_with("--http-port=PORT ")));
    assert!(text.contains("--pack") && text.contains("--tap"));
    let text = help(Platform::Xen).to_string();
    assert!(text.contains("--ipv4-gateway") && !text.contains("--tap"));
}

proptest! {
    #[test]
    fn no_words_panic(words: Vec<String>) {
        for platform in [Platform::Xen, Platform::Unix] {
            let _ = Command::parse(platform, words.iter().map(String::as_str), []);
            let _ = Command::parse(platform, [], words.iter().map(String::as_str));
        }
    }

    #[test]
    fn nearly_arguments_do_not_panic(line in "(--?(ipv4|ipv6|http-port|logs|l|mac|tap|net)[=/.: 0-9a-z]{0,20} ?){0,4}") {
        let _ = parse(Platform::Xen, &line);
        let _ = parse(Platform::Unix, &line);
    }
}

/// docs/arguments.md has a row for each argument, and no other; its examples are right.
#[test]
fn the_page_about_arguments_is_true() {
    let page = include_str!("../../../docs/arguments.md");
    let rows: Vec<Vec<String>> = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let cells = line.replace("\\|", "\0");
            let cells = cells.split('|').map(|cell| cell.replace('\0', "|"));
            cells.map(|cell| cell.trim().to_string()).collect()
        })
        .collect();
    for (platform, name) in [(Platform::Xen, "Xen"), (Platform::Unix, "Unix")] {
        let here = |row: &&Vec<String>| row[2] == name || row[2] == "both";
        let here: Vec<_> = rows.iter().filter(here).collect();
        let text = help(platform).to_string();
        let known = text.lines().filter_map(|l| l.split_whitespace().next());
        let known: Vec<_> = known.map(|name| alloc::format!("`{name}`")).collect();
        let said: Vec<_> = here.iter().map(|row| row[1].clone()).collect();
        assert_eq!(said, known, "{name}");
        for row in here {
            let example = row[4].trim_matches('`');
            let argument = row[1].trim_matches('`').split('=').next().unwrap();
            assert!(example.contains(argument), "{example}");
            // What needs our own stack has it on Xen.
            let words = match platform {
                Platform::Xen => example.replace("--net=direct ", ""),
                Platform::Unix => example.to_string(),
            };
            assert!(parse(platform, &words).is_ok(), "{name}: {words}");
        }
    }
}

#[test]
fn where_everything_is() {
    let redirect = |url: &str| match Command::parse(Platform::Xen, [], ["--redirect", url]) {
        Ok(Command::Serve(config)) => config.redirect,
        _ => None,
    };
    for url in [
        "http://a",
        "https://example.org",
        "https://example.org:8443/",
        "https://[::1]:8443/b/c",
        "http://10.0.0.1/a%20b",
    ] {
        assert_eq!(redirect(url).as_deref(), Some(url));
    }
    for url in [
        "example.org",
        "/a",
        "//a",
        "ftp://a",
        "HTTPS://a",
        "https://",
        "https:///a",
        "https://:80",
        "https://u@a",
        "https://a?b",
        "https://a#b",
        "https://a b",
        "https://a\r\nb",
        "https://ä",
    ] {
        assert_eq!(redirect(url), None, "{url}");
    }
}
