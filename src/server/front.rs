//! What a listener is told of the executor behind it.

use super::Server;
use super::phase::Phase;
use crate::transport::websocket::{Observer, Refusal};

/// The executor, as its listeners see it.
#[derive(Debug)]
pub(super) struct Front(pub(super) Server);

impl Observer for Front {
    fn is_ready(&self) -> bool {
        *self.0.phases.borrow() == Phase::Serving
    }

    fn metrics(&self) -> String {
        self.0.metrics()
    }

    fn refused(&self, why: Refusal) {
        self.0.metrics.request_refused(why);
    }
}
