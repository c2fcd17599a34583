//! mir-www on Unix: the service over the kernel's sockets, or over our own TCP/IP stack on a tap
//! device.

#[path = "unix/clock.rs"]
mod clock;
#[path = "unix/driven.rs"]
mod driven;
#[path = "unix/folder.rs"]
mod folder;
#[path = "unix/image.rs"]
mod image;
#[path = "unix/images.rs"]
mod images;
#[path = "unix/kernel.rs"]
mod kernel;
#[path = "unix/listen.rs"]
mod listen;
#[path = "unix/log.rs"]
mod log_thread;
#[path = "unix/place.rs"]
mod place;
#[path = "unix/site.rs"]
mod site;
#[path = "unix/tap/mod.rs"]
mod tap;
#[path = "unix/timers.rs"]
mod timers;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{self, Context, Waker};
use std::time::{Duration, Instant};

use minios::exec::{Executor, Spawner, yield_now};
use mio::net::UnixStream;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::process::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use www::config::{self, Command, Config, KvRo, NetKind, Platform};
use www::http::{Limits, Service};
use www::pack::Pack;
use www::stats::Stats;
use www::store::Site;

use clock::Clock;
use driven::Driven;
use folder::Folder;
use images::Watched;
use kernel::Kernel;
use place::Place;
use tap::Direct;

/// What the system calls a wrong command line (sysexits.h).
const USAGE: u8 = 64;

/// How long a stop waits for answers that are under way.
const DRAIN: Duration = Duration::from_secs(2);

/// Descriptors that are not connections, or those of connections that have to go for others and
/// have not gone yet.
const OTHER_FILES: u64 = 96;

/// Connections at once, if nothing else is said and the system allows it.
const CONNECTIONS: usize = 50_000;

/// Connections taken before those that are open get their turn.
const ACCEPTED_A_TURN: u32 = 16;

const SIGNAL: Token = Token(0);

minios::package_note!(concat!(
    r#"{"type":"mir-www","name":"mir-www","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","build":""#,
    env!("MIR_BUILD"),
    r#""}"#
));

type Web = Service<Place, Clock>;

fn main() -> ExitCode {
    since_start();
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let line = match site::built_in() {
        Ok(line) => line,
        Err(error) => {
            say(&error);
            return ExitCode::FAILURE;
        }
    };
    let built_in = match config::split(&line) {
        Ok(built_in) => built_in,
        Err(error) => return usage(&format_args!("built in: {error}")),
    };
    let built_in = built_in.iter().map(String::as_str);
    let config = match Command::parse(Platform::Unix, built_in, words.iter().map(|word| &**word)) {
        Ok(Command::Serve(config)) => config,
        Ok(Command::Help) => {
            let help = config::help(Platform::Unix);
            let mut text = format!("Serves the web site that is in it.\n\n{help}");
            if !line.is_empty() {
                text += &format!("\nBuilt in: {line}\n");
            }
            return ExitCode::from(u8::from(io::stdout().write_all(text.as_bytes()).is_err()));
        }
        Err(error) => return usage(&error),
    };
    if let Err(error) = log_thread::install(&config) {
        return usage(&error);
    }
    let done = run(&config);
    log_thread::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

fn usage(error: &dyn Display) -> ExitCode {
    say(error);
    ExitCode::from(USAGE)
}

/// Why this ends. `eprintln!` would panic if nobody can be told.
fn say(error: &dyn Display) {
    let _ = writeln!(io::stderr(), "mir-www: {error}");
}

fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let pack = match config.kv_ro {
        KvRo::Crunch => Some(site::load(config.pack.as_deref())?),
        KvRo::Fat | KvRo::Direct => None,
    };
    let clock = Clock::new();
    let poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let wanted = config.max_connections.unwrap_or(CONNECTIONS);
    match config.net {
        NetKind::Socket => {
            let kernel = Kernel::new(registry, listen::listen(config)?, &clock)?;
            let site = site(config, pack, &clock, poll.registry())?;
            serve(poll, kernel, site, clock, config, connections(config))
        }
        NetKind::Direct => {
            let direct = Direct::new(config, &clock, &registry, wanted)?;
            let site = site(config, pack, &clock, poll.registry())?;
            // The rest is for those who come anew: HTTP knows better than TCP who can be spared
            // for them.
            serve(poll, direct, site, clock, config, wanted - wanted / 16)
        }
    }
}

fn site(
    config: &Config,
    pack: Option<Pack<'static>>,
    clock: &Clock,
    registry: &Registry,
) -> Result<Place, Box<dyn Error>> {
    Ok(match (pack, &config.site) {
        (Some(pack), _) => Place::Made(Watched::fixed(Site::Pack(pack))),
        (None, Some(folder)) => Place::Folder(Folder::open(folder, config.reload, registry)?),
        (None, None) => Place::Made(at_once(Watched::images(config, clock))?),
    })
}

fn serve<S: Driven>(
    mut poll: Poll,
    stack: S,
    site: Place,
    clock: Clock,
    config: &Config,
    connections: usize,
) -> Result<(), Box<dyn Error>> {
    let mut signals = signals()?;
    poll.registry()
        .register(&mut signals, SIGNAL, Interest::READABLE)?;
    let executor = Executor::new();
    let limits = Limits {
        connections,
        ..Limits::default()
    };
    let stats = Rc::new(Stats::default());
    let mut service = Service::new(site, clock.clone(), limits, stats);
    service.redirect_to(config.redirect.clone());
    let service = Rc::new(service);
    let spawner = executor.spawner();
    spawner
        .spawn(accept(stack.clone(), service.clone(), spawner.clone()))
        .map_err(|_| "no memory to start")?;
    let mut events = Events::with_capacity(1024);
    let mut stop_at: Option<Instant> = None;
    loop {
        let mut busy = true;
        for _ in 0..S::ROUNDS {
            executor.run_ready();
            busy = stack.turn()? || executor.is_ready();
            if !busy {
                break;
            }
        }
        let reaped = (0..stack.wants_room()).map(|_| service.reap());
        if reaped.filter(|reaped| *reaped).count() > 0 {
            stack.made_room();
        }
        if stop_at.is_some_and(|at| service.active() == 0 || at <= Instant::now()) {
            stack.report();
            log::info!(target: "unix", "stopped: {}", service.report());
            return Ok(());
        }
        if let Some(urls) = stack.urls() {
            // Whoever started this may wait for the line, and may have stopped to listen.
            let _ = writeln!(io::stdout(), "mir-www serves {}", urls.join(" and "));
        }
        let left = stop_at.map(|at| at.saturating_duration_since(Instant::now()));
        let quiet = match busy || executor.is_ready() {
            true => Some(Duration::ZERO),
            false => [stack.quiet_for(), left].into_iter().flatten().min(),
        };
        match poll.poll(&mut events, quiet) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        clock.tick();
        stack.tick();
        for event in &events {
            if event.token() == folder::WAKE {
                // Who it is about was woken already.
            } else if event.token() != SIGNAL {
                stack.event(event);
            } else if stop_at.is_some() {
                return Ok(());
            } else if signals.read(&mut [0; 16]).is_ok() {
                log::info!(target: "unix", "stopping: {} connections", service.active());
                stack.stop_listening();
                service.drain();
                service.store().stop();
                stop_at = Some(Instant::now() + DRAIN);
            }
        }
    }
}

/// The result of what never waits for anything but its next turn.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let task::Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

/// Takes connections and serves each in a task of its own.
async fn accept<S: Driven>(stack: S, service: Rc<Web>, spawner: Spawner) {
    loop {
        for _ in 0..ACCEPTED_A_TURN {
            let socket = stack.accept().await;
            let service = service.clone();
            // If there is no memory for a task, the connection is reset, and others go on.
            let _ = spawner.spawn(async move { service.serve(socket).await });
        }
        yield_now().await;
    }
}

/// As many connections as asked for, or as descriptors allow.
fn connections(config: &Config) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = config.max_connections.unwrap_or(CONNECTIONS);
    let files = wanted as u64 + OTHER_FILES;
    if limit.current.is_some_and(|current| current < files) {
        limit.current = Some(limit.maximum.map_or(files, |maximum| maximum.min(files)));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            log::warn!(target: "unix", "the limit on open files stays as it is: {error}");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = files.saturating_sub(OTHER_FILES).max(files / 4);
    let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
    if config.max_connections.is_some_and(|wanted| wanted > most) {
        log::warn!(target: "unix", "the limit on open files allows {most} connections");
    }
    wanted.min(most)
}

/// Becomes readable when a signal to stop arrives.
fn signals() -> io::Result<UnixStream> {
    let (here, there) = StdUnixStream::pair()?;
    here.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGINT, there.try_clone()?)?;
    signal_hook::low_level::pipe::register(SIGTERM, there)?;
    Ok(UnixStream::from_std(here))
}

fn since_start() -> minios::Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    minios::Instant::ZERO + elapsed
}
