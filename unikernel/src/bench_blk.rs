//! Reads every file of the volume on its first disk, cold, as often as its command line says, and
//! prints what that took: `extra="PASSES"`. For scripts/bench-blk.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "xen/disk.rs"]
mod disk;

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};

use blkfront::{Blkfront, Vdev};
use minios::ShutdownReason;
use minios::console::{self, Console};
use minios::exec::{Executor, Spawner};
use minios::xen::{self, Boot};
use minios::xenstore::Store;
use www::cache::Cache;
use www::fat::{Limits, Volume};

use disk::Disk;

minios::guest!(main);

/// Less than there is on the disk, so that nothing is read twice from the cache.
const CACHE: usize = 8 << 20;

fn main(boot: Boot) -> ! {
    let domain = boot.domain.clone();
    let executor = Executor::new();
    let spawner = executor.spawner();
    if let Some(console) = Console::new(&domain).map(Rc::new) {
        console::install(console.clone());
        let _ = spawner.spawn(async move { console.run().await });
    }
    let done = domain.block_on(&executor, run(&boot, &spawner));
    let line = done.unwrap_or_else(|why| format!("failed: {why}"));
    console::print(format!("{line}\n").as_bytes());
    xen::stop(&domain, ShutdownReason::Poweroff)
}

async fn run(boot: &Boot, spawner: &Spawner) -> Result<String, String> {
    let domain = &boot.domain;
    let line = String::from_utf8_lossy(boot.command_line);
    let passes: u32 = line.trim().parse().map_err(|_| "extra= is a number")?;
    let store = Store::new(domain);
    let pump = store.clone();
    spawn(spawner, async move {
        pump.run().await;
    })?;
    let vdev: Vdev = "xvda".parse().map_err(|_| "xvda")?;
    blkfront::wait_for(&store, vdev).await.map_err(text)?;
    let config = blkfront::Config::default();
    let (device, link) = Blkfront::connect(domain, &store, vdev, &config)
        .await
        .map_err(text)?;
    let link = Rc::new(link);
    let watched = link.clone();
    spawn(spawner, async move {
        let _ = watched.run().await;
    })?;

    let cache = Cache::new(CACHE);
    let (begun, cpu) = (domain.now(), xen::cpu_time());
    let disk = Disk {
        domain: domain.clone(),
        device: device.clone(),
    };
    let volume = Volume::mount(disk, &cache, Limits::default());
    let volume = Rc::new(volume.await.map_err(text)?);
    let mounted = domain.now().since(begun).as_micros();
    let spent = (xen::cpu_time() - cpu).as_micros();
    say(&format!("mounted in {mounted} us, {spent} us of guest CPU"));

    // Once for what is made when it is first needed.
    read_all(&volume).await?;
    let before = cache.counters();
    let (begun, cpu) = (domain.now(), xen::cpu_time());
    let mut bytes = 0;
    for _ in 0..passes {
        bytes += read_all(&volume).await?;
    }
    let took = domain.now().since(begun).as_micros();
    let spent = (xen::cpu_time() - cpu).as_micros();
    let after = cache.counters();
    say(&format!(
        "{} bytes from the device in {} reads",
        after.bytes - before.bytes,
        after.reads - before.reads
    ));
    say(&format!("{:?}", device.stats()));
    drop(volume);
    link.shutdown().await.map_err(text)?;
    Ok(format!("bench: {bytes} {took} {spent}"))
}

/// Reads each file once, in the order of the index; says how many bytes there were.
async fn read_all(volume: &Rc<Volume<Disk>>) -> Result<u64, String> {
    let mut bytes = 0;
    for file in volume.entries().filter_map(|entry| entry.file()) {
        let mut reader = volume.open(file);
        while let Some(chunk) = reader.chunk().await.map_err(text)? {
            bytes += chunk.as_ref().len() as u64;
        }
    }
    Ok(bytes)
}

fn spawn(
    spawner: &Spawner,
    future: impl core::future::Future<Output = ()> + 'static,
) -> Result<(), String> {
    let spawned = spawner.spawn(Box::pin(future));
    spawned.map_err(|_| String::from("no memory to start"))
}

fn say(text: &str) {
    console::print(format!("{text}\n").as_bytes());
}

fn text(error: impl core::fmt::Display) -> String {
    error.to_string()
}
