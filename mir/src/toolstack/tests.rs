use proptest::prelude::*;
use std::path::Path;

use super::cfg::{Setting, Value, parse};
use super::*;
use crate::image;
use crate::link::{self, Payload};

fn domain(disks: &[(&str, &str)]) -> Domain {
    let disks = disks.iter().map(|(vdev, target)| Disk {
        vdev: (*vdev).to_owned(),
        target: PathBuf::from(target),
    });
    Domain {
        name: "mir-www".to_owned(),
        kernel: PathBuf::from("mir-www.xen"),
        memory_mib: 32,
        vif: Vif {
            bridge: "xenbr0".to_owned(),
            ip: None,
            mac: None,
        },
        disks: disks.collect(),
        extra: String::new(),
    }
}

fn fat() -> Domain {
    let mut fat = domain(&[("xvda", "files.img"), ("xvdb", "pages.img")]);
    fat.extra = "--kv_ro=fat".to_owned();
    fat
}

/// What people find in the repository is what the tool writes. To write it:
/// `MIR_WRITE_EXAMPLES=1 cargo test -p mir --lib toolstack`.
#[test]
fn the_examples_are_what_is_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xl-configs");
    for (name, domain) in [("www.xl", domain(&[])), ("www-fat.xl", fat())] {
        let text = xl(&domain, name);
        let path = folder.join(name);
        if std::env::var_os("MIR_WRITE_EXAMPLES").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap();
        assert!(there == text, "{name} is not what mir writes");
    }
}

fn settings(text: &str) -> Vec<(String, Value)> {
    let settings = parse(text).unwrap();
    let pairs = settings.into_iter();
    pairs
        .map(|Setting { name, value, .. }| (name, value))
        .collect()
}

fn atom(text: &str) -> Value {
    Value::Atom(text.to_owned())
}

#[test]
fn xl_reads_what_was_meant() {
    let mut domain = fat();
    domain.vif.ip = Some("10.0.0.9".to_owned());
    domain.vif.mac = Some("00:16:3e:00:00:01".to_owned());
    domain.disks[1].target = PathBuf::from("/it's a \\ \"disk\", mine");
    domain.extra = "--logs='net:debug, *:info' \"\\\"\"\n#".to_owned();
    let text = xl(&domain, "www.xl");
    let got = settings(&text);
    let names: Vec<_> = got.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "name", "type", "kernel", "memory", "vcpus", "disk", "vif", "extra", "on_crash"
        ]
    );
    let Value::List(disks) = &got[5].1 else {
        panic!("{text}")
    };
    let target = "format=raw,vdev=xvdb,access=ro,target=/it's a \\ \"disk\", mine";
    assert_eq!(disks[1].1, atom(target));
    let Value::List(vifs) = &got[6].1 else {
        panic!("{text}")
    };
    assert_eq!(
        vifs[0].1,
        atom("bridge=xenbr0,ip=10.0.0.9,mac=00:16:3e:00:00:01")
    );
    assert_eq!(got[7].1, atom(&domain.extra));
}

#[test]
fn the_grammar_of_xl() {
    let text = "a = 1; b='x\\'y'\n# c = 1\nd.e_9 += [ 'p', # first\n\n 0x1f, [\"q\"\n], ] # end\n";
    let got = parse(text).unwrap();
    assert_eq!((got[0].line, &got[0].value), (1, &atom("1")));
    assert_eq!((got[1].line, &got[1].value), (1, &atom("x'y")));
    assert_eq!(
        (got[2].line, got[2].adds, got[2].name.as_str()),
        (3, true, "d.e_9")
    );
    let inner = Value::List(vec![(5, atom("q"))]);
    let list = vec![(3, atom("p")), (5, atom("0x1f")), (5, inner)];
    assert_eq!(got[2].value, Value::List(list));
    for (text, line) in [
        ("a = ", 1),
        ("a b", 1),
        ("\nA = 1", 2),
        ("a = 'x", 1),
        ("a = 'x\n'", 1),
        ("a = '\\x41'", 1),
        ("a = [1\n2]", 2),
        ("a = [1,\n\n", 3),
        ("a = 1 2", 1),
        ("a = 1\r\n", 1),
        ("a = 1 # no line feed", 1),
        ("a = [[[[[[[[[[[[1]]]]]]]]]]]]", 1),
    ] {
        assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
    }
}

#[test]
fn xml_is_escaped() {
    let mut domain = fat();
    domain.name = "<a&\"b'>\u{1}\n".to_owned();
    domain.disks[0].target = PathBuf::from("/dev/vg0/files");
    domain.vif.ip = Some("10.0.0.9/24 2001:db8::9".to_owned());
    let text = libvirt(&domain);
    assert!(
        text.contains("<name>&lt;a&amp;&quot;b&apos;&gt;\u{fffd}&#10;</name>"),
        "{text}"
    );
    assert!(
        text.contains("<disk type='block' device='disk'>\n      <source dev='/dev/vg0/files'/>")
    );
    assert!(text.contains("<ip address='10.0.0.9' family='ipv4' prefix='24'/>"));
    assert!(text.contains("<ip address='2001:db8::9' family='ipv6'/>"));
}

/// A kernel of one page.
fn kernel(site: bool, words: &str) -> Vec<u8> {
    let mut file = vec![0; 8192];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16] = 2;
    file[18] = 62;
    let mut put = |at: usize, value: u64, len: usize| {
        file[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    };
    put(32, 64, 8);
    put(54, 56, 2);
    put(56, 2, 2);
    for (number, (kind, offset, size)) in [(1, 4096, 4096), (4, 4128, 52)].into_iter().enumerate() {
        let at = 64 + number * 56;
        put(at, kind, 4);
        put(at + 8, offset, 8);
        put(at + 16, 0x10_0000 + offset - 4096, 8);
        put(at + 24, 0x10_0000 + offset - 4096, 8);
        put(at + 32, size, 8);
        put(at + 40, size, 8);
    }
    file[4128..4140].copy_from_slice(&[8, 0, 0, 0, 32, 0, 0, 0, 1, 1, 0, 0]);
    file[4140..4148].copy_from_slice(b"mir-www\0");
    let site = match site {
        true => {
            let item = crate::site::Item {
                path: "/".to_owned(),
                media_type: crate::media::HTML,
                rendered: true,
                modified: 0,
                body: b"hello".to_vec(),
            };
            let rendered = crate::site::Rendered {
                items: vec![item],
                ..crate::site::Rendered::default()
            };
            crate::pack::pack(rendered, &crate::pack::Cache::none()).unwrap()
        }
        false => Vec::new(),
    };
    let payload = Payload {
        pack: &site,
        words,
        about: "{}",
    };
    link::xen::link(&file, &payload).unwrap().bytes
}

/// The findings for this text, in a folder with images, disks, and something else.
fn found(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    put("mir-www.xen", &kernel(true, ""));
    put("fat.xen", &kernel(false, "--kv_ro=fat --http-port=81"));
    put("other.xen", b"#!/bin/sh\n");
    put("files.img", b"");
    put("pages.img", b"");
    let here = format!("{}/", folder.path().display());
    let text = text.replace("@", &here);
    let findings = check(&text, folder.path());
    let lines = findings
        .iter()
        .map(|f| format!("{} {}: {}", f.line, f.severity, f.what));
    lines.map(|line| line.replace(&here, "@")).collect()
}

/// What mir writes is right, but for the paths of examples, which are not full.
#[test]
fn nothing_is_wrong_with_what_is_generated() {
    let full = |mut domain: Domain| {
        domain.kernel = PathBuf::from("@mir-www.xen");
        for disk in &mut domain.disks {
            disk.target = PathBuf::from(format!("@{}", disk.target.display()));
        }
        found(&xl(&domain, "www.xl"))
    };
    assert_eq!(full(domain(&[])), [""; 0]);
    assert_eq!(full(fat()), [""; 0]);
    let mut words = domain(&[]);
    words.extra = image::join(&["--ipv4=10.0.0.9/24".to_owned(), "--logs=*:info".to_owned()]);
    words.vif.ip = Some("10.0.0.3".to_owned());
    assert_eq!(full(words), [""; 0]);
    let relative = found(&xl(&fat(), "www-fat.xl"));
    assert_eq!(relative.len(), 3, "{relative:?}");
    assert!(
        relative
            .iter()
            .all(|line| line.contains("warning: ") && line.contains("reboot"))
    );
}

const GOOD: &str =
    "name = 'a'\ntype = 'pv'\nkernel = '@mir-www.xen'\nmemory = 32\nvif = ['bridge=b']\n";

#[test]
fn many_lines_are_read_at_once() {
    // Each beside each other would take minutes.
    let names: String = (0..200_000).map(|n| format!("n{n}=1\n")).collect();
    assert_eq!(found(&(GOOD.to_owned() + &names)).len(), 200_000);
    let disk = |n| format!("'vdev=d{n},access=ro,target=@files.img',\n");
    let disks: String = (0..30_000).map(disk).collect();
    assert_eq!(found(&format!("{GOOD}disk = [{disks}]\n")).len(), 1);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    assert_eq!(found(GOOD), [""; 0]);
    let more = |text: &str| found(&format!("{GOOD}{text}\n"));
    let instead = |line: usize, text: &str| {
        let mut lines: Vec<_> = GOOD.lines().collect();
        lines[line - 1] = text;
        found(&(lines.join("\n") + "\n"))
    };
    for (got, wanted) in [
        (
            more("memry = 3"),
            "6 warning: xl does not know 'memry', and ignores it",
        ),
        (
            more("name = 'b'"),
            "6 warning: 'name' was said before: this one counts",
        ),
        (
            more("vcpus = 2"),
            "6 warning: the guest uses one vCPU; more stay idle",
        ),
        (
            more("extra = '--http-prot=1'"),
            "6 error: the guest refuses this: unknown argument '--http-prot': did you mean --http-port?",
        ),
        (
            more("extra = '--logs=loud'"),
            "6 error: the guest refuses this: --logs 'loud'",
        ),
        (
            more("extra = \"--logs='a\""),
            "6 error: a quote on the command line is not closed",
        ),
        (
            more("extra = '--help'"),
            "6 warning: --help: the guest prints its arguments and is gone",
        ),
        (
            more("root = '/dev/xvda'"),
            "6 error: root: the guest would refuse the argument root=",
        ),
        (
            more("extra = '--dhcp'\ncmdline = ''"),
            "6 warning: beside cmdline, xl ignores extra",
        ),
        (
            more("extra = ['--dhcp']"),
            "6 error: arguments are a string, not a list",
        ),
        (
            more("disk = '@files.img'"),
            "6 error: disk is a list: disk = ['...']",
        ),
        (
            more("disk = ['vdev=xvda,access=ro,target=@files.img']"),
            "6 warning: without --kv_ro=fat the guest does not look at disks",
        ),
        (instead(1, "#"), "0 error: there is no name: xl wants one"),
        (
            instead(1, "name = ''"),
            "1 error: a name is a string, not empty",
        ),
        (
            instead(1, "name = 7"),
            "1 warning: name '7': xl takes digits for a domain's number",
        ),
        (instead(4, "memory = 08"), "4 error: memory is no number"),
        (
            instead(5, "vif = ['bridge=sixteen-letters-']"),
            "5 error: bridge 'sixteen-letters-': the name of a bridge has 15 bytes at most, and one at least",
        ),
        (
            instead(5, "vif = ['brige=xenbr0']"),
            "5 warning: xl does not know 'brige' of an interface",
        ),
        (
            instead(2, "#"),
            "0 warning: there is no type; xl takes it for \"pv\" and says so",
        ),
        (
            instead(2, "type = 'hvm'"),
            "2 error: type = 'hvm': the guest is a PV one, type = \"pv\"",
        ),
        (
            instead(2, "type = 'pvh'"),
            "2 error: the guest is a PV one: type = \"pv\", or pvshim = 1 beside \"pvh\"",
        ),
        (instead(3, "#"), "0 error: there is no kernel"),
        (
            instead(3, "kernel = '@nothing'"),
            "3 error: kernel '@nothing': No such file or directory (os error 2)",
        ),
        (
            instead(3, "kernel = '@other.xen'"),
            "3 error: kernel '@other.xen': neither an image, nor a mir-www program, nor a pack",
        ),
        (
            instead(3, "kernel = 'mir-www.xen'"),
            "3 warning: kernel 'mir-www.xen': for a reboot xl looks for it from /",
        ),
        (
            instead(3, "kernel = '@fat.xen'"),
            "0 error: the guest looks for the disk xvda, which is not among these",
        ),
        (instead(4, "#"), "0 error: there is no memory"),
        (
            instead(4, "memory = 4"),
            "4 error: memory = 4: this image wants 8 MiB at least, and 32 are usual",
        ),
        (
            instead(4, "memory = 'much'"),
            "4 error: memory is no number",
        ),
        (
            instead(5, "#"),
            "0 error: there is no network interface: vif = ['bridge=xenbr0']",
        ),
        (
            instead(5, "vif = []"),
            "5 error: there is no network interface: vif = ['bridge=xenbr0']",
        ),
        (
            instead(5, "vif = ['', '']"),
            "5 warning: the guest uses its first interface alone",
        ),
        (instead(4, "memory 32"), "4 error: there should be = here"),
    ] {
        assert_eq!(got.first().map(String::as_str), Some(wanted));
    }
    // A PV guest in the shim; and arguments that take the place of those that are built in.
    assert_eq!(instead(2, "type = 'pvh'; pvshim = 1"), [""; 0]);
    assert_eq!(
        instead(3, "kernel = '@fat.xen'; extra = '--kv_ro=crunch'"),
        ["3 error: there is no site in the image, and no --kv_ro=fat"]
    );
}

#[test]
fn disks_that_are_wrong() {
    let with = |extra: &str, disks: &str| {
        let got = found(&format!(
            "{GOOD}extra = '--kv_ro=fat {extra}'\ndisk = [{disks}]\n"
        ));
        got.join("; ")
    };
    let files = "'vdev=xvda,access=ro,target=@files.img'";
    let pages = "'vdev=xvdb,access=ro,target=@pages.img'";
    assert_eq!(with("", &format!("{files}, {pages}")), "");
    assert_eq!(with("--files=xvda", files), "");
    assert_eq!(
        with("", files),
        "6 warning: the guest looks for the disk xvdb, which is not among these"
    );
    assert_eq!(
        with("--files=xvdb", files),
        "6 error: the guest looks for the disk xvdb, which is not among these"
    );
    assert_eq!(
        with("--files=xvda", "'@files.img,raw,xvda'"),
        "7 warning: xvda: the guest only reads: access=ro keeps it so"
    );
    assert_eq!(
        with("--files=xvda", "'access=ro,vdev=xvda,target=@no.img'"),
        "7 error: xvda: @no.img: No such file or directory (os error 2)"
    );
    assert_eq!(
        with("--files=xvda", &format!("{files}, {files}")),
        "7 error: xvda: there are two of that name"
    );
    let of = |length: usize| {
        let rest = length - "--kv_ro=fat --files=xvda --logs=".len();
        with(&format!("--files=xvda --logs={}", "x".repeat(rest)), files)
    };
    let long = "6 error: 1023 bytes of arguments: there is room for 1022";
    assert!(of(1023).starts_with(long), "{}", of(1023));
    assert!(!of(1022).contains("room"), "{}", of(1022));
}

proptest! {
    /// xl reads the words that were meant, and the guest splits them into the same.
    #[test]
    fn any_words_survive(words in prop::collection::vec("[^\\x00]{0,12}", 0..5), name in "[^\\x00]{1,12}") {
        let mut domain = domain(&[]);
        domain.extra = image::join(&words);
        domain.name = name;
        let text = xl(&domain, "www.xl");
        let got = settings(&text);
        prop_assert_eq!(&got[0].1, &atom(&domain.name));
        let extra = got.iter().find(|(name, _)| name == "extra");
        match extra {
            Some((_, Value::Atom(line))) => prop_assert_eq!(image::split(line), Ok(words)),
            _ => prop_assert!(words.is_empty()),
        }
    }

    #[test]
    fn no_text_panics(text in "[a-c=+\\[\\],;#'\"\\\\ \n0x]{0,40}", any: String) {
        for text in [text, any] {
            let findings = check(&text, Path::new("/nowhere"));
            prop_assert!(findings.iter().all(|finding| !finding.what.contains('\n')));
        }
    }
}
