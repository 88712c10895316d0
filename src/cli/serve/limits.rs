//! The options of `serve` that set limits, one for each row of the library's table.

use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use exec_http::server::limits::{LIMITS, Limits};

/// The heading of these options.
const HEADING: &str = "Limits (--print-limits shows them all; docs/limits.md)";

/// The limits that were chosen.
#[derive(Debug)]
pub(crate) struct LimitArgs {
    /// Not checked yet.
    limits: Limits,
    /// Whether they are to be printed, and nothing else.
    print: bool,
}

impl LimitArgs {
    /// The limits.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(super) fn limits(&self) -> Result<Limits, String> {
        self.limits.check().map(|()| self.limits).map_err(|error| error.to_string())
    }

    pub(super) fn print(&self) -> bool {
        self.print
    }
}

impl clap::Args for LimitArgs {
    fn augment_args(command: Command) -> Command {
        let defaults = Limits::default();
        let limits = LIMITS.iter().map(|limit| {
            let default = limit.value(&defaults).map_or("none".to_owned(), |value| value.to_string());
            let help =
                format!("Most of: {}. Beyond it {} [{}, default: {default}]", limit.what, limit.beyond, limit.unit);
            Arg::new(limit.option).long(limit.option).value_name("N").help(help)
        });
        let print = Arg::new("print-limits").long("print-limits").action(ArgAction::SetTrue);
        command
            .next_help_heading(HEADING)
            .arg(print.help("Print every limit with its value and what happens when it is met, and exit"))
            .args(limits.map(|limit| limit.value_parser(value_parser!(u64))))
            .next_help_heading(None)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for LimitArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut own = Self { limits: Limits::default(), print: false };
        own.update_from_arg_matches(matches)?;
        Ok(own)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for limit in &LIMITS {
            if let Some(value) = matches.get_one(limit.option) {
                limit.set(&mut self.limits, *value);
            }
        }
        self.print = matches.get_flag("print-limits");
        Ok(())
    }
}

/// Prints a table: name, value, unit, option, what happens when it is met. The listener has a limit of its own.
pub(super) fn print(limits: &Limits, connections: usize) -> ExitCode {
    let row = |cells: [&str; 5]| {
        format!("{:<62} {:>11}  {:<8} {:<28} {}\n", cells[0], cells[1], cells[2], cells[3], cells[4])
    };
    let mut text = row(["limit", "value", "unit", "option", "beyond it"]);
    for limit in &LIMITS {
        let value = limit.value(limits).map_or("none".to_owned(), |value| value.to_string());
        text += &row([limit.what, &value, limit.unit, &format!("--{}", limit.option), limit.beyond]);
    }
    let connections = connections.to_string();
    text += &row(["open connections of a websocket listener", &connections, "", "--connections", "status 503"]);
    crate::cli::print(&text)
}
