//! The process of a real host in a scenario, behind a recording proxy.

use std::time::Duration;

use protocol::launch::CommandLine;
use session::process::Running;
use session::proxy::Proxy;
use session::{Address, LaunchErrorKind, Recorder};
use tokio::time::Instant;
use transcript::{ConnId, EventKind, ExitStatus};
use wire::Direction;

/// How long the end of a killed process may take to be seen.
const END_DEADLINE: Duration = Duration::from_secs(2);
/// How long what an agent has written may take to pass the proxy.
const PASSES_PROXY: Duration = Duration::from_millis(20);

/// A running host.
pub(super) struct RealHost {
    running: Running,
    proxy: Proxy,
}

impl RealHost {
    /// Starts one whose connections are numbered from `first`.
    pub(super) fn start(
        line: &CommandLine,
        port: &Address,
        recorder: &Recorder,
        first: ConnId,
    ) -> Result<Self, LaunchErrorKind> {
        let spot = line.spot()?;
        let proxy = Proxy::start_client_first(spot.address(), port.clone(), recorder.clone(), first)?;
        let running = line.start(&spot, "")?;
        Ok(Self { running, proxy })
    }

    /// The last connection that it has made, or the one before its first.
    pub(super) fn conn(&self) -> ConnId {
        ConnId(self.proxy.next_conn().0.saturating_sub(1))
    }

    /// Whether its process has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        self.running.ended().is_ok_and(|status| status.is_some())
    }

    /// Lets what is under way pass.
    pub(super) async fn drain(&self) {
        tokio::time::sleep(PASSES_PROXY).await;
    }

    /// Kills it, and waits until its end was written down.
    pub(super) async fn kill(mut self, recorder: &Recorder) {
        let conn = self.conn();
        // One that has ended by itself has done so unasked.
        let status = self.running.ended().ok().flatten().unwrap_or(ExitStatus::Gone);
        recorder.record(conn, Direction::ToServer, EventKind::Exit(status));
        self.running.kill().await;
        let until = Instant::now() + END_DEADLINE;
        while self.proxy.open() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.proxy.stop().await;
        // A process that dies with bytes unread resets its connection; whoever reads the transcript looks for an end.
        if conn > ConnId(0) {
            recorder.record(conn, Direction::ToServer, EventKind::Eof(Some("vdsm gone".to_owned())));
        }
    }
}
