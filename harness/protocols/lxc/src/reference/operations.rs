//! What the tools of a release send for each operation, and what they make of the answers.
//!
//! Measured with 4.0.6, 5.0.2, 6.0.4 and 7.0.0 against all four; each step is a connection of its own.
//!
//! ```text
//! lxc-info -s    4 3 3 3
//! lxc-info       4 3 3 3 4 4, four times 3 and 25, without 25: 25 20 19 6 (4.0.6: 19 6), 7 7
//! lxc-ls         3 3 7
//! lxc-wait       4 10
//! lxc-freeze     4.0.6: 4 3 12 15 12      5.0.2: 4 3 20 12 12, without 20: 4 3 20 12 19 6 12
//! lxc-attach     4.0.6: 4 4 7 7 7 7 5 17  5.0.2: 4 18 5 7 7 7 7 23
//! lxc-console    4 3 0
//! lxc-cgroup     4.0.6: 4 3 3 14          5.0.2: 4 3 3 25 14, without 25: 4 3 3 25 20 14
//! lxc-stop -k    4 3 2
//! ```

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use wire::lxc::{STATE_MESSAGE_LEN, StateMessage};

use super::super::dialect::{Attach, Freeze, WaitRefused};
use super::super::effects;
use super::super::names::{
    self, FREEZING, FROZEN, GET_CONFIG_ITEM, GET_INIT_PID, GET_STATE, MAX_STATE, RUNNING, STOPPED, THAWED,
};
use super::super::request;
use super::asking::{Asker, Ended, How, Said};
use super::machine::Machine;

/// How long a second of `lxc-wait -t` is here; nobody waits for a reference server in earnest.
const SECOND: Duration = Duration::from_millis(60);
/// How often a state is asked for by a client that cannot wait for it.
const POLL: Duration = Duration::from_millis(10);

type Done = Result<(), Ended>;
const FAILED: Ended = Ended::Exit(1);

impl Asker<'_> {
    /// Carries out an operation; `Ok` is exit code zero.
    pub(super) async fn carry_out(&mut self, operation: &str, machine: &Machine) -> Done {
        match operation {
            "info" => self.info().await,
            "info-state" => self.info_state().await,
            "ls" => self.ls().await,
            "wait" => self.wait(RUNNING, 3 * SECOND).await,
            "wait-stopped" => self.wait(STOPPED, SECOND).await,
            "freeze" => self.freeze(machine).await,
            "unfreeze" => self.unfreeze(machine).await,
            "attach" => self.attach(machine, false).await,
            "attach-terminal" => self.attach(machine, true).await,
            "console" => self.console().await,
            "cgroup" => self.cgroup(machine).await,
            "stop" => self.stop().await,
            _ => Err(Ended::Exit(2)),
        }
    }

    /// The first thing that every tool asks: may it control the container? Only an error reply says no;
    /// a stream that ends says nothing.
    ///
    /// Gives whether the pid of init is known now.
    async fn permission(&mut self) -> Result<bool, Ended> {
        let said = self.ask(GET_INIT_PID, 0).await?;
        let denied = said.how == How::Replied && said.ret < 0;
        if denied || said.how == How::NoServer { Err(FAILED) } else { Ok(said.how == How::Replied) }
    }

    /// The state; `None` where no believable answer came.
    async fn state(&mut self) -> Result<Option<i32>, Ended> {
        let said = self.ask(GET_STATE, 0).await?;
        let believable = said.how == How::Replied && said.ret >= 0;
        Ok(believable.then(|| u32::try_from(said.data & 0xffff_ffff).unwrap_or_default().cast_signed()))
    }

    async fn print_state(&mut self) -> Done {
        let state = self.state().await?;
        let word = match state {
            Some(state) => names::state_text(state.into()),
            None if self.facts.no_answer == 0 => "(null)".to_owned(),
            None => "INVALID STATE".to_owned(),
        };
        effects::claim(self.recorder, effects::STATE, &word);
        self.stdout.push_str(&format!("State: {word}\n"));
        // A client that knows no state and says exit 0 would be believed.
        if state.is_none() && !self.facts.believes_cut_replies { Err(FAILED) } else { Ok(()) }
    }

    async fn info_state(&mut self) -> Done {
        self.permission().await?;
        self.state().await?;
        self.state().await?;
        self.print_state().await
    }

    async fn info(&mut self) -> Done {
        self.info_state().await?;
        for _ in 0..2 {
            self.ask(GET_INIT_PID, 0).await?;
        }
        for controller in ["cpuacct", "blkio", "memory", "memory"] {
            self.state().await?;
            self.controller(controller).await?;
        }
        for key in ["lxc.net.0.type", "lxc.net.0.link"] {
            self.ask_text(GET_CONFIG_ITEM, key).await?;
        }
        Ok(())
    }

    /// Asks for the cgroup of a controller, newest way first.
    async fn controller(&mut self, name: &str) -> Result<(), Ended> {
        if self.facts.freeze == Freeze::ByCommand || self.controller_descriptor(name).await? {
            self.controller_path(name).await?;
        }
        Ok(())
    }

    /// Asks for a descriptor of a controller's cgroup, and says whether another way is to be tried: only
    /// where the request is not known; a controller that is not there is not there.
    async fn controller_descriptor(&mut self, name: &str) -> Result<bool, Ended> {
        let structure = request::cgroup_fd(name, names::CGROUP_FD_LEN);
        let said = self.ask_with(names::GET_LIMIT_CGROUP_FD, &structure).await?;
        if is_descriptor(&said) || !said.is_refusal() {
            return Ok(false);
        }
        Ok(!is_descriptor(&self.ask(names::GET_LIMIT_CGROUP2_FD, 0).await?))
    }

    /// Asks for the path of a controller's cgroup. Releases go from 19 to 6 only when 19 is closed, not
    /// when it is refused.
    async fn controller_path(&mut self, name: &str) -> Result<Option<String>, Ended> {
        let mut said = self.ask_text(names::GET_LIMIT_CGROUP, name).await?;
        if said.how == How::Closed || (said.ret < 0 && !self.facts.believes_cut_replies) {
            said = self.ask_text(names::GET_CGROUP, name).await?;
        }
        Ok(path(&said))
    }

    async fn ls(&mut self) -> Done {
        self.state().await?;
        let state = self.state().await?;
        self.ask_text(GET_CONFIG_ITEM, "lxc.group").await?;
        if state.is_some_and(|state| state != STOPPED) {
            effects::claim(self.recorder, effects::NAMES, effects::CONTAINER);
            self.stdout.push_str(effects::CONTAINER);
        }
        Ok(())
    }

    async fn wait(&mut self, wanted: i32, patience: Duration) -> Done {
        self.permission().await?;
        let list = request::state_list(&[wanted]);
        let (said, kept) = self.ask_and_keep(names::ADD_STATE_CLIENT, 0, &list).await?;
        let is_wanted = |state: i32| if state == wanted { Ok(()) } else { Err(FAILED) };
        match said.how {
            // Nobody listens: the container does not run.
            How::NoServer => return is_wanted(STOPPED),
            How::Rejected => return Err(FAILED),
            How::Closed | How::Replied if said.how == How::Closed || said.ret < 0 => {
                return match self.facts.wait_refused {
                    WaitRefused::ReadsStopped if said.how == How::Closed => is_wanted(STOPPED),
                    WaitRefused::ReadsStopped | WaitRefused::Fails => Err(FAILED),
                    WaitRefused::AsksState => self.poll_state(wanted, patience).await,
                };
            }
            How::Closed | How::Replied if said.ret < MAX_STATE => return is_wanted(said.ret),
            How::Closed | How::Replied => {}
        }
        let Some(mut open) = kept else { return Err(FAILED) };
        match tokio::time::timeout(patience, open.take(STATE_MESSAGE_LEN, false)).await {
            Ok(Some((bytes, _))) => match StateMessage::decode(request::LAYOUT.endian, &bytes) {
                Some(message) => is_wanted(message.value),
                None => Err(FAILED),
            },
            _ => Err(FAILED),
        }
    }

    async fn poll_state(&mut self, wanted: i32, patience: Duration) -> Done {
        let until = tokio::time::Instant::now() + patience;
        loop {
            if self.state().await? == Some(wanted) {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                return Err(FAILED);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Has a state stored and told. Releases do not look at the answer; the ideal client does.
    async fn serve(&mut self, state: i32) -> Done {
        let said = self.ask(names::SERVE_STATE_CLIENTS, state.into()).await?;
        let looks = self.facts.freeze == Freeze::AnyWay;
        if looks && !said.is_good() { Err(FAILED) } else { Ok(()) }
    }

    async fn freeze(&mut self, machine: &Machine) -> Done {
        self.permission().await?;
        if self.state().await?.is_none() {
            return Err(FAILED);
        }
        self.switch(machine, true).await
    }

    async fn unfreeze(&mut self, machine: &Machine) -> Done {
        self.permission().await?;
        match self.state().await? {
            None => Err(FAILED),
            Some(FROZEN) => self.switch(machine, false).await,
            // Nothing to do, in the client's view.
            Some(_) => Ok(()),
        }
    }

    /// Freezes or lets go, between the two states that are told.
    async fn switch(&mut self, machine: &Machine, frozen: bool) -> Done {
        let (before, after, undone) =
            if frozen { (FREEZING, FROZEN, RUNNING) } else { (THAWED, RUNNING, FROZEN) };
        let directory = if self.facts.freeze == Freeze::ByCommand || machine.is_hybrid() {
            None
        } else {
            self.ask(names::GET_LIMIT_CGROUP2_FD, 0).await?.fds.into_iter().next()
        };
        self.serve(before).await?;
        let done = match &directory {
            Some(directory) => write_in(directory, "cgroup.freeze", if frozen { "1" } else { "0" }),
            None => self.switch_without_descriptor(machine, frozen).await?,
        };
        if !done {
            self.serve(undone).await?;
            return Err(FAILED);
        }
        self.serve(after).await
    }

    async fn switch_without_descriptor(&mut self, machine: &Machine, frozen: bool) -> Result<bool, Ended> {
        let by_command = match self.facts.freeze {
            Freeze::ByCommand => !machine.is_hybrid(),
            Freeze::AnyWay => true,
            Freeze::ByDescriptor => false,
        };
        if by_command {
            let command = if frozen { names::FREEZE } else { names::UNFREEZE };
            let said = self.ask(command, -1).await?;
            if said.is_good() || self.facts.freeze == Freeze::ByCommand {
                return Ok(said.is_good());
            }
        }
        if self.controller_path("freezer").await?.is_none() {
            return Ok(false);
        }
        Ok(machine.write("freezer.state", if frozen { "FROZEN" } else { "THAWED" }))
    }

    async fn attach(&mut self, machine: &Machine, terminal: bool) -> Done {
        const KEYS: [&str; 4] = ["lxc.arch", "lxc.seccomp.profile", "lxc.seccomp", "lxc.no_new_privs"];
        let pid_known = self.permission().await?;
        if self.facts.attach == Attach::Cgroup2ThenPaths {
            self.ask(GET_INIT_PID, 0).await?;
        } else {
            // Without a pidfd the tools open `/proc/PID`.
            let pidfd = self.ask(names::GET_INIT_PIDFD, 0).await?;
            if !pid_known && !is_descriptor(&pidfd) {
                return Err(FAILED);
            }
            self.ask(names::GET_CLONE_FLAGS, 0).await?;
        }
        for key in KEYS {
            self.ask_text(GET_CONFIG_ITEM, key).await?;
        }
        if self.facts.attach == Attach::Cgroup2ThenPaths {
            self.ask(names::GET_CLONE_FLAGS, 0).await?;
        }
        if terminal && !is_descriptor(&self.ask(names::GET_DEVPTS_FD, 0).await?) && !self.facts.host_pty {
            return Err(FAILED);
        }
        let entered = self.enter_cgroup(machine).await;
        let inside = matches!(entered, Ok(true));
        effects::effect(self.recorder, effects::CGROUP, if inside { "inside" } else { "outside" });
        entered.map(|_| ())
    }

    /// Gets the attached process into the container's cgroup, and says whether it is there.
    async fn enter_cgroup(&mut self, machine: &Machine) -> Result<bool, Ended> {
        let attach = self.facts.attach;
        if attach != Attach::Cgroup2ThenPaths {
            let said = self.ask_with(names::GET_CGROUP_CTX, &[0; names::CGROUP_CTX_LEN]).await?;
            let good = said.is_good() && said.how == How::Replied;
            if is_descriptor(&said) || attach == Attach::ContextOnly || good {
                return Ok(is_descriptor(&said));
            }
        }
        let said = self.ask(names::GET_CGROUP2_FD, 0).await?;
        if is_descriptor(&said) {
            return Ok(true);
        }
        if !machine.is_hybrid() {
            return Err(FAILED);
        }
        for controller in ["freezer", "devices", "memory", "name=systemd"] {
            let said = self.ask_text(names::GET_CGROUP, controller).await?;
            if path(&said).is_none() && (controller != "name=systemd" || attach != Attach::AnyWay) {
                return Err(FAILED);
            }
        }
        Ok(true)
    }

    async fn console(&mut self) -> Done {
        self.permission().await?;
        self.state().await?;
        let (said, lease) = self.ask_and_keep(names::GET_TTY_FD, 1, &[]).await?;
        let leased = is_descriptor(&said) && lease.is_some();
        if leased { Ok(()) } else { Err(FAILED) }
    }

    async fn cgroup(&mut self, machine: &Machine) -> Done {
        self.permission().await?;
        self.state().await?;
        self.state().await?;
        if machine.is_hybrid() {
            let known = self.controller_path("devices").await?.is_some();
            let written = known && machine.write("devices.allow", "c 10:229 rwm");
            return if written { Ok(()) } else { Err(FAILED) };
        }
        let lengths: &[usize] = match self.facts.freeze {
            Freeze::ByCommand => &[24],
            Freeze::ByDescriptor => &[40],
            Freeze::AnyWay => &[40, 24, 20],
        };
        if self.facts.freeze != Freeze::ByCommand {
            self.controller_descriptor("devices").await?;
        }
        for len in lengths {
            let said = self.ask_with(names::ADD_BPF_DEVICE_CGROUP, &request::device_item(*len)).await?;
            if said.is_good() {
                return Ok(());
            }
        }
        Err(FAILED)
    }

    async fn stop(&mut self) -> Done {
        self.permission().await?;
        if self.state().await? == Some(STOPPED) {
            return Err(Ended::Exit(2));
        }
        let said = self.ask(names::STOP, 0).await?;
        // Success is the end of the stream.
        if said.how == How::Replied && said.ret < 0 {
            return Err(FAILED);
        }
        // Releases believe it; the ideal client looks whether the monitor is gone.
        let looks = self.facts.wait_refused == WaitRefused::AsksState;
        if looks && self.somebody_listens().await { Err(FAILED) } else { Ok(()) }
    }
}

/// Whether a request for a descriptor got one.
fn is_descriptor(said: &Said) -> bool {
    said.is_good() && !said.fds.is_empty()
}

fn path(said: &Said) -> Option<String> {
    let good = said.is_good() && !said.payload.is_empty();
    let text = said.payload.split(|byte| *byte == 0).next().unwrap_or(&[]);
    good.then(|| String::from_utf8_lossy(text).into_owned())
}

/// Writes a file in a directory that a server passed.
fn write_in(directory: &OwnedFd, name: &str, text: &str) -> bool {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, name, flags, Mode::empty());
    opened.is_ok_and(|fd| fs::File::from(fd).write_all(text.as_bytes()).is_ok())
}
