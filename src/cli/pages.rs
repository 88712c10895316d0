//! `exec-http completions` and `exec-http man`: what shells and `man` read.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The folder for all pages, one for each command; without it the main page is printed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the completions for a shell.
pub(crate) fn completions(arguments: &Completions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "exec-http", &mut script);
    // Whoever does not read to the end has seen enough.
    let _ = io::stdout().write_all(&script);
    ExitCode::SUCCESS
}

/// Prints the main page, or writes all.
pub(crate) fn man(arguments: &Man) -> ExitCode {
    let mut command = super::Arguments::command();
    command.build();
    let written = match &arguments.dir {
        Some(dir) => std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir)),
        None => main_page(command),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the pages cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn main_page(command: Command) -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    let _ = io::stdout().write_all(&page);
    Ok(())
}
