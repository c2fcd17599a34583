//! How the guest is linked: freestanding, by minios' own linker script. Everything else is linked
//! as usual.

fn main() {
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
    ] {
        println!("cargo:rustc-link-arg-bin=mir-www-xen={argument}");
    }
}
