//! Domains for libvirt, by libvirt's own schema.

use std::path::{Path, PathBuf};
use std::process::Command;

use mir::toolstack::{Disk, Domain, Vif, libvirt};

fn validate(file: &Path) {
    let output = Command::new("virt-xml-validate")
        .arg(file)
        .arg("domain")
        .output()
        .expect("virt-xml-validate: scripts/need libvirt");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
}

#[test]
fn the_schema_holds() {
    let domain = Domain {
        name: "www-2".to_owned(),
        kernel: PathBuf::from("/srv/www/mir-www.xen"),
        memory_mib: 64,
        vif: Vif {
            bridge: "br0".to_owned(),
            ip: Some("10.0.0.9/24 2001:db8::9".to_owned()),
            mac: Some("00:16:3e:00:00:01".to_owned()),
        },
        disks: vec![Disk {
            vdev: "xvda".to_owned(),
            target: PathBuf::from("/dev/vg0/files"),
        }],
        extra: "--logs='net:debug, *:info' <&\" --kv_ro=fat".to_owned(),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("domain.xml");
    std::fs::write(&file, libvirt(&domain)).unwrap();
    validate(&file);

    // It tells what is wrong.
    std::fs::write(&file, libvirt(&domain).replace("<vcpu>1", "<vcpu>one")).unwrap();
    let output = Command::new("virt-xml-validate")
        .arg(&file)
        .arg("domain")
        .output();
    assert!(!output.unwrap().status.success());
}
