//! `exec-http demo`: a run that is all green, one failure in full, and what to type next.

use exec_http::conformance::verdict::RunOutcome;

use super::client::Client;
use super::server::Server;
use super::{Failure, Options, Subject, this_program};

/// Cases of the first run: enough to see every area of the report, in a few seconds.
const SELECTED: [&str; 6] =
    ["stream/*", "id/*", "response/*", "client-stream/*", "client-close/*", "client-response/*"];

/// An executor of the zoo that passes truncated bodies off as complete, and the case that catches it.
const MUTANT: (&str, &str) = ("short-body-as-end", "stream/short-body");

/// Runs it. The outcome is that of a suite which works: green for what is built in, red for the mutant.
pub(crate) fn run() -> RunOutcome {
    demo().unwrap_or_else(|(outcome, message)| {
        eprintln!("error: {message}");
        outcome
    })
}

fn demo() -> Result<RunOutcome, Failure> {
    println!("1. The client and the executor that are built in, over stdio and websocket:\n");
    let options = |only: &[&str]| Options {
        only: only.iter().map(|glob| (*glob).to_owned()).collect(),
        no_out: true,
        ..Options::default()
    };
    let client = Client::built_in().subject()?;
    let command = "exec-http demo".to_owned();
    let green = options(&SELECTED).run(Subject { client: client.client, command, ..Server::built_in().subject()? })?;

    let (mutant, case) = MUTANT;
    println!("\n2. An executor that ends a truncated body as if it were complete (`exec-http zoo serve {mutant}`):\n");
    let red = options(&[case])
        .run(Server::of_command(&format!("{} zoo serve {mutant} --listen {{listen}}", quoted_program()?)).subject()?)?;

    println!(
        "\nThat is what a failure looks like. Next, with an executor of your own:\n\n    \
         exec-http doctor --cmd \"my-executor --stdio\"    # finds it, looks at it, writes exec-http.toml\n    \
         exec-http conform server                        # runs the suite against it\n    \
         exec-http explain {case}             # what a case asks, and why\n\n\
         A client library is tested through an adapter: `exec-http adapter new --lang python` writes its skeleton."
    );
    // Whoever sees another pair of colours has found a defect of the suite.
    Ok(match (green, red) {
        (RunOutcome::Conforms, RunOutcome::Violation) => RunOutcome::Conforms,
        (RunOutcome::Conforms, _) => RunOutcome::SuiteBug,
        (other, _) => other,
    })
}

/// This program as a word of a command line.
fn quoted_program() -> Result<String, Failure> {
    Ok(shell_words::quote(&this_program()?).into_owned())
}
