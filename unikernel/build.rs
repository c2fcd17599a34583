//! Names the build, and says how the guest is linked: freestanding, by minios' own linker script. Everything else is linked
//! as usual.

use std::process::Command;

fn main() {
    // Where there is no git, as in a release's archive, the version has to do.
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output();
    let build = git
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "release".into());
    println!("cargo:rustc-env=MIR_BUILD={}", build.trim());
    for path in ["../.git/HEAD", "../.git/refs/heads"] {
        if std::path::Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");

    let script = "../minios/kernel.ld";
    println!("cargo:rerun-if-changed={script}");
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    for argument in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        &format!("-T{here}/{script}"),
        "-Wl,--build-id=none",
        "-Wl,-z,max-page-size=4096",
        "-Wl,-z,noexecstack",
        "-Wl,--no-undefined",
        "-Wl,--gc-sections",
        // Functions of the same instructions are one; nothing compares addresses of functions.
        "-Wl,--icf=all",
    ] {
        for guest in ["mir-www-xen", "minios-failing", "bench-blk"] {
            println!("cargo:rustc-link-arg-bin={guest}={argument}");
        }
    }
}
