//! What goes wrong with a tap device, a capture and `scripts/tap`, and what is said then.

use std::fs;

use tests::netns::{Direct, Namespace, fails};
use tests::unix::{binary, file, pack};

/// A command that runs the server as somebody who may not change networks.
fn unprivileged(namespace: &Namespace) -> std::process::Command {
    let mut command = namespace.command("setpriv");
    command.arg("--bounding-set=-net_admin").arg(binary());
    command
}

#[test]
fn who_may_not_have_the_device_is_told_what_to_do() {
    let namespace = Namespace::new();
    let pack = file(&pack());
    let site = format!("--pack={}", pack.path().display());
    assert_eq!(
        fails(&mut unprivileged(&namespace), &[&site]),
        (
            1,
            "mir-www: tap0 does not exist, and only root makes it: sudo scripts/tap up --tap=tap0 makes it for you"
                .into()
        )
    );
    if namespace.lone {
        eprintln!("only root can try with a device that is another user's");
    } else {
        namespace.ok("scripts/tap", &["up", "--user=nobody"]);
        assert_eq!(
            fails(&mut unprivileged(&namespace), &[&site]),
            (
                1,
                "mir-www: tap0 is not this user's: sudo scripts/tap up --tap=tap0 makes it yours"
                    .into()
            )
        );
    }
    // What is said helps.
    namespace.ok("scripts/tap", &["up", "--user=root"]);
    let server = Direct::begin(unprivileged(&namespace), &[&site], None);
    assert_eq!(namespace.curl(&[], "http://10.0.0.2/small"), b"small\n");
    assert_eq!(
        fails(&mut namespace.command(binary()), &[&site]),
        (
            1,
            "mir-www: tap0 is used by another process: choose another with --tap=NAME".into()
        )
    );
    if !namespace.lone {
        let said = namespace.run("scripts/tap", &["up", "--user=nobody"]);
        let said = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said, "tap: tap0 is in use: whose it is stays as it is\n");
    }
    assert_eq!(namespace.curl(&[], "http://10.0.0.2/small"), b"small\n");
    server.stop();
}

#[test]
fn what_is_no_tap_device() {
    let namespace = Namespace::new();
    let pack = file(&pack());
    let site = format!("--pack={}", pack.path().display());
    namespace.sh("ip tuntap add dev tun0 mode tun; ip link add br7 type bridge");
    namespace.sh("ip tuntap add dev many mode tap multi_queue; ip tuntap add dev tiny mode tap");
    namespace.sh("ip link set tiny mtu 900");
    let run = |tap: &str| {
        let tap = format!("--tap={tap}");
        fails(&mut namespace.command(binary()), &[&site, &tap])
    };
    for tap in ["tun0", "br7", "lo", "many"] {
        let why = "exists, and is not a tap device with one queue: choose another with --tap=NAME";
        assert_eq!(run(tap), (1, format!("mir-www: {tap} {why}")));
    }
    let mtu = "mir-www: tiny has an MTU of 900: sudo ip link set tiny mtu 1500; from 1280 to 9216 will do";
    assert_eq!(run("tiny"), (1, mtu.into()));
    let (status, said) = run("a-name-that-is-too-long");
    assert_eq!(status, 64, "{said}");
    assert!(said.contains("at most 15 bytes"), "{said}");
    // A percent sign would have the kernel choose a number.
    let (status, said) = run("tap%d");
    assert!(status != 0 && said.starts_with("mir-www: "), "{said}");
    let links = namespace.ok("ip", &["link"]);
    assert!(!links.contains("tap"), "{links}");
}

#[test]
fn a_system_without_tap_devices() {
    let namespace = Namespace::new();
    let pack = file(&pack());
    let script = "mount -t tmpfs tmpfs /dev/net; exec \"$@\"";
    let mut command = namespace.command("unshare");
    command
        .args(["--mount", "sh", "-ec", script, "sh"])
        .arg(binary());
    let site = format!("--pack={}", pack.path().display());
    let (status, said) = fails(&mut command, &[&site]);
    assert_eq!(status, 1);
    assert_eq!(
        said,
        "mir-www: tap0 cannot be had without /dev/net/tun: No such file or directory (os error 2): sudo modprobe tun"
    );
}

/// What tcpdump reads in a capture, a line a frame.
fn tcpdump(namespace: &Namespace, capture: &str, filter: &str) -> Vec<String> {
    let said = namespace.ok("tcpdump", &["-n", "-e", "-r", capture, filter]);
    said.lines().map(str::to_owned).collect()
}

#[test]
fn a_capture_has_every_frame() {
    let namespace = Namespace::new();
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("out.pcap");
    let capture = capture.to_str().unwrap();
    fs::write(capture, "an older one").unwrap();
    namespace.ok("scripts/tap", &["up", "--user=root"]);
    let server = Direct::start(&namespace, &[&format!("--pcap={capture}")]);
    namespace.ping("10.0.0.2");
    namespace.curl(&[], "http://10.0.0.2/large");
    // What has happened is in it while the server runs.
    let replies = tcpdump(&namespace, capture, "icmp[icmptype] == icmp-echoreply");
    assert_eq!(replies.len(), 2);
    let log = server.stop();
    let all = tcpdump(&namespace, capture, "");
    let counted = |what: &str| -> usize {
        let before = log.split(what).next().unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert_eq!(all.len(), counted(" frames in, ") + counted(" out, "));
    // As they were given to the kernel, which had nothing to cut.
    let data = tcpdump(&namespace, capture, "src host 10.0.0.2 and greater 60000");
    assert!(data.len() > 100, "{}", data.len());
    assert!(!tcpdump(&namespace, capture, "arp and src host 10.0.0.2").is_empty());
}

#[test]
fn a_full_disk_ends_the_capture_and_nothing_else() {
    let namespace = Namespace::new();
    namespace.ok("scripts/tap", &["up", "--user=root"]);
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let pack = file(&pack());
    let site = format!("--pack={}", pack.path().display());
    assert_eq!(
        fails(
            &mut namespace.command(binary()),
            &[&site, "--pcap=/dev/full"]
        ),
        (
            1,
            "mir-www: cannot write /dev/full: No space left on device (os error 28)".into()
        )
    );
    let script = format!("mount -t tmpfs -o size=256k tmpfs {at}; exec \"$@\"");
    let mut command = namespace.command("unshare");
    command
        .args(["--mount", "sh", "-ec", &script, "sh"])
        .arg(binary());
    let capture = format!("--pcap={at}/out.pcap");
    let server = Direct::begin(command, &[&site, &capture], None);
    namespace.curl(&[], "http://10.0.0.2/large");
    assert_eq!(namespace.curl(&[], "http://10.0.0.2/small"), b"small\n");
    let log = server.stop();
    let lines = log.lines().filter(|line| line.contains("capture"));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(
        lines[0].contains("the capture ends, ") && lines[0].contains("No space left"),
        "{log}"
    );
}

#[test]
fn the_script() {
    let namespace = Namespace::new();
    let tap = |words: &str| {
        let words: Vec<_> = words.split(' ').collect();
        let output = namespace.run("scripts/tap", &words);
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let fails = |words: &str, status: i32, why: &str| {
        let said = format!("tap: {why}");
        assert_eq!(tap(words), (status, String::new(), said), "{words}");
    };
    fails(
        "status",
        1,
        "tap0 does not exist: sudo scripts/tap up --tap=tap0 makes it",
    );
    fails("down", 1, "tap0 does not exist");
    fails("over", 64, "'over' is none of up, down and status");
    fails(
        "up --colour=red",
        64,
        "unknown option '--colour=red': scripts/tap help lists them",
    );
    fails("up --tap=a/b", 64, "'a/b' is not a name for a tap device");
    fails(
        "up --tap=sixteen-letters0",
        64,
        "'sixteen-letters0' is longer than 15 letters",
    );
    fails(
        "up --tap=lo",
        1,
        "lo exists, and is not a tap device: choose another with --tap=NAME",
    );
    fails("down --tap=lo", 1, "lo is not a tap device, and stays");
    fails("up --bridge=br7", 1, "there is no bridge 'br7'");
    fails(
        "up --user=nobody-at-all",
        1,
        "there is no user 'nobody-at-all'",
    );
    let both = "up --bridge=br7 --address=10.0.0.1/24";
    fails(
        both,
        64,
        "a device on a bridge has no address of its own: --address or --bridge",
    );
    let (status, out, _) = tap("up --user=root");
    assert_eq!((status, out.as_str()), (0, "tap0 DOWN 10.0.0.1/24"));
    let (_, out, _) = tap("up --user=root --address=10.0.9.1/24 --address=fd00::1/64");
    assert!(
        out.contains("10.0.0.1/24 10.0.9.1/24") && out.contains("fd00::1/64"),
        "{out}"
    );
    let (status, out, _) = tap("status");
    assert_eq!(status, 0);
    assert!(out.contains("persist on user root"), "{out}");
    // On a bridge the host has its address there, and off it again the device is a device.
    namespace.sh("ip link add br7 type bridge");
    let (status, out, _) = tap("up --user=root --bridge=br7");
    assert_eq!(status, 0);
    assert!(!out.contains("10.0.") && !out.contains("fd00:"), "{out}");
    let link = || namespace.ok("ip", &["link", "show", "tap0"]);
    assert!(link().contains("master br7"), "{}", link());
    let (_, out, _) = tap("up --user=root");
    assert!(out.contains("10.0.0.1/24"), "{out}");
    assert!(!link().contains("master"), "{}", link());
    assert_eq!(tap("down"), (0, String::new(), String::new()));
    fails(
        "status",
        1,
        "tap0 does not exist: sudo scripts/tap up --tap=tap0 makes it",
    );
    let said = namespace.run(
        "setpriv",
        &["--reuid=65534", "--clear-groups", "scripts/tap", "up"],
    );
    if !namespace.lone {
        let why = String::from_utf8_lossy(&said.stderr);
        assert!(why.contains("only root changes network devices"), "{why}");
    }
    assert!(!said.status.success());
}
