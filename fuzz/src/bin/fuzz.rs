//! Runs a target on files, or on inputs made from its seeds and from files until time is up.

use std::env;
use std::fs;
use std::io::Read;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use fuzz::mutate::Inputs;
use fuzz::{TARGETS, Target};

const USAGE: &str = "\
usage: fuzz list
       fuzz TARGET FILE...                          once for each file; - is the standard input
       fuzz TARGET --seconds N [--seed N] [FILE...] inputs made from the target's own and the files";

/// An input that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: Vec<String>) -> Result<ExitCode, String> {
    let mut arguments = arguments.into_iter();
    let name = arguments.next().ok_or(USAGE)?;
    if name == "list" {
        for target in TARGETS {
            println!("{}", target.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let target = Target::find(&name).ok_or_else(|| format!("no target {name}\n{USAGE}"))?;
    let (mut seconds, mut seed, mut files) = (None, 1, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let number = arguments.next().and_then(|text| text.parse::<u64>().ok());
            number.ok_or_else(|| format!("{argument} wants a number\n{USAGE}"))
        };
        match argument.as_str() {
            "--seconds" => seconds = Some(number()?),
            "--seed" => seed = number()?,
            _ => files.push(read(&argument)?),
        }
    }
    if seconds.is_none() && files.is_empty() {
        return Err(USAGE.to_owned());
    }
    Ok(match seconds {
        None => {
            for file in &files {
                (target.run)(file);
            }
            ExitCode::SUCCESS
        }
        Some(seconds) => hammer(target, files, seed, Duration::from_secs(seconds)),
    })
}

fn read(name: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = match name {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(drop),
        name => fs::read(name).map(|file| bytes = file),
    };
    read.map_err(|error| format!("{name}: {error}"))?;
    Ok(bytes)
}

/// Runs until time is up or an input does harm; that input is kept.
fn hammer(target: &'static Target, files: Vec<Vec<u8>>, seed: u64, time: Duration) -> ExitCode {
    let (give, inputs) = channel::<Vec<u8>>();
    let (done, results) = channel::<bool>();
    thread::spawn(move || {
        while let Ok(input) = inputs.recv() {
            let well = catch_unwind(|| (target.run)(&input)).is_ok();
            if done.send(well).is_err() {
                return;
            }
        }
    });
    let corpus = [(target.seeds)(), files].concat();
    let mut making = Inputs::new(corpus, seed);
    let start = Instant::now();
    let (mut count, mut slowest) = (0u64, Duration::ZERO);
    while start.elapsed() < time {
        let input = making.make().to_vec();
        let began = Instant::now();
        let harm = match give.send(input.clone()) {
            Ok(()) => match results.recv_timeout(PATIENCE) {
                Ok(true) => None,
                Ok(false) | Err(RecvTimeoutError::Disconnected) => Some("panic"),
                Err(RecvTimeoutError::Timeout) => Some("hang"),
            },
            Err(_) => Some("panic"),
        };
        count += 1;
        slowest = slowest.max(began.elapsed());
        if let Some(harm) = harm {
            let file = format!("{}-{harm}-{seed}-{count}", target.name);
            match fs::write(&file, &input) {
                Ok(()) => eprintln!("{harm} after {count} inputs; the last one is in {file}"),
                Err(error) => eprintln!("{harm} after {count} inputs; {file}: {error}: {input:?}"),
            }
            return ExitCode::FAILURE;
        }
    }
    println!(
        "{}: {count} inputs, the slowest took {slowest:?}",
        target.name
    );
    ExitCode::SUCCESS
}
