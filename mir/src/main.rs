//! The `mir` tool.

use std::process::ExitCode;

fn main() -> ExitCode {
    mir::cli::main()
}
