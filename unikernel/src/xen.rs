//! mir-www as a Xen guest: the boot layer, the interface, the TCP stack and the site, wired.
#![no_std]
#![no_main]

extern crate alloc;

#[path = "xen/addresses.rs"]
mod addresses;
#[path = "xen/disk.rs"]
mod disk;
#[path = "xen/disks.rs"]
mod disks;

use alloc::rc::Rc;
use alloc::string::String;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use minios::abi::start_info::MAX_GUEST_CMDLINE;
use minios::console::{self, Console};
use minios::exec::{Executor, Spawner, race, yield_now};
use minios::logger::{Filter, Logger};
use minios::power::Control;
use minios::xen::{self, Boot};
use minios::xenstore::Store;
use minios::{Domain, PAGE_SIZE, ShutdownReason};
use netfront::{Events, Link, Netfront};
use www::Stack;
use www::config::{self, Command, Config, KvRo, Platform};
use www::http::{Limits, Service};
use www::net::Net;
use www::pack::Pack;
use www::stats::Stats;
use www::store::Site;

use disk::Disk;
use disks::Disks;

minios::guest!(main);

minios::package_note!(concat!(
    r#"{"type":"mir-www","name":"mir-www-xen","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","build":""#,
    env!("MIR_BUILD"),
    r#""}"#
));

/// How long a stop waits for answers that are under way. The domain is to be gone in 3 s, on a busy host too.
const DRAIN: Duration = Duration::from_millis(1500);

/// Memory that is left to pages, tasks and buffers whatever the connections take.
const RESERVE: usize = 1 << 20;

type Web = Service<Site<'static, Disk>, WallClock>;

#[derive(Clone)]
struct WallClock(Domain);

impl www::Clock for WallClock {
    fn unix_time(&self) -> u64 {
        self.0.wall().as_secs()
    }
}

fn main(boot: Boot) -> ! {
    let domain = boot.domain.clone();
    let executor = Executor::new();
    let spawner = executor.spawner();
    let reason = match Console::new(&domain).map(Rc::new) {
        Some(console) => {
            console::install(console.clone());
            let _ = spawner.spawn(async move { console.run().await });
            domain.block_on(&executor, start(boot, spawner))
        }
        None => domain.block_on(&executor, start(boot, spawner)),
    };
    xen::stop(&domain, reason)
}

/// Reads the arguments; then serves, until the toolstack wants an end.
async fn start(boot: Boot, spawner: Spawner) -> ShutdownReason {
    // xl cuts off what is too long, and says nothing.
    if boot.command_line.len() + 1 >= MAX_GUEST_CMDLINE {
        return refuse(&"the command line is too long: Xen has room for 1022 bytes");
    }
    let built_in_line = String::from_utf8_lossy(boot.built_in);
    let words = config::split(&built_in_line).and_then(|built_in| {
        let given = config::split(&String::from_utf8_lossy(boot.command_line))?;
        Ok((built_in, given))
    });
    let command = match &words {
        Ok((built_in, given)) => Command::parse(
            Platform::Xen,
            built_in.iter().map(String::as_str),
            given.iter().map(String::as_str),
        ),
        Err(error) => return refuse(error),
    };
    let config = match command {
        Ok(Command::Serve(config)) => config,
        Ok(Command::Help) => {
            say(&config::help(Platform::Xen));
            if !built_in_line.is_empty() {
                say(&format_args!("Built in: {built_in_line}"));
            }
            return ShutdownReason::Poweroff;
        }
        Err(error) => return refuse(&error),
    };
    let filter = config
        .logs
        .as_deref()
        .map_or(Ok(Filter::default()), Filter::parse);
    match filter {
        Ok(mut filter) => {
            if !config.access_log {
                filter = filter.unless_named("access", log::LevelFilter::Off);
            }
            // The only logger there is, so that it cannot be the second.
            let _ = Logger::new(filter, xen::now, console::print).install();
        }
        Err(error) => return refuse(&format_args!("--logs: {error}")),
    }
    let domain = &boot.domain;
    let disks = match config.kv_ro {
        KvRo::Crunch | KvRo::Direct => None,
        KvRo::Fat => {
            let free = domain.memory().frames_free * PAGE_SIZE;
            match Disks::new(domain, &config, free, WallClock(domain.clone())) {
                Ok(disks) => Some(disks),
                Err(why) => return refuse(&why),
            }
        }
    };
    banner(&boot);
    match serve(&boot, &config, disks, &spawner).await {
        Ok(reason) => reason,
        Err(why) => {
            log::error!("{why}");
            // Not a crash, which a toolstack would answer with a restart that ends here again.
            ShutdownReason::Poweroff
        }
    }
}

fn say(text: &dyn core::fmt::Display) {
    console::print(alloc::format!("{text}\n").as_bytes());
}

fn refuse(why: &dyn core::fmt::Display) -> ShutdownReason {
    say(&format_args!("mir-www: {why}"));
    ShutdownReason::Poweroff
}

fn banner(boot: &Boot) {
    let memory = boot.domain.memory();
    log::info!(
        "mir-www {} ({})",
        env!("CARGO_PKG_VERSION"),
        env!("MIR_BUILD")
    );
    log::info!(
        "Xen {}, {} KiB of memory, {} KiB free",
        boot.xen_version,
        boot.memory / 1024,
        memory.frames_free * PAGE_SIZE / 1024
    );
    let mut before = boot.phases[0].1;
    for (phase, end) in boot.phases {
        log::info!("boot: {phase} {} us", micros(end.since(before)));
        before = end;
    }
}

async fn serve(
    boot: &Boot,
    config: &Config,
    disks: Option<Disks>,
    spawner: &Spawner,
) -> Result<ShutdownReason, String> {
    let domain = &boot.domain;
    let spawn = |future: disks::Task| {
        spawner
            .spawn(future)
            .map_err(|_| String::from("no memory to start"))
    };
    let site = match &disks {
        Some(disks) => Site::Fat(disks.site()),
        None => Site::Pack(pack(boot)?),
    };
    let store = Store::new(domain);
    let pump = store.clone();
    spawn(alloc::boxed::Box::pin(async move {
        let lie = pump.run().await;
        log::error!("xenstore breaks its protocol: {lie}");
    }))?;
    if let Err(error) = store.reset_watches().await {
        log::warn!("xenstore: watches of an earlier guest may be left: {error}");
    }
    let control = match Control::open(domain, &store).await {
        Ok(control) => Some(control),
        Err(error) => {
            log::error!("xenstore: xl shutdown will not be heard: {error}");
            None
        }
    };
    let begun = domain.now();
    let up = network(domain, &store, config, spawner, site, disks.as_ref()).await;
    let (service, link) = match up {
        Ok(up) => up,
        Err(why) => {
            log::error!("{why}");
            let Some(control) = control else {
                return Ok(ShutdownReason::Poweroff);
            };
            // The operator reads the console, and may want to stop this in good order.
            return Ok(control
                .request()
                .await
                .map_or(ShutdownReason::Poweroff, |r| r.reason()));
        }
    };
    log::info!("boot: network {} us", micros(domain.now().since(begun)));
    if let Some(disks) = &disks {
        disks.start(&store, &spawn)?;
        let (disks, domain) = (disks.clone(), domain.clone());
        spawn(alloc::boxed::Box::pin(async move {
            disks.settled().await;
            ready(&domain);
        }))?;
    } else {
        ready(domain);
    }

    let watched = Rc::clone(&link);
    spawn(alloc::boxed::Box::pin(async move {
        // It has said in the log what happened; what is left to do is to listen to the toolstack.
        let _ = watched.run().await;
    }))?;
    let request = match control {
        Some(control) => control.request().await,
        None => core::future::pending().await,
    };
    let reason = match request {
        Ok(request) => request.reason(),
        Err(error) => {
            log::error!("xenstore: {error}: xl shutdown is not heard any more");
            core::future::pending().await
        }
    };
    log::info!(
        "stopping: {} connections, {}",
        service.active(),
        service.report()
    );
    log::info!(
        "ran for {} us in {} us",
        micros(xen::cpu_time()),
        domain.now().as_nanos() / 1000
    );
    service.drain();
    race(pin!(service.drained()), domain.sleep(DRAIN)).await;
    if let Some(disks) = &disks {
        disks.stop();
    }
    if let Err(error) = link.shutdown().await {
        log::warn!("vif/0: {error}");
    }
    if let Some(disks) = &disks {
        disks.stopped().await;
    }
    if domain.leaked() > 0 {
        log::warn!("{} pages are still mapped by a backend", domain.leaked());
    }
    Ok(reason)
}

/// Microseconds for the log: to write a number of 128 bits takes a kilobyte of the image.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn ready(domain: &Domain) {
    log::info!("ready {} us after entry", domain.now().as_nanos() / 1000);
}

/// The site in the image.
fn pack(boot: &Boot) -> Result<Pack<'static>, String> {
    let domain = &boot.domain;
    let begun = domain.now();
    let pack = Pack::load(boot.payload).map_err(|error| match boot.payload {
        [] => String::from("there is no site in this image: mir build -t xen puts one in"),
        _ => alloc::format!("the site in this image cannot be used: {error}"),
    })?;
    let took = micros(domain.now().since(begun));
    log::info!(
        "site: {} paths, {} bytes, checked in {took} us",
        pack.entries().len(),
        pack.size()
    );
    Ok(pack)
}

/// Brings up the interface and the stack, and begins to serve.
async fn network(
    domain: &Domain,
    store: &Store,
    config: &Config,
    spawner: &Spawner,
    site: Site<'static, Disk>,
    disks: Option<&Disks>,
) -> Result<(Rc<Web>, Rc<Link>), String> {
    let free = || domain.memory().frames_free * PAGE_SIZE;
    let mut interface = netfront::Config::default();
    if free() < 6 << 20 {
        interface.tx_pages = 128;
    }
    let (device, link) = Netfront::connect(domain, store, 0, &interface)
        .await
        .map_err(|error| alloc::format!("vif/0: {error}"))?;
    let events = device.events();
    let mac = device.mac().0;

    let mut stack = www::net::Config::new(mac, config.http_port, domain.seed());
    addresses::choose(config, store, &link, &mut stack).await;
    let spare = free().saturating_sub(RESERVE + disks.map_or(0, Disks::memory));
    stack.memory = spare / 4 * 3;
    // A connection that waits costs a record and a task, not a socket.
    stack.max_connections = config
        .max_connections
        .unwrap_or((spare / 2048).clamp(64, 50_000));
    // The rest is for those who come anew: HTTP knows better than TCP who can be spared for them.
    let limits = Limits {
        connections: stack.max_connections - stack.max_connections / 16,
        ..Limits::default()
    };
    log::info!(
        "net: up to {} connections in {} KiB",
        stack.max_connections,
        stack.memory / 1024
    );

    let net = Net::new(device, stack, stack_time(domain));
    net.announce(stack_time(domain));
    let stats = Rc::new(Stats::default());
    let mut service = Service::new(site, WallClock(domain.clone()), limits, stats);
    service.redirect_to(config.redirect.clone());
    let service = Rc::new(service);
    let driver = drive(domain.clone(), net.clone(), events, service.clone());
    let accepter = accept(net, service.clone(), spawner.clone());
    spawner
        .spawn(driver)
        .and_then(|()| spawner.spawn(accepter))
        .map_err(|_| String::from("no memory to start"))?;
    Ok((service, Rc::new(link)))
}

/// Takes connections and serves each in a task of its own.
async fn accept(net: Net<Netfront>, service: Rc<Web>, spawner: Spawner) {
    loop {
        let connection = net.accept().await;
        let service = service.clone();
        // If there is no memory for a task, the connection is reset, and others go on.
        let _ = spawner.spawn(async move { service.serve(connection).await });
    }
}

/// Drives the stack: a round when the interface has something, when a connection has something to
/// send, and when a timer is due.
async fn drive(domain: Domain, net: Net<Netfront>, events: Events, service: Rc<Web>) {
    let mut timer = pin!(domain.sleep(Duration::ZERO));
    let mut refused = 0;
    loop {
        let next = net.poll(stack_time(&domain));
        net.with_device(Netfront::flush);
        // Whoever found no memory sends again soon; somebody who only waits makes room until then.
        let short = net.out_of_memory();
        if short != refused {
            refused = short;
            service.reap();
        }
        if next.more {
            yield_now().await;
            continue;
        }
        if let Some(deadline) = next.deadline {
            let micros = u64::try_from(deadline.total_micros()).unwrap_or(0);
            timer
                .as_mut()
                .reset(minios::Instant::from_nanos(micros.saturating_mul(1000)));
        }
        poll_fn(|cx| {
            // All three, so that each knows whom to wake.
            let event = events.poll_wait(cx).is_ready();
            let dirty = net.poll_dirty(cx).is_ready();
            let due = next.deadline.is_some() && timer.as_mut().poll(cx).is_ready();
            if event || dirty || due {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

fn stack_time(domain: &Domain) -> www::net::Instant {
    // Rounded up, so that a deadline that has come is not asked for again.
    let micros = domain.now().as_nanos().div_ceil(1000);
    www::net::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
