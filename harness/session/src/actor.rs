//! A client that acts by itself while a script goes on.
//!
//! The client of a probe is the script. Here it is a peer with a will of its own: steps start and kill its process, and
//! in between it reads and answers as it does. What passes it writes down itself.

use std::time::Duration;

use crate::script::Injection;
use crate::{BoxFuture, ClientAct, LaunchError, Server, ServerAct};

/// A client that acts by itself while a script goes on.
pub trait Actor: Send {
    /// Does what the script tells it to do.
    fn act<'a>(
        &'a mut self,
        act: &'a ClientAct,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>>;

    /// Goes on by itself while time passes that the script counts; how long that takes here is its own affair.
    fn go_on<'a>(
        &'a mut self,
        time: Duration,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>>;

    /// Reads what is there, and waits for nothing.
    fn catch_up(&mut self) -> BoxFuture<'_, Result<(), LaunchError>>;

    /// Lets something happen to the server, and writes down what it sees of that.
    fn meet<'a>(
        &'a mut self,
        act: &'a ServerAct,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        server.act(act)
    }

    /// Lets something be written to it in the server's stead, and reads meanwhile: all of it may fit into no socket.
    fn hear<'a>(
        &'a mut self,
        injection: &'a Injection,
        server: &'a mut dyn Server,
    ) -> BoxFuture<'a, Result<(), LaunchError>> {
        server.inject(injection)
    }
}
