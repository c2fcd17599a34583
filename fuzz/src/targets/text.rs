//! Short texts: dates, lists of encodings, command lines, log levels.

pub(super) mod http_date {
    use std::time::{Duration, UNIX_EPOCH};

    use www::date;

    /// 2026-11-23.
    const NOW: u64 = 1_795_392_000;

    /// What is read is a date, and the same one to others.
    pub(in super::super) fn run(bytes: &[u8]) {
        // As a header field's value comes.
        let bytes = bytes.trim_ascii();
        let ours = date::parse(bytes, NOW);
        if let Some(unix) = ours {
            let again = date::imf_fixdate(unix);
            assert_eq!(date::parse(&again, 0), Some(unix));
            let theirs = UNIX_EPOCH + Duration::from_secs(unix);
            assert_eq!(httpdate::fmt_http_date(theirs).as_bytes(), again);
        }
        // Two digits of a year are read differently by intent.
        let of_two_digits = bytes.contains(&b'-');
        let text = std::str::from_utf8(bytes).ok();
        // White space that HTTP does not know is nothing to them.
        let text = text.filter(|text| !of_two_digits && text.trim() == *text);
        if let Some(Ok(theirs)) = text.map(httpdate::parse_http_date) {
            let since = theirs
                .duration_since(UNIX_EPOCH)
                .expect("no year before 1970");
            assert_eq!(ours, Some(since.as_secs()), "{text:?}");
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Thu, 29 Feb 2024 23:59:60 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ])
    }
}

pub(super) mod accept_encoding {
    use www::encoding::{Accept, Encoding, Named};

    /// Nobody is sent what was not named, and two fields mean what one with a comma means.
    pub(in super::super) fn run(bytes: &[u8]) {
        let accept = Accept::parse(bytes);
        let lower = bytes.to_ascii_lowercase();
        let named = |name: &[u8]| lower.windows(name.len()).any(|w| w == name);
        for encoding in Encoding::ALL {
            let weight = accept.weight(encoding);
            assert!(weight <= 1001);
            let spoken_of = named(encoding.name().as_bytes()) || named(b"*");
            assert!(weight == 0 || encoding == Encoding::Identity || spoken_of);
            assert!(weight > 0 || encoding != Encoding::Identity || spoken_of);
        }
        let mut parts = Named::default();
        for part in bytes.split(|&byte| byte == b',') {
            parts.add(part);
        }
        assert_eq!(parts.accept(), accept);
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "gzip, deflate, br, zstd",
            "br;q=0.001, *;q=0",
            "identity;q=0, GZIP ; Q=1.000,x-gzip;q=0",
        ])
    }
}

pub(super) mod arguments {
    use www::config::{Command, Platform, split};

    /// Every command line comes to a configuration or to a reason, and quoting works.
    pub(in super::super) fn run(bytes: &[u8]) {
        let line = String::from_utf8_lossy(bytes);
        let Ok(words) = split(&line) else {
            return;
        };
        let quoted: Vec<_> = words
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
            .collect();
        assert_eq!(split(&quoted.join(" ")).as_ref(), Ok(&words));
        for platform in [Platform::Xen, Platform::Unix] {
            if let Err(error) = Command::parse(platform, [], words.iter().map(String::as_str)) {
                assert!(!error.to_string().is_empty());
            }
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 --http-port=80",
            "--ipv6=fe80::1/64 --ipv6-gateway fe80::2 -l *:debug,net:trace",
            "--http-port=\"8\\080\" '--logs=off' --max-connections 100 --help",
            "-h -linfo --pack=x",
            "--kv_ro=fat --files=xvda --pages '/dev/xvdb' --cache=4M",
            "--net=direct --tap=tap0 --mac=02:00:00:00:00:01 --dhcp --ipv6=auto --access-log=no",
            "--kv_ro=direct --site=www/site --reload=no --pcap=x",
        ])
    }
}

pub(super) mod log_filter {
    use log::LevelFilter;
    use minios::logger::Filter;

    /// What is read is a filter, and lets nothing pass that it says it does not.
    pub(in super::super) fn run(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        match Filter::parse(&text) {
            Ok(filter) => {
                for target in ["netfront", "www::net::guard", "", "::", &text] {
                    assert!(filter.level(target) <= filter.max());
                }
                assert!(filter.max() <= LevelFilter::Trace);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    pub(in super::super) fn seeds() -> Vec<Vec<u8>> {
        super::super::texts(&[
            "debug",
            "*:warn,netfront:trace,www::net:off",
            "a:b:info, x : error",
        ])
    }
}
