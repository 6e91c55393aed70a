//! Servers that are running: a fresh one for a case that disturbs, a shared one for cases that do not.

use std::sync::{Arc, Mutex, PoisonError};

use matrix::SourceKind;
use protocols::Hazard;
use session::{LaunchError, Launcher, Server, Start};

/// The servers of one build.
pub(crate) struct Pool {
    launcher: Arc<dyn Launcher>,
    /// Reference servers serve one cell and no other.
    keeps: bool,
    idle: Mutex<Vec<Box<dyn Server>>>,
}

impl Pool {
    pub(crate) fn new(launcher: Arc<dyn Launcher>, source: SourceKind) -> Self {
        Self { launcher, keeps: source != SourceKind::Reference, idle: Mutex::default() }
    }

    pub(crate) fn launcher(&self) -> &dyn Launcher {
        &*self.launcher
    }

    /// A server for one case: an idle one if the case is harmless and there is one, else a new one.
    pub(crate) async fn take(&self, hazard: Hazard, how: Start) -> Result<Box<dyn Server>, LaunchError> {
        if hazard == Hazard::Harmless
            && let Some(server) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
        {
            return Ok(server);
        }
        self.launcher.start(how).await
    }

    /// Gives a server back after a case. One that was disturbed, or on which something was wrong, is ended.
    pub(crate) async fn give_back(&self, server: Box<dyn Server>, reusable: bool) {
        if reusable && self.keeps {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        } else {
            server.stop().await;
        }
    }

    /// Ends all idle servers.
    pub(crate) async fn stop(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for server in idle {
            server.stop().await;
        }
    }
}
