//! Defects in what is left behind.

use std::thread;

use exec_http::conformance::zoo::seed_client::{Defect, SeedClient};
use futures_util::FutureExt as _;

use crate::executor::Executor;
use crate::{held, open, params, settle, shows};

#[tokio::test(start_paused = true)]
async fn route_of_an_ended_stream_leaks_on_drop() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (body, id) = open(&client, &mut executor).await;
        executor.end(&id, 1).await;
        settle(&client, &mut executor).await;
        drop(body);
        held(&client)
    };
    shows(Defect::RouteKeptAfterTerminal, scenario, (1, 0), (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn route_of_a_cancelled_call_leaks() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let mut call = Box::pin(client.stream(params("x")));
        assert!(call.as_mut().now_or_never().is_none(), "no answer yet");
        executor.call().await;
        drop(call);
        held(&client)
    };
    shows(Defect::RouteLeaksOnCancel, scenario, (1, 0), (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn route_leaks_on_drop_outside_a_runtime() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let (body, _) = open(&client, &mut executor).await;
        thread::spawn(move || drop(body)).join().expect("a drop does not panic");
        settle(&client, &mut executor).await;
        held(&client)
    };
    shows(Defect::CleanupNeedsRuntime, scenario, (1, 0), (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn cost_of_a_route_grows_with_the_number_of_routes() {
    let scenario = async |client: SeedClient, mut executor: Executor| {
        let mut bodies = Vec::new();
        for _ in 0..5 {
            bodies.push(open(&client, &mut executor).await);
        }
        let started = client.census().copied_routes;
        drop(bodies);
        (started, client.census().copied_routes - started)
    };
    shows(Defect::MapCopiedOnEachChange, scenario, (1 + 2 + 3 + 4, 5 + 4 + 3 + 2 + 1), (0, 0)).await;
}
